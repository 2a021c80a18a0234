"""Answers that look like one and confirm nothing (PURE)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from protectwork.testing._exchange import Ask, Reply
from protectwork.testing._kinds import GarbageKind
from protectwork.testing.faults._rules import check_at_least, check_one_of

__all__ = ["Garbage", "Oversized"]


@dataclass(frozen=True, slots=True)
class Garbage:
    """A 200 that confirms nothing. Nothing was done.

    Attributes:
        kind: ``text``: not JSON. ``empty``: no body. ``shape``: JSON of another shape. ``strings``: strings where
            booleans belong. ``both``: a good answer and a refusal in one. ``neither``: neither of them.
            ``opposite``: a PUT is answered with the opposite of what it asked for, a GET as ever.
    """

    kind: GarbageKind = "text"

    def __post_init__(self) -> None:
        check_one_of("kind", self.kind, get_args(GarbageKind))

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        return ask.garbage(self.kind)


@dataclass(frozen=True, slots=True)
class Oversized:
    """A good answer, but for its `size` in bytes and that nothing was done."""

    size: int = 128 * 1024

    def __post_init__(self) -> None:
        check_at_least("size", self.size, 64 * 1024 + 1)

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        return ask.padded(self.size)
