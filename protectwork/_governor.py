"""The limit on releases: a worker that flaps between busy and idle must not spend the account's calls on it (PURE)."""

from __future__ import annotations

__all__ = ["Governor"]

_MOST = 3
_EVERY_S = 300.0


class Governor:
    """At most 3 releases at once, then one per 5 min. To try one release again costs nothing more."""

    def __init__(self) -> None:
        self._tokens = float(_MOST)
        self._counted_at: float | None = None
        self._paid = False

    def new_release(self) -> None:
        """Work came in between: the next release is another one."""
        self._paid = False

    def ready_at(self, now: float) -> float:
        """When the next release may be sent."""
        missing = 0.0 if self._paid else 1.0 - self._count(now)
        return now if missing <= 0 else now + missing * _EVERY_S

    def release(self, now: float) -> None:
        """A release is being sent."""
        if not self._paid:
            self._tokens = max(self._count(now) - 1.0, 0.0)
            self._counted_at = now
            self._paid = True

    def _count(self, now: float) -> float:
        if self._counted_at is None:
            return self._tokens
        return min(self._tokens + (now - self._counted_at) / _EVERY_S, float(_MOST))
