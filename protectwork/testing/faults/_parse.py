"""Faults by name, for a command line: ``refuse:DEPLOYMENT_BLOCKED``, ``hang``, ``land-late:5``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from protectwork._errors import SettingsError
from protectwork.testing._exchange import Fault
from protectwork.testing.faults._connection import ApplyThenDrop, Drip, Drop, Hang, Limit, Redirect
from protectwork.testing.faults._ecs import Delay, Digits, Ecs, Error, LandLate, Refuse, Throttle
from protectwork.testing.faults._garbage import Garbage, Oversized

__all__ = ["FAULTS", "parse_fault"]

_ALONE: dict[str, Fault] = {
    "apply-then-drop": ApplyThenDrop(),
    "drip": Drip(),
    "drop": Drop(),
    "drop:reset": Drop(reset=True),
    "error": Error(),
    "garbage": Garbage(),
    "hang": Hang(),
    "hang:after-headers": Hang(after_headers=True),
    "land-late": LandLate(),
    "limit": Limit(),
    "oversized": Oversized(),
    "redirect": Redirect(),
    "refuse": Refuse(),
    "throttle": Throttle(),
}


def parse_fault(text: str) -> Fault:
    """The fault of that name.

    Args:
        text: A name of `FAULTS`, with its argument where it takes one: ``error:503``, ``garbage:both``.

    Raises:
        SettingsError: There is no such fault, or its argument is outside its rule.
    """
    if fault := _ALONE.get(text):
        return fault
    name, _, argument = text.partition(":")
    if not argument or name not in _WITH_ARGUMENT:
        raise SettingsError(setting="a fault", rule=f"one of {', '.join(FAULTS)}", value=repr(text))
    try:
        return _WITH_ARGUMENT[name][1](argument)
    except SettingsError as error:
        raise SettingsError(
            setting=f"the {error.setting} of the fault {name}",
            rule=error.rule,
            value=error.value,
            remedy=f"the faults are {', '.join(FAULTS)}",
        ) from None


def _number(setting: str, text: str) -> Any:
    """A number, whole where it is written so; the fault checks whether it is one that it takes."""
    try:
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        raise SettingsError(setting=setting, rule="a number", value=repr(text)) from None


_WITH_ARGUMENT: dict[str, tuple[str, Callable[[str], Fault]]] = {
    "delay": ("SECONDS", lambda text: Delay(_number("seconds", text))),
    "digits": ("NUMBER", lambda text: Digits(_number("digits", text))),
    "drip": ("headers|body", lambda text: Drip(cast("Any", text))),
    "ecs": ("MODE", lambda text: Ecs(cast("Any", text))),
    "error": ("500|503|504", lambda text: Error(_number("status", text))),
    "garbage": ("KIND", lambda text: Garbage(cast("Any", text))),
    "land-late": ("SECONDS", lambda text: LandLate(_number("seconds", text))),
    "oversized": ("BYTES", lambda text: Oversized(_number("size", text))),
    "redirect": ("URL", Redirect),
    "refuse": ("REASON", Refuse),
}

FAULTS = tuple(sorted([*_ALONE, *(f"{name}:{argument}" for name, (argument, _) in _WITH_ARGUMENT.items())]))
"""Every fault that has a name; what stands in capitals is an argument."""
