"""Whether this task is to go, and what to ask to find out (PURE: no clock, I/O or threads).

A task that ECS stops, or whose service has a newer primary deployment, is to take no new work. ECS is asked as seldom
as does: the task's own metadata, which has no quota, while there is work; and about the deployment only once a refusal
has shown that one is blocked, which does not mean that it is this task that has to go (contract §3).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf

from protectwork._standing import ASK_EVERY_S, Standing
from protectwork._steps import Random

__all__ = ["STOPPING", "SUPERSEDED", "Question", "Retirement", "Sight"]

LOOK_EVERY_S = 30.0  # at the metadata
ASK_WITHIN_S = 5.0  # of a refusal: many tasks may have been refused at once
SPREAD = (0.75, 1.25)  # so that the processes of a fleet do not look together
LATE = (1.0, 1.25)  # the same for what may be asked no more often

SUPERSEDED = "a newer deployment of this service is primary"
STOPPING = "ECS is stopping this task"

_BLOCKED = frozenset({"DEPLOYMENT_BLOCKED", ""})  # a record that is full says no more than that it was refused


class Question(StrEnum):
    """What to ask next."""

    TASK = "the task's metadata"
    DEPLOYMENT = "the service's deployments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What there is to be seen in this process.

    Attributes:
        busy_at: When work was last in flight: now, while it is; -inf when it never was.
        refused: The reason why ECS refuses protection, empty where that is not known; None while it does not.
        standing: What the processes of the task know of its place in the service.
    """

    busy_at: float
    refused: str | None
    standing: Standing


class Retirement:
    """What one process knows of whether its task is to go.

    Not thread-safe. Whoever drives it asks for the `question` that is due, tells it the answer, and comes back when it
    is `due`, or when there is something else to be seen.

    Attributes:
        asks: What may be asked. What turned out to be impossible is no longer in it.
        stopping: ECS wants the task to stop, as the metadata said last.
        due: When there is something to ask next; inf when never.
    """

    def __init__(self, random: Random, *, now: float) -> None:
        self._random = random
        self.asks = frozenset(Question)
        self.stopping = False
        self._looked_at = now
        self._look_at = now + LOOK_EVERY_S * random.uniform(0.0, 1.0)
        self._ask_at = inf
        self._planned: Standing | None = None  # what `_ask_at` was drawn for

    @property
    def due(self) -> float:
        """See above; as of the last question."""
        return min(self._look_at if Question.TASK in self.asks else inf, self._ask_at)

    def reasons(self, sight: Sight) -> tuple[str, ...]:
        """Why the task is to take no new work; empty while it may."""
        superseded = (SUPERSEDED,) if sight.standing.superseded else ()
        return (*superseded, STOPPING) if self.stopping else superseded

    def question(self, now: float, sight: Sight) -> Question | None:
        """What to ask now, if anything. Whether somebody else was first to ask about a deployment, `Standing` says."""
        self._plan(now, sight)
        if now >= self._ask_at:
            self._ask_at = self._later(now)  # until there is another standing to be seen
            return Question.DEPLOYMENT
        if now < self._look_at or Question.TASK not in self.asks:
            return None
        worked, self._looked_at = sight.busy_at >= self._looked_at, now
        self._look_at = now + LOOK_EVERY_S * self._random.uniform(*SPREAD)
        return Question.TASK if worked or self.stopping else None

    def _plan(self, now: float, sight: Sight) -> None:
        """Say when to ask about the deployment, anew whenever somebody has."""
        standing = sight.standing
        blocked = sight.refused in _BLOCKED and sight.busy_at > standing.asked_at
        if Question.DEPLOYMENT not in self.asks or not (blocked or standing.superseded):
            self._ask_at, self._planned = inf, None
        elif self._planned != standing:
            soonest = now + self._random.uniform(0.0, ASK_WITHIN_S)
            self._ask_at, self._planned = max(soonest, self._later(standing.asked_at)), standing

    def _later(self, asked_at: float) -> float:
        return asked_at + ASK_EVERY_S * self._random.uniform(*LATE)
