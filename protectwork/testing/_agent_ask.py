"""What a good request asks of the agent, and what the agent says to it, word by word (PURE)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from protectwork.testing._behaviours import plain
from protectwork.testing._exchange import Call, Reply, write_of
from protectwork.testing._kinds import EcsMode, ErrorStatus, GarbageKind
from protectwork.testing._replies import dropped, in_json, in_text, late
from protectwork.testing._task import TaskState, Write

__all__ = ["AgentAsk", "agent_error"]

_PATIENCE_S = 4.0  # how long the agent waits for ECS (contract §1)
_RETRY_S = 0.7  # about what one more try of the agent takes
_REQUEST_ID = "11111111-2222-3333-4444-555555555555"


def agent_error(status: int, code: str, message: str, *, arn: str | None = None) -> Reply:
    """An error of the agent's own: it has no request id."""
    named = {} if arn is None else {"Arn": arn}
    return in_json({"error": {**named, "Code": code, "Message": message}}, status=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAsk:
    """See `Ask`; of the agent, for the one task behind the `endpoint` of that id."""

    call: Call
    minutes: int | None
    task: TaskState
    now: float
    today: datetime
    endpoint: str

    @property
    def operation(self) -> str:
        """See `Ask`."""
        return "GetTaskProtection" if self.call is Call.GET else "UpdateTaskProtection"

    @property
    def write(self) -> Write | None:
        """See `Ask`."""
        return None if self.task.refusal else write_of(self.call, self.minutes)

    def answered(self, *, digits: int | None = None) -> Reply:
        """See `Ask.answered`."""
        if refusal := self.task.refusal:
            return self.refused(refusal.reason, detail=refusal.detail)
        expires = self.task.expires_after(self.write, now=self.now)
        return replace(in_json({"protection": self._protection(expires, digits=digits or 0)}), write=self.write)

    def refused(self, reason: str, *, detail: str | None = None) -> Reply:
        """See `Ask.refused`."""
        return in_json({"failure": {"Arn": self.task.arn, "Detail": detail, "Reason": reason}})

    def error(self, status: int, code: str, message: str) -> Reply:
        """See `Ask.error`; the agent passes it on."""
        return _passed_on(self, status, code, message)

    def failed(self, status: ErrorStatus) -> Reply:
        """See `Ask.failed`."""
        return late(_FAILURES[status](self), by_s=0)

    def delayed(self, seconds: float) -> Reply:
        """See `Ask.delayed`; the agent waits for ECS for 4 s at most."""
        if seconds < _PATIENCE_S:
            return late(self.answered(), by_s=seconds)
        return replace(_out_of_time(self), write=self.write)

    def under(self, mode: EcsMode, *, tries: int | None = None) -> Reply:
        """See `Ask.under`; what the agent makes of it."""
        if tries is not None and tries < self._most_tries(mode):
            return late(self.answered(), by_s=tries * _RETRY_S)
        return plain(self, mode) or _MODES[mode](self)

    def garbage(self, kind: GarbageKind) -> Reply:
        """See `Ask.garbage`."""
        if kind == "text":
            return in_text("It works!", status=200)
        if kind == "empty":
            return Reply(status=200, content_type="application/json")
        return in_json(self._nonsense(kind))

    def _nonsense(self, kind: GarbageKind) -> dict[str, Any]:
        good = self._claim()
        match kind:
            case "shape":
                return {"protection": [good]}
            case "strings":
                return {"protection": {**good, "ProtectionEnabled": str(good["ProtectionEnabled"]).lower()}}
            case "both":
                refusal = {"Arn": self.task.arn, "Detail": None, "Reason": "DEPLOYMENT_BLOCKED"}
                return {"protection": good, "failure": refusal}
            case "opposite":
                return {"protection": self._claim(opposite=True)}
            case _:
                return {}

    def padded(self, size: int) -> Reply:
        """See `Ask.padded`; nothing was done."""
        claim = self._claim()
        padding = size - len(in_json({"protection": claim}).body)
        return in_json({"protection": {**claim, "TaskArn": claim["TaskArn"] + "0" * padding}})

    def _most_tries(self, mode: EcsMode) -> int:
        """How often the agent tries before it gives up, which in truth is left to chance (contract §1)."""
        match mode:
            case "server_error" | "drop":
                return 3
            case "unavailable":
                return 3 if self.call is Call.GET else 2
            case "throttle":
                return 2
            case _:
                return 1

    def _claim(self, *, opposite: bool = False) -> dict[str, Any]:
        """What a good answer would say, or the opposite of it where a PUT asked for something."""
        if self.call is Call.GET:
            return self._protection(self.task.expires)
        enabled = (self.call is Call.ENABLE) is not opposite
        return self._protection(self.now + 3600 if enabled else None)

    def _protection(self, expires: float | None, *, digits: int = 0) -> dict[str, Any]:
        """What stands under the key ``protection`` of a task that is protected until `expires`, or not at all."""
        date = None if expires is None else _rfc3339(self.today + timedelta(seconds=expires - self.now), digits=digits)
        return {"ExpirationDate": date, "ProtectionEnabled": date is not None, "TaskArn": self.task.arn}


def _rfc3339(date: datetime, *, digits: int) -> str:
    fraction = f"{date.microsecond:06d}000"[:digits]
    return f"{date:%Y-%m-%dT%H:%M:%S}{'.' if fraction else ''}{fraction}Z"


def _passed_on(ask: AgentAsk, status: int, code: str, message: str, *, request_id: str = _REQUEST_ID) -> Reply:
    error = {"Arn": ask.task.arn, "Code": code, "Message": message}
    return in_json({"requestID": request_id, "error": error}, status=status)


def _own_failure(ask: AgentAsk, message: str) -> Reply:
    return agent_error(500, "ServerException", message, arn=ask.task.arn)


def _server_error(ask: AgentAsk) -> Reply:
    error = _passed_on(ask, 500, "ServerException", "Service Unavailable. Please try again later.")
    return late(error, by_s=3 * _RETRY_S)


def _unavailable(ask: AgentAsk) -> Reply:
    return _passed_on(ask, 503, "UnknownError", "UnknownError", request_id="")


def _unavailable_or_out_of_time(ask: AgentAsk) -> Reply:
    return late(_unavailable(ask), by_s=3 * _RETRY_S) if ask.call is Call.GET else _out_of_time(ask)


def _out_of_time(ask: AgentAsk) -> Reply:
    """The agent has given up on ECS."""
    message = "Timed out calling ECS Task Protection API"
    return late(agent_error(504, "RequestCanceled", message, arn=ask.task.arn), by_s=_PATIENCE_S)


def _connection_lost(ask: AgentAsk) -> Reply:
    message = (
        f"operation error ECS: {ask.operation}, exceeded maximum number of attempts, 3, https response error "
        'StatusCode: 0, RequestID: , request send failed, Post "https://ecs.us-west-2.amazonaws.com/": EOF'
    )
    return late(_own_failure(ask, message), by_s=3 * _RETRY_S)


_FAILURES: dict[ErrorStatus, Callable[[AgentAsk], Reply]] = {500: _server_error, 503: _unavailable, 504: _out_of_time}
_MODES: dict[EcsMode, Callable[[AgentAsk], Reply]] = {
    "drop": _connection_lost,
    "empty": lambda _: dropped(),
    "hang": _out_of_time,
    "server_error": _server_error,
    "throttle": _out_of_time,
    "two_tasks": lambda ask: _own_failure(ask, "Unexpected error occurred"),
    "unavailable": _unavailable_or_out_of_time,
}
