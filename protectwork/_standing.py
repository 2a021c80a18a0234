"""What the processes of a task know of its place in the service: whether a newer deployment is primary (PURE)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

__all__ = ["ASK_EVERY_S", "Standing"]

ASK_EVERY_S = 300.0
"""ECS is asked about the deployment no more often, by all processes of the task together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The last answer, and when it was asked for.

    Attributes:
        asked_at: When ECS was last asked. It is written down before, so that of many processes one asks.
        superseded: A newer deployment of the service is primary, as ECS said last.
    """

    asked_at: float = -inf
    superseded: bool = False

    @property
    def asks_at(self) -> float:
        """When ECS may be asked again."""
        return self.asked_at + ASK_EVERY_S

    def claimed(self, now: float) -> Standing | None:
        """This standing, with the question entered; None if it was asked less than 5 min ago."""
        return None if now < self.asks_at else replace(self, asked_at=round(now, 3))

    def answered(self, *, superseded: bool) -> Standing:
        """This standing, with what ECS said."""
        return replace(self, superseded=superseded)
