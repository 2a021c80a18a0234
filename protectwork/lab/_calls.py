"""What became of the calls for protection, read off the answers that the fakes gave (PURE)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from protectwork.testing import Call, Exchange

__all__ = ["CallCounts", "counted"]

_OF_PROTECTION = (Call.ENABLE, Call.DISABLE, Call.GET)
_THROTTLED = b"ThrottlingException"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCounts:
    """How many calls there were, by what they asked for, and by what was answered.

    Attributes:
        enables: Those that asked for protection.
        disables: Those that ended it.
        gets: Those that asked whether there is any.
        granted: Those that were answered with what they asked for.
        refused: Those that ECS said no to: ``DEPLOYMENT_BLOCKED``, say.
        throttled: Those that there were too many of.
        failed: All others, those among them that got no answer.
    """

    enables: int
    disables: int
    gets: int
    granted: int
    refused: int
    throttled: int
    failed: int

    @property
    def made(self) -> int:
        """All of them."""
        return self.enables + self.disables + self.gets


def counted(exchanges: Iterable[Exchange]) -> CallCounts:
    """Count the calls for protection among them."""
    calls = [exchange for exchange in exchanges if exchange.call in _OF_PROTECTION]
    asked = Counter(exchange.call for exchange in calls)
    answered = Counter(_answered(exchange) for exchange in calls)
    return CallCounts(
        enables=asked[Call.ENABLE],
        disables=asked[Call.DISABLE],
        gets=asked[Call.GET],
        granted=answered["granted"],
        refused=answered["refused"],
        throttled=answered["throttled"],
        failed=answered["failed"],
    )


def _answered(exchange: Exchange) -> str:
    body = exchange.reply.body
    if exchange.status == 429 or _THROTTLED in body:  # noqa: PLR2004 - the agent's own limiter
        return "throttled"
    if exchange.status != 200:  # noqa: PLR2004
        return "failed"
    try:
        said: Any = json.loads(body)
    except ValueError:
        return "failed"
    told = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    if told.get("failure") or told.get("failures"):
        return "refused"
    return "granted" if told.get("protection") or told.get("protectedTasks") else "failed"
