"""Answers that look like one and confirm nothing (PURE)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from protectwork.testing import _replies
from protectwork.testing._exchange import Ask, Call, Reply
from protectwork.testing.faults._rules import check_at_least, check_one_of

__all__ = ["Garbage", "GarbageKind", "Oversized"]

GarbageKind = Literal["text", "empty", "shape", "strings", "both", "opposite"]


@dataclass(frozen=True, slots=True)
class Garbage:
    """A 200 that confirms nothing. Nothing was done.

    Attributes:
        kind: ``text``: not JSON. ``empty``: no body. ``shape``: JSON of another shape. ``strings``: strings where
            booleans belong. ``both``: a good answer and a refusal in one. ``opposite``: a PUT is answered with the
            opposite of what it asked for, a GET as ever.
    """

    kind: GarbageKind = "text"

    def __post_init__(self) -> None:
        check_one_of("kind", self.kind, get_args(GarbageKind))

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        good = _claim(ask)
        match self.kind:
            case "text":
                return _replies.in_text("It works!", status=200)
            case "empty":
                return Reply(status=200, content_type="application/json")
            case "shape":
                return _replies.in_json({"protection": [good]})
            case "strings":
                enabled = str(good["ProtectionEnabled"]).lower()
                return _replies.in_json({"protection": {**good, "ProtectionEnabled": enabled}})
            case "both":
                refusal = {"Arn": ask.task.arn, "Detail": None, "Reason": "DEPLOYMENT_BLOCKED"}
                return _replies.in_json({"protection": good, "failure": refusal})
            case "opposite":
                return _replies.in_json({"protection": _claim(ask, opposite=True)})


@dataclass(frozen=True, slots=True)
class Oversized:
    """A good answer, but for its `size` in bytes and that nothing was done."""

    size: int = 128 * 1024

    def __post_init__(self) -> None:
        check_at_least("size", self.size, 64 * 1024 + 1)

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        claim = _claim(ask)
        padding = self.size - len(_replies.in_json({"protection": claim}).body)
        return _replies.in_json({"protection": {**claim, "TaskArn": claim["TaskArn"] + "0" * padding}})


def _claim(ask: Ask, *, opposite: bool = False) -> dict[str, Any]:
    """What a good answer would say, or the opposite of it where a PUT asked for something."""
    if ask.call is Call.GET:
        return _replies.protection(ask, expires=ask.task.expires)
    enabled = (ask.call is Call.ENABLE) is not opposite
    return _replies.protection(ask, expires=ask.now + 3600 if enabled else None)
