"""Faults of ECS, told by whoever is asked: the agent, or ECS itself (PURE)."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import get_args

from protectwork.testing._exchange import Ask, Reply
from protectwork.testing._kinds import EcsMode, ErrorStatus
from protectwork.testing._replies import dropped
from protectwork.testing.faults._rules import check_at_least, check_one_of

__all__ = ["Delay", "Digits", "Ecs", "Error", "LandLate", "Refuse", "Throttle"]


@dataclass(frozen=True, slots=True)
class Refuse:
    """ECS says no: status 200, and a failure with this reason; of the API, for every task that was named."""

    reason: str = "DEPLOYMENT_BLOCKED"
    _: KW_ONLY
    detail: str | None = None

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        return ask.refused(self.reason, detail=self.detail)


@dataclass(frozen=True, slots=True)
class Throttle:
    """ECS says no because of the rate of calls: status 400, ``ThrottlingException``."""

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        return ask.error(400, "ThrottlingException", "Rate exceeded")


@dataclass(frozen=True, slots=True)
class Error:
    """ECS fails (500, 503), or who stands before it gave up on it (504); told at once. Nothing was done."""

    status: ErrorStatus = 500

    def __post_init__(self) -> None:
        check_one_of("status", self.status, get_args(ErrorStatus))

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        return ask.failed(self.status)


@dataclass(frozen=True, slots=True)
class LandLate:
    """What was asked is done so many `seconds` after it came (ECS's time), and nobody is told.

    The caller gets a 504 at once or, with ``answered=False``, a closed connection.
    """

    seconds: float = 5.0
    _: KW_ONLY
    answered: bool = True

    def __post_init__(self) -> None:
        check_at_least("seconds", self.seconds, 0)

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        reply = Error(504).reply(ask) if self.answered else dropped()
        return replace(reply, write=ask.write and replace(ask.write, after_s=self.seconds))


@dataclass(frozen=True, slots=True)
class Delay:
    """The answer comes so many `seconds` late; the agent's, from 4 s on, is a 504. What was asked is done at once."""

    seconds: float

    def __post_init__(self) -> None:
        check_at_least("seconds", self.seconds, 0)

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        return ask.delayed(self.seconds)


@dataclass(frozen=True, slots=True)
class Digits:
    """No fault at all: the date of the answer has so many digits after the second."""

    digits: int = 3

    def __post_init__(self) -> None:
        check_one_of("digits", self.digits, range(10))

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        return ask.answered(digits=self.digits)


@dataclass(frozen=True, slots=True)
class Ecs:
    """ECS behaves in this way: towards a client of its API, or towards the agent, which tells what it makes of that.

    Attributes:
        mode: The way.
        tries: For how many of the agent's tries within one request; None: for all. The API tries once.
    """

    mode: EcsMode
    _: KW_ONLY
    tries: int | None = None

    def __post_init__(self) -> None:
        check_one_of("mode", self.mode, get_args(EcsMode))
        check_at_least("tries", 1 if self.tries is None else self.tries, 1)

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        return ask.under(self.mode, tries=self.tries)
