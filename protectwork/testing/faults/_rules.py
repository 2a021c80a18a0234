"""The rules of the arguments of faults."""

from __future__ import annotations

import math
from collections.abc import Sequence

from protectwork._errors import SettingsError

__all__ = ["check_at_least", "check_one_of"]


def check_one_of(what: str, value: object, allowed: Sequence[object]) -> None:
    """Raise a `SettingsError` unless `value` is one of `allowed`."""
    if value not in allowed:
        raise SettingsError(setting=what, rule=f"one of {', '.join(map(str, allowed))}", value=str(value))


def check_at_least(what: str, value: float, least: float) -> None:
    """Raise a `SettingsError` unless `value` is a finite number from `least` on."""
    if not least <= value < math.inf:
        raise SettingsError(setting=what, rule=f"{least:g} or more", value=f"{value:g}")
