"""How long to wait after a failed call (PURE: values in, values out)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from protectwork._steps import Random
from protectwork._types import Answer, Outcome

__all__ = ["Backoff"]

_BASE_S = {Outcome.THROTTLED: 2.0}
_REFUSED_S, _REFUSED_MOST_S = 30.0, 300.0
_MISCONFIGURED_S = 600.0
_LEAST_MOST_S, _MOST_S = 5.0, 60.0
_MOST_TRIES = 30  # beyond it nothing grows any more
_SLOW = frozenset({Outcome.REFUSED, Outcome.MISCONFIGURED})
_SPREAD = (0.5, 1.0)
_SLOW_SPREAD = (0.9, 1.0)


def _kind(outcome: Outcome) -> Outcome | None:
    return outcome if outcome in _SLOW else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The waits of one kind of call, from its first failure to its next success. A fresh one stands in no way.

    Attributes:
        trouble: What the last call came to, if it failed.
        retry_at: Before when the call is not made again; -inf when nothing stands in its way.
        tries: How often it has failed in the same way before.
    """

    trouble: Answer | None = None
    retry_at: float = -inf
    tries: int = 0

    @property
    def outcome(self) -> Outcome | None:
        """The kind of the trouble."""
        return self.trouble.outcome if self.trouble else None

    def not_before(self, moment: float) -> Backoff:
        """Wait until `moment` at least, for a reason of its own."""
        return replace(self, retry_at=max(self.retry_at, moment))

    def failed(self, now: float, trouble: Answer, *, slack_s: float, random: Random) -> Backoff:
        """Count a failure and draw the next wait: the less slack there is, the shorter, and never beyond its end."""
        # Another kind of failure is another outage: a restart of the agent says nothing about a refusal before it.
        # Throttling and silence are one kind: a throttled account answers now with a no, now with a 504 (contract §1).
        same = self.outcome is not None and _kind(trouble.outcome) == _kind(self.outcome)
        tries = min(self.tries + 1, _MOST_TRIES) if same else 0
        wait_s = _wait_s(trouble.outcome, tries, slack_s, random)
        return Backoff(trouble=trouble, retry_at=now + (min(wait_s, slack_s) if slack_s > 0 else wait_s), tries=tries)


def _wait_s(outcome: Outcome, tries: int, slack_s: float, random: Random) -> float:
    doubled = 2.0**tries
    match outcome:
        case Outcome.REFUSED:
            return min(_REFUSED_S * doubled, _REFUSED_MOST_S) * random.uniform(*_SLOW_SPREAD)
        case Outcome.MISCONFIGURED:
            return _MISCONFIGURED_S * random.uniform(*_SLOW_SPREAD)
        case _:
            most_s = min(max(_LEAST_MOST_S, slack_s / 8), _MOST_S)
            return min(_BASE_S.get(outcome, 1.0) * doubled, most_s) * random.uniform(*_SPREAD)
