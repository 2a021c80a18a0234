"""How the agent reads a request: its own checks, and what it then asks of ECS for the task behind the endpoint."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NoReturn, cast
from urllib.parse import quote, unquote

from protectwork.testing._agent_ask import AgentAsk, agent_error
from protectwork.testing._exchange import Call, Reply, Request
from protectwork.testing._replies import in_text
from protectwork.testing._task import MINUTES, TaskState

__all__ = ["EndpointState", "read"]

_STATE_PATH = re.compile(r"/api/([^/]+)/task-protection/v1/state")
_INT64 = range(-(2**63), 2**63)
_FIELDS = ("protectionenabled", "expiresinminutes")  # their case does not matter


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointState:
    """What is behind one endpoint id, now: the task (None: it is gone), and whether it has a task role."""

    task: TaskState | None
    credentials: bool = True


LookUp = Callable[[str, bool], EndpointState | None]
"""What is behind an endpoint id, now, as a request for protection (True) or any other one finds it."""


def read(request: Request, *, look_up: LookUp, now: float, today: datetime) -> AgentAsk | Reply:
    """What one request asks of ECS, or the agent's own no to it.

    Args:
        request: The request.
        look_up: Tells what is behind an endpoint id.
        now: The time.
        today: The same moment as a date (aware, UTC).
    """
    raw, mark, query = request.path.partition("?")
    path = unquote(raw)
    if path != (clean := _cleaned(path)):
        return Reply(status=301, headers=(("Location", quote(clean) + mark + query),))
    match = _STATE_PATH.fullmatch(path)
    if not match:
        return in_text("404 page not found\n", status=404)
    if request.method not in {"GET", "PUT"}:
        return Reply(status=405)
    ask = _ask(request, match[1], look_up, now=now, today=today)
    if isinstance(ask, AgentAsk) and ask.call is Call.ENABLE and ask.minutes is not None and ask.minutes not in MINUTES:
        message = f"expiresInMinutes must be between {MINUTES[0]} and {MINUTES[-1]}."
        return replace(ask.error(400, "InvalidParameterException", message), ask=ask)
    return ask


def _cleaned(path: str) -> str:
    """The path without doubled slashes and dots, to which the agent redirects."""
    clean = "/" + posixpath.normpath("/" + path).lstrip("/")
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _ask(request: Request, name: str, look_up: LookUp, *, now: float, today: datetime) -> AgentAsk | Reply:
    """What a request asks of ECS, or the agent's own no; the checks in the agent's order (contract §1)."""
    put = request.method == "PUT"
    try:
        enabled, minutes = _decoded(request.body) if put else (None, None)
    except ValueError:
        message = "UpdateTaskProtection: failed to decode request"
        return agent_error(400, "InvalidParameterException", message)
    endpoint = look_up(name, bool(enabled))
    if endpoint is None:
        return agent_error(404, "ResourceNotFoundException", "Failed to find a task for the request")
    if endpoint.task is None:
        return agent_error(500, "ServerException", "Failed to find a task for the request")
    arn = endpoint.task.arn
    if put and enabled is None:
        message = "Invalid request: does not contain 'ProtectionEnabled' field"
        return agent_error(400, "InvalidParameterException", message, arn=arn)
    if not endpoint.credentials:
        message = "Invalid Request: no task IAM role credentials available for task"
        return agent_error(403, "AccessDeniedException", message, arn=arn)
    call = Call.GET if enabled is None else Call.ENABLE if enabled else Call.DISABLE
    return AgentAsk(call=call, minutes=minutes, task=endpoint.task, now=now, today=today, endpoint=name)


def _decoded(body: bytes) -> tuple[bool | None, int | None]:
    """The two fields of a PUT, read as strictly as the agent's Go does.

    Raises:
        ValueError: The agent cannot decode it.
    """
    try:
        document = json.loads(body.decode(errors="replace"), object_pairs_hook=_fields, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if document is not None and not isinstance(document, dict):
        raise ValueError("not an object")
    fields = cast("dict[str, object]", document or {})
    enabled, minutes = (fields.get(name) for name in _FIELDS)
    if enabled is not None and not isinstance(enabled, bool):
        raise ValueError("not a boolean")
    if minutes is not None and (isinstance(minutes, bool) or not isinstance(minutes, int) or minutes not in _INT64):
        raise ValueError("not an int64")
    return enabled, minutes


def _fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = {name.casefold(): value for name, value in pairs}
    if not fields.keys() <= set(_FIELDS):
        raise ValueError("a field that the agent does not know")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")  # but Python reads it
