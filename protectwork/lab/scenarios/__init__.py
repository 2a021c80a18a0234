"""What may happen to a service, as small scripts: each a room here, with a function that plays it on a stage."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

from protectwork._errors import SettingsError
from protectwork.lab.scenarios._stage import Stage

__all__ = ["SCENARIOS", "Scenario", "Stage", "find"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One script.

    Attributes:
        name: What it is called.
        summary: What happens in it, in one line.
        play: Plays it; blocks until it is over.
    """

    name: str
    summary: str
    play: Callable[[Stage], None] = field(repr=False)


SCENARIOS = (
    "scale-storm",
    "rolling-deploy",
    "deploy-while-saturated",
    "agent-outage",
    "throttled-account",
    "spot",
)
"""The names of all of them. What happens in the last one is not covered by protection."""


def find(name: str) -> Scenario:
    """The scenario of that name.

    Raises:
        SettingsError: There is none.
    """
    if name not in SCENARIOS:
        raise SettingsError(setting="scenario", rule=f"one of {', '.join(SCENARIOS)}", value=repr(name))
    room = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    return Scenario(name=name, summary=(room.__doc__ or "").strip().removesuffix("."), play=room.play)
