"""What users hand over, checked: the terms of a hold, and the parts of a manager."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from protectwork._errors import SettingsError
from protectwork._hold import Hold
from protectwork._settings import OnUnprotected, Settings, is_one_of, printable, seconds, shown
from protectwork._types import Seconds

__all__ = ["Terms", "check_observer", "check_on_lost", "check_parts", "clean_label", "duration_s", "insists"]

LONGEST_WORK_S = 48 * 3600.0  # ECS's longest lease (contract §4): no declared work can be covered beyond it


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
            on_lost=None if on_lost is None else check_on_lost(on_lost),
        )


def clean_label(label: str) -> str:
    """A label as it is shown: printable, and not too long."""
    if not isinstance(cast("object", label), str):  # a worker's job may hand over anything
        raise SettingsError(setting="label", rule="a string", value=shown(label))
    return printable(label)


def duration_s(max_duration: Seconds) -> float:
    """A declared duration in seconds."""
    return seconds("max_duration", max_duration, low_s=0.001, high_s=LONGEST_WORK_S)


def insists(on_unprotected: str) -> bool:
    """Whether the work is not to start unprotected."""
    if not is_one_of(on_unprotected, "run", "raise"):
        raise SettingsError(setting="on_unprotected", rule="'run' or 'raise'", value=shown(on_unprotected))
    return on_unprotected == "raise"


def check_on_lost(on_lost: Callable[[Hold], object]) -> Callable[[Hold], object]:
    """Refuse what could not be called when the lease runs out, now rather than then."""
    if not callable(on_lost):
        raise SettingsError(setting="on_lost", rule="a function that takes the hold", value=shown(on_lost))
    return on_lost


def check_observer(observer: object) -> None:
    """Refuse what could not hear of events."""
    if not _has(observer, "on_event"):
        raise SettingsError(setting="observer", rule="an object with on_event(event)", value=shown(observer))


def check_parts(
    *, backend: object = None, settings: object = None, clock: object = None, random: object = None
) -> None:
    """Refuse what no manager could be made of; None is what was not given.

    Raises:
        SettingsError: One of them could not do its part.
    """
    if settings is not None and not isinstance(settings, Settings):
        raise SettingsError(
            setting="settings",
            rule="a Settings",
            value=shown(settings),
            remedy="make one: Settings(lease=3600), say",
        )
    if backend is not None and not _is_backend(backend):
        by_name = f"by its name choose it with Settings(backend={shown(backend)})"
        raise SettingsError(
            setting="backend",
            rule="an object with enable(), disable(), get() and a name",
            value=shown(backend),
            remedy=by_name if isinstance(backend, str) else None,
        )
    if clock is not None and not _has(clock, "now", "wall", "alarm"):
        raise SettingsError(setting="clock", rule="an object with now(), wall() and alarm()", value=shown(clock))
    if random is not None and not _has(random, "uniform"):
        raise SettingsError(
            setting="random",
            rule="an object with uniform(a, b)",
            value=shown(random),
            remedy="random.Random() is one",
        )


def _is_backend(backend: object) -> bool:
    with suppress(Exception):  # it may be anything, and even raise when it is asked
        return _has(backend, "enable", "disable", "get") and isinstance(getattr(backend, "name", None), str)
    return False


def _has(thing: object, *methods: str) -> bool:
    with suppress(Exception):
        # A class has them too, and cannot be called by them: it was meant to be made an object of.
        return not isinstance(thing, type) and all(callable(getattr(thing, method, None)) for method in methods)
    return False
