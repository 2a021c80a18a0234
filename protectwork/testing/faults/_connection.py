"""Faults of the connection to the agent or to ECS, and of what stands on the way (PURE)."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal, get_args

from protectwork.testing._exchange import Ask, Reply, Wire
from protectwork.testing._replies import dropped, hung, in_text
from protectwork.testing.faults._rules import check_at_least, check_one_of

__all__ = ["ApplyThenDrop", "Drip", "DripPart", "Drop", "Hang", "Limit", "Redirect", "RedirectStatus"]

DripPart = Literal["headers", "body"]
RedirectStatus = Literal[301, 302, 307, 308]


@dataclass(frozen=True, slots=True)
class Limit:
    """The agent's own limiter says no: status 429, plain text."""

    def reply(self, _ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        return in_text("You have reached maximum request limit.", status=429)


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer comes, and the connection stays open until the client or the server closes it.

    With `after_headers`, the headers of a good answer come, and what was asked is done.
    """

    _: KW_ONLY
    after_headers: bool = False

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        if self.after_headers:
            return replace(ask.answered(), wire=Wire.HANG_AFTER_HEADERS)
        return hung()


@dataclass(frozen=True, slots=True)
class Drip:
    """The right answer, its headers or its body sent one byte every `interval_s`. What was asked is done."""

    part: DripPart = "body"
    _: KW_ONLY
    interval_s: float = 1.0

    def __post_init__(self) -> None:
        check_one_of("part", self.part, get_args(DripPart))
        check_at_least("interval_s", self.interval_s, 0)

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        wire = Wire.DRIP_HEADERS if self.part == "headers" else Wire.DRIP_BODY
        return replace(ask.answered(), wire=wire, interval_s=self.interval_s)


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection is closed without an answer; with `reset` it is reset."""

    _: KW_ONLY
    reset: bool = False

    def reply(self, _ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        return Reply(status=None, wire=Wire.RESET if self.reset else Wire.DROP)


@dataclass(frozen=True, slots=True)
class ApplyThenDrop:
    """What was asked is done; then the connection is closed without an answer."""

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        return replace(dropped(), write=ask.write)


@dataclass(frozen=True, slots=True)
class Redirect:
    """The caller is sent elsewhere, where nothing is: by default to another path of the same host."""

    to: str = "/elsewhere"
    _: KW_ONLY
    status: RedirectStatus = 301

    def __post_init__(self) -> None:
        check_one_of("status", self.status, get_args(RedirectStatus))

    def reply(self, _ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        return Reply(status=self.status, headers=(("Location", self.to),))
