"""ECS's rules for a service: which tasks are started, and which are told to stop (PURE)."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

__all__ = ["Plan", "Restarts", "View", "plan"]

_QUICK_S = 10.0  # a task that ends by itself before that has failed
_FIRST_WAIT_S, _MOST_WAIT_S = 0.25, 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A task that is not stopping: whether it is of the primary deployment, and whether it is protected."""

    name: str
    primary: bool
    protected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done: so many tasks of the primary deployment are started, and these are told to stop.

    Attributes:
        start: How many are started.
        scale_in: Those that are too many.
        replaced: Those of older deployments that newer ones have taken the place of.
    """

    start: int
    scale_in: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()


def plan(
    tasks: Sequence[View],
    *,
    desired: int,
    maximum_percent: int,
    minimum_healthy_percent: int,
    random: random.Random,
) -> Plan:
    """What ECS does next: it stops unprotected tasks only (contract §4), chosen at random.

    New tasks are started within the maximum, which those that stop do not count for; old ones are stopped while enough
    of all run (DeploymentConfiguration in the reference of ECS's API). Those that are protected wait, and hold up
    nothing else than what they take the room of.
    """
    new = [task for task in tasks if task.primary]
    old = [task for task in tasks if not task.primary]
    room = room_for(desired, maximum_percent) - len(tasks)
    spare = len(tasks) - math.ceil(desired * minimum_healthy_percent / 100)
    return Plan(
        start=max(min(desired - len(new), room), 0),
        scale_in=_victims(new, len(new) - desired, random),
        replaced=_victims(old, spare, random),
    )


def room_for(desired: int, maximum_percent: int) -> int:
    """How many tasks there may be at once."""
    return desired * maximum_percent // 100


def _victims(tasks: Sequence[View], most: int, random: random.Random) -> tuple[str, ...]:
    free = [task.name for task in tasks if not task.protected]
    return tuple(random.sample(free, max(min(most, len(free)), 0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts:
    """How fast tasks that end by themselves are replaced: ever more slowly while they end soon after they began.

    Attributes:
        failures: How many ended so in a row.
        not_before: When the next task may be started.
    """

    failures: int = 0
    not_before: float = -math.inf

    def ended(self, now: float, *, lived_s: float) -> Restarts:
        """A task has ended by itself."""
        if lived_s >= _QUICK_S:
            return Restarts()
        wait_s = min(_FIRST_WAIT_S * 2.0**self.failures, _MOST_WAIT_S)
        return replace(self, failures=self.failures + 1, not_before=now + wait_s)
