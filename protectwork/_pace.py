"""How often the processes of a task may call, all together (PURE: values in, values out)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf

from protectwork._backoff import Backoff
from protectwork._governor import Governor
from protectwork._types import Answer, Outcome

__all__ = ["CALL_EVERY_S", "Pace"]

CALL_EVERY_S = 1.0  # the call cap of a task
CALL_S = 7.0  # a call ends after 6 s (contract §1); who has not noted its answer by then is stopped, or dead
LINGER_MOST_S = 900.0
PASSES_WITHIN_S = 180.0  # a 403 after an agent restart is gone by then; later it is the set-up's
FORGOTTEN_AFTER_S = 1200.0  # two such 403 that far apart have nothing to do with each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What was spent, and what stands in the way of the next call: the task's, not the process's.

    Attributes:
        last_sent: When the last call was entered.
        caller: Who makes a call now; empty when nobody does.
        call_ends: When that call has come to an answer at the latest.
        enabling: The waits between enables.
        releasing: The waits between disables.
        asking: The waits between GETs; work that comes and goes does not clear it.
        governor: The limit on releases.
        linger_s: The linger that throttling has stretched; 0 when it has not.
        forbidden: The first and the last of the 403s that may pass.
    """

    last_sent: float = -inf
    caller: str = ""
    call_ends: float = -inf
    enabling: Backoff = field(default_factory=Backoff)
    releasing: Backoff = field(default_factory=Backoff)
    asking: Backoff = field(default_factory=Backoff)
    governor: Governor = field(default_factory=Governor)
    linger_s: float = 0.0
    forbidden: tuple[float, float] | None = None

    @property
    def ready_at(self) -> float:
        """When the next call may be made, whatever it is: at most one at a time, and never two within a second."""
        return max(self.last_sent + CALL_EVERY_S, self.call_ends)

    def called(self, now: float, caller: str) -> Pace:
        """`caller` begins a call."""
        return replace(self, last_sent=now, caller=caller, call_ends=now + CALL_S)

    def over(self, caller: str) -> Pace:
        """The call of `caller` is over: it was answered, or `caller` died. Nothing, if another calls by now."""
        return replace(self, caller="", call_ends=-inf) if self.caller == caller else self

    def stretched(self, outcome: Outcome, linger_s: float, *, most_s: float = LINGER_MOST_S) -> Pace:
        """Throttling doubles the linger, success shrinks it: a crowded account gets fewer calls from everyone."""
        if outcome is Outcome.THROTTLED:
            return replace(self, linger_s=min(max(self.linger_s, linger_s, 1.0) * 2, most_s))
        if outcome is Outcome.CONFIRMED and self.linger_s:
            return replace(self, linger_s=self.linger_s / 2 if self.linger_s / 2 > linger_s else 0.0)
        return self

    def judged(self, now: float, answer: Answer) -> tuple[Pace, Outcome]:
        """What the answer counts as: a 403 that an agent restart also gives is unavailable at first (contract §1)."""
        if not answer.may_pass:
            return replace(self, forbidden=None), answer.outcome
        first, last = self.forbidden or (now, now)
        if now - last > FORGOTTEN_AFTER_S:
            first = now
        passing = now - first < PASSES_WITHIN_S
        return replace(self, forbidden=(first, now)), Outcome.UNAVAILABLE if passing else answer.outcome
