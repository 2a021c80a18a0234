"""How long to wait after a failed call (PURE)."""

from __future__ import annotations

from math import inf

from protectwork._steps import Random
from protectwork._types import Outcome

__all__ = ["Backoff"]

_BASE_S = {Outcome.THROTTLED: 2.0}
_REFUSED_S, _REFUSED_MOST_S = 30.0, 300.0
_MISCONFIGURED_S = 600.0
_LEAST_MOST_S, _MOST_S = 5.0, 60.0
_SLOW = frozenset({Outcome.REFUSED, Outcome.MISCONFIGURED})
_SPREAD = (0.5, 1.0)
_SLOW_SPREAD = (0.9, 1.0)


def _kind(outcome: Outcome) -> Outcome | None:
    return outcome if outcome in _SLOW else None


class Backoff:
    """The waits of one kind of call, from its first failure to its next success.

    Attributes:
        outcome: What the last call came to, if it failed.
        retry_at: Before when the call is not made again; -inf when nothing stands in its way.
    """

    def __init__(self, random: Random) -> None:
        self.outcome: Outcome | None = None
        self.retry_at = -inf
        self._random = random
        self._tries = 0

    def clear(self) -> None:
        """The call succeeded, or is no longer wanted."""
        self.outcome, self.retry_at, self._tries = None, -inf, 0

    def wait_until(self, moment: float) -> None:
        """Not before `moment`, for a reason of its own."""
        self.retry_at = max(self.retry_at, moment)

    def failed(self, now: float, outcome: Outcome, *, slack_s: float) -> None:
        """Count a failure and draw the next wait: the less slack there is, the shorter, and never beyond its end."""
        # Another kind of failure is another outage: a restart of the agent says nothing about a refusal before it.
        # Throttling and silence are one kind: a throttled account answers now with a no, now with a 504 (contract §1).
        same = self.outcome is not None and _kind(outcome) == _kind(self.outcome)
        self._tries = self._tries + 1 if same else 0
        self.outcome = outcome
        wait_s = self._wait_s(outcome, slack_s)
        self.retry_at = now + (min(wait_s, slack_s) if slack_s > 0 else wait_s)

    def _wait_s(self, outcome: Outcome, slack_s: float) -> float:
        doubled = 2.0 ** min(self._tries, 30)
        match outcome:
            case Outcome.REFUSED:
                return min(_REFUSED_S * doubled, _REFUSED_MOST_S) * self._random.uniform(*_SLOW_SPREAD)
            case Outcome.MISCONFIGURED:
                return _MISCONFIGURED_S * self._random.uniform(*_SLOW_SPREAD)
            case _:
                most_s = min(max(_LEAST_MOST_S, slack_s / 8), _MOST_S)
                return min(_BASE_S.get(outcome, 1.0) * doubled, most_s) * self._random.uniform(*_SPREAD)
