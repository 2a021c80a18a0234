"""Faults of ECS, as they come out of the agent (PURE)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal, get_args

from protectwork.testing import _replies
from protectwork.testing._exchange import Ask, Call, Reply
from protectwork.testing.faults._rules import check_at_least, check_one_of

__all__ = ["Delay", "Digits", "Ecs", "EcsMode", "Error", "ErrorStatus", "LandLate", "Refuse", "Throttle"]

EcsMode = Literal[
    "access_denied",
    "client_exception",
    "deployment_blocked",
    "drop",
    "empty",
    "hang",
    "invalid_parameter",
    "missing",
    "resource_not_found",
    "server_error",
    "task_not_valid",
    "throttle",
    "two_tasks",
    "unavailable",
    "unrecognized_client",
    "unsupported_feature",
]
ErrorStatus = Literal[500, 503, 504]
_RETRY_S = 0.7  # about what one more try of the agent takes


@dataclass(frozen=True, slots=True)
class Refuse:
    """ECS says no: status 200, and a ``failure`` with this reason."""

    reason: str = "DEPLOYMENT_BLOCKED"
    _: KW_ONLY
    detail: str | None = None

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        return _replies.failure(ask, self.reason, detail=self.detail)


@dataclass(frozen=True, slots=True)
class Throttle:
    """ECS says no because of the rate of calls: status 400, ``ThrottlingException``."""

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        return _replies.ecs_error(ask, 400, "ThrottlingException", "Rate exceeded")


@dataclass(frozen=True, slots=True)
class Error:
    """ECS fails (500, 503), or the agent gave up on it (504); told at once. Nothing was done."""

    status: ErrorStatus = 500

    def __post_init__(self) -> None:
        check_one_of("status", self.status, get_args(ErrorStatus))

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        answers = {500: _server_error, 503: _unavailable, 504: _replies.out_of_time}
        return _replies.late(answers[self.status](ask), by_s=0)


@dataclass(frozen=True, slots=True)
class LandLate:
    """What was asked is done so many `seconds` after it came (agent's time), and nobody is told.

    The caller gets a 504 at once or, with ``answered=False``, a closed connection.
    """

    seconds: float = 5.0
    _: KW_ONLY
    answered: bool = True

    def __post_init__(self) -> None:
        check_at_least("seconds", self.seconds, 0)

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        reply = Error(504).reply(ask) if self.answered else _replies.dropped()
        return replace(reply, write=ask.write and replace(ask.write, after_s=self.seconds))


@dataclass(frozen=True, slots=True)
class Delay:
    """The answer comes so many `seconds` late; from 4 s on it is the agent's 504. What was asked is done at once."""

    seconds: float

    def __post_init__(self) -> None:
        check_at_least("seconds", self.seconds, 0)

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        if self.seconds < _replies.PATIENCE_S:
            return _replies.late(_replies.granted(ask), by_s=self.seconds)
        return replace(_replies.out_of_time(ask), write=ask.write)


@dataclass(frozen=True, slots=True)
class Digits:
    """No fault at all: the date of the answer has so many digits after the second."""

    digits: int = 3

    def __post_init__(self) -> None:
        check_one_of("digits", self.digits, range(10))

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        return _replies.granted(ask, digits=self.digits)


@dataclass(frozen=True, slots=True)
class Ecs:
    """ECS behaves in this way towards the agent, and the agent tells what it makes of that.

    Attributes:
        mode: The way.
        tries: For how many of the agent's tries within one request; None: for all.
    """

    mode: EcsMode
    _: KW_ONLY
    tries: int | None = None

    def __post_init__(self) -> None:
        check_one_of("mode", self.mode, get_args(EcsMode))
        check_at_least("tries", 1 if self.tries is None else self.tries, 1)

    def reply(self, ask: Ask, /) -> Reply:
        """See `Fault.reply`."""
        if self.tries is not None and self.tries < self._most_tries(ask):
            return _replies.late(_replies.granted(ask), by_s=self.tries * _RETRY_S)
        return _MODES[self.mode](ask)

    def _most_tries(self, ask: Ask) -> int:
        """How often the agent tries before it gives up, which in truth is left to chance (contract §1)."""
        match self.mode:
            case "server_error" | "drop":
                return 3
            case "unavailable":
                return 3 if ask.call is Call.GET else 2
            case "throttle":
                return 2
            case _:
                return 1


def _server_error(ask: Ask) -> Reply:
    error = _replies.ecs_error(ask, 500, "ServerException", "Service Unavailable. Please try again later.")
    return _replies.late(error, by_s=3 * _RETRY_S)


def _unavailable(ask: Ask) -> Reply:
    return _replies.ecs_error(ask, 503, "UnknownError", "UnknownError", request_id="")


def _unavailable_or_out_of_time(ask: Ask) -> Reply:
    return _replies.late(_unavailable(ask), by_s=3 * _RETRY_S) if ask.call is Call.GET else _replies.out_of_time(ask)


def _access_denied(ask: Ask) -> Reply:
    action = f"ecs:{_replies.operation(ask)}"
    message = (
        f"User: arn:aws:sts::111122223333:assumed-role/role/x is not authorized to perform: {action} on resource: "
        f"{ask.task.arn} because no identity-based policy allows the {action} action"
    )
    return _replies.ecs_error(ask, 400, "AccessDeniedException", message)


def _connection_lost(ask: Ask) -> Reply:
    message = (
        f"operation error ECS: {_replies.operation(ask)}, exceeded maximum number of attempts, 3, https response error "
        'StatusCode: 0, RequestID: , request send failed, Post "https://ecs.us-west-2.amazonaws.com/": EOF'
    )
    error = _replies.agent_error(500, "ServerException", message, arn=ask.task.arn)
    return _replies.late(error, by_s=3 * _RETRY_S)


def _client_error(code: str, message: str) -> Callable[[Ask], Reply]:
    return lambda ask: _replies.ecs_error(ask, 400, code, message)


_MODES: dict[EcsMode, Callable[[Ask], Reply]] = {
    "access_denied": _access_denied,
    "client_exception": _client_error("ClientException", "client"),
    "deployment_blocked": Refuse("DEPLOYMENT_BLOCKED", detail="deployment detail").reply,
    "drop": _connection_lost,
    "empty": lambda _: _replies.dropped(),
    "hang": _replies.out_of_time,
    "invalid_parameter": _client_error("InvalidParameterException", "invalid"),
    "missing": Refuse("MISSING").reply,
    "resource_not_found": _client_error("ResourceNotFoundException", "not found"),
    "server_error": _server_error,
    "task_not_valid": Refuse("TASK_NOT_VALID").reply,
    "throttle": _replies.out_of_time,
    "two_tasks": lambda ask: _replies.agent_error(
        500, "ServerException", "Unexpected error occurred", arn=ask.task.arn
    ),
    "unavailable": _unavailable_or_out_of_time,
    "unrecognized_client": _client_error(
        "UnrecognizedClientException", "The security token included in the request is invalid."
    ),
    "unsupported_feature": _client_error("UnsupportedFeatureException", "unsupported"),
}
