"""The limit on releases: a worker that flaps between busy and idle must not spend the account's calls on it (PURE)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

__all__ = ["MOST_RELEASES", "Governor"]

MOST_RELEASES = 3.0
_EVERY_MIN = 5.0


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

    def ready_at(self, now: float, *, minute_s: float = 60.0) -> float:
        """When the next release may be sent, where a minute of policy lasts so long."""
        missing = 0.0 if self.paid else 1.0 - self._count(now, minute_s)
        return now if missing <= 0 else now + missing * _EVERY_MIN * minute_s

    def released(self, now: float, *, minute_s: float = 60.0) -> Governor:
        """A release is being sent."""
        if self.paid:
            return self
        return Governor(tokens=max(self._count(now, minute_s) - 1.0, 0.0), counted_at=now, paid=True)

    def _count(self, now: float, minute_s: float) -> float:
        return min(self.tokens + max(now - self.counted_at, 0.0) / (_EVERY_MIN * minute_s), MOST_RELEASES)
