"""What the agent says, word by word (PURE)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from protectwork.testing._exchange import Ask, Call, Reply, Wire

__all__ = [
    "PATIENCE_S",
    "agent_error",
    "dropped",
    "ecs_error",
    "failure",
    "granted",
    "in_json",
    "in_text",
    "late",
    "operation",
    "out_of_time",
    "protection",
]

PATIENCE_S = 4.0
"""How long the agent waits for ECS (contract §1)."""
_REQUEST_ID = "11111111-2222-3333-4444-555555555555"


def in_json(body: Any, *, status: int = 200) -> Reply:
    """A JSON body, written as Go writes it."""
    written = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return Reply(status=status, content_type="application/json", body=written.encode())


def in_text(body: str, *, status: int) -> Reply:
    """A body of plain text."""
    return Reply(status=status, content_type="text/plain; charset=utf-8", body=body.encode())


def dropped() -> Reply:
    """Nothing; the connection is closed."""
    return Reply(status=None, wire=Wire.DROP)


def granted(ask: Ask, *, digits: int = 0) -> Reply:
    """ECS did what it was asked; the date has so many `digits` after the second."""
    expires = ask.task.expires
    if write := ask.write:
        expires = None if write.minutes is None else ask.now + write.minutes * 60
    return replace(in_json({"protection": protection(ask, expires=expires, digits=digits)}), write=ask.write)


def protection(ask: Ask, *, expires: float | None, digits: int = 0) -> dict[str, Any]:
    """What stands under the key ``protection`` of a task that is protected until `expires`, or not at all."""
    date = None if expires is None else _rfc3339(ask.today + timedelta(seconds=expires - ask.now), digits=digits)
    return {"ExpirationDate": date, "ProtectionEnabled": date is not None, "TaskArn": ask.task.arn}


def failure(ask: Ask, reason: str, *, detail: str | None = None) -> Reply:
    """ECS says no, with status 200."""
    return in_json({"failure": {"Arn": ask.task.arn, "Detail": detail, "Reason": reason}})


def agent_error(status: int, code: str, message: str, *, arn: str | None = None) -> Reply:
    """An error of the agent's own: it has no request id."""
    named = {} if arn is None else {"Arn": arn}
    return in_json({"error": {**named, "Code": code, "Message": message}}, status=status)


def ecs_error(ask: Ask, status: int, code: str, message: str, *, request_id: str = _REQUEST_ID) -> Reply:
    """An error of ECS, which the agent passes on."""
    error = {"Arn": ask.task.arn, "Code": code, "Message": message}
    return in_json({"requestID": request_id, "error": error}, status=status)


def out_of_time(ask: Ask) -> Reply:
    """The agent has given up on ECS."""
    message = "Timed out calling ECS Task Protection API"
    return late(agent_error(504, "RequestCanceled", message, arn=ask.task.arn), by_s=PATIENCE_S)


def late(reply: Reply, *, by_s: float) -> Reply:
    """The same reply, so many seconds after the request."""
    return replace(reply, delay_s=by_s)


def operation(ask: Ask) -> str:
    """The name of the action of ECS."""
    return "GetTaskProtection" if ask.call is Call.GET else "UpdateTaskProtection"


def _rfc3339(date: datetime, *, digits: int) -> str:
    fraction = f"{date.microsecond:06d}000"[:digits]
    return f"{date:%Y-%m-%dT%H:%M:%S}{'.' if fraction else ''}{fraction}Z"
