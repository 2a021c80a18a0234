"""The terms of a hold: the arguments of `protect`, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from protectwork._errors import SettingsError
from protectwork._hold import Hold
from protectwork._settings import OnUnprotected, seconds
from protectwork._types import Seconds

__all__ = ["Terms", "clean_label", "duration_s", "insists"]

LONGEST_WORK_S = 48 * 3600.0  # ECS's longest lease (contract §4): no declared work can be covered beyond it
LONGEST_LABEL = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The arguments of `protect`, checked once where a decorator stands, for the holds of all its runs."""

    label: str | None
    max_duration_s: float | None
    raises: bool | None
    on_lost: Callable[[Hold], object] | None

    @classmethod
    def of(
        cls,
        *,
        label: str | None = None,
        max_duration: Seconds | None = None,
        on_unprotected: OnUnprotected | None = None,
        on_lost: Callable[[Hold], object] | None = None,
    ) -> Terms:
        """Check the arguments."""
        return cls(
            label=None if label is None else clean_label(label),
            max_duration_s=None if max_duration is None else duration_s(max_duration),
            raises=None if on_unprotected is None else insists(on_unprotected),
            on_lost=on_lost,
        )


def clean_label(label: str) -> str:
    """A label as it is shown: printable, and not too long."""
    if not isinstance(cast("object", label), str):  # a worker's job may hand over anything
        raise SettingsError(setting="label", rule="a string", value=repr(label)[:80])
    if not label.isprintable():
        label = label.encode("unicode_escape").decode("ascii")
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"


def duration_s(max_duration: Seconds) -> float:
    """A declared duration in seconds."""
    return seconds("max_duration", max_duration, low_s=0.001, high_s=LONGEST_WORK_S)


def insists(on_unprotected: str) -> bool:
    """Whether the work is not to start unprotected."""
    if on_unprotected not in ("run", "raise"):  # a tuple, for a set would want it hashable
        raise SettingsError(setting="on_unprotected", rule="'run' or 'raise'", value=repr(on_unprotected)[:80])
    return on_unprotected == "raise"
