"""The limit on releases: a worker that flaps between busy and idle must not spend the account's calls on it (PURE)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

__all__ = ["MOST_RELEASES", "Governor"]

MOST_RELEASES = 3.0
_EVERY_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Governor:
    """At most 3 releases at once, then one per 5 min, for a task. To try one release again costs nothing more.

    Attributes:
        tokens: How many more releases could have gone at `counted_at`.
        counted_at: When they were counted; inf before the first release.
        paid: The next release is a try of one that was counted already.
    """

    tokens: float = MOST_RELEASES
    counted_at: float = inf
    paid: bool = False

    def new_release(self) -> Governor:
        """Work came in between: the next release is another one."""
        return replace(self, paid=False)

    def ready_at(self, now: float) -> float:
        """When the next release may be sent."""
        missing = 0.0 if self.paid else 1.0 - self._count(now)
        return now if missing <= 0 else now + missing * _EVERY_S

    def released(self, now: float) -> Governor:
        """A release is being sent."""
        if self.paid:
            return self
        return Governor(tokens=max(self._count(now) - 1.0, 0.0), counted_at=now, paid=True)

    def _count(self, now: float) -> float:
        return min(self.tokens + max(now - self.counted_at, 0.0) / _EVERY_S, MOST_RELEASES)
