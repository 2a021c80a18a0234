"""What the agent answers to a request: one pure function of the request, the tasks behind it, and the time."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NoReturn, cast
from urllib.parse import quote, unquote

from protectwork.testing import _replies
from protectwork.testing._exchange import Armed, Ask, Call, Reply, Request
from protectwork.testing._task import MINUTES, TaskState

__all__ = ["EndpointState", "answer"]

_STATE_PATH = re.compile(r"/api/([^/]+)/task-protection/v1/state")
_INT64 = range(-(2**63), 2**63)
_FIELDS = ("protectionenabled", "expiresinminutes")  # their case does not matter


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointState:
    """What is behind one endpoint id, now: the task (None: it is gone), and whether it has a task role."""

    task: TaskState | None
    credentials: bool = True


def answer(
    request: Request,
    *,
    endpoints: Mapping[str, EndpointState],
    armed: Sequence[Armed],
    now: float,
    today: datetime,
) -> Reply:
    """Answer one request (PURE).

    Args:
        request: The request.
        endpoints: What is behind each endpoint id, now.
        armed: The faults that wait for requests; the first that fits decides the answer.
        now: The time.
        today: The same moment as a date (aware, UTC).
    """
    raw, mark, query = request.path.partition("?")
    path = unquote(raw)
    if path != (clean := _cleaned(path)):
        return Reply(status=301, headers=(("Location", quote(clean) + mark + query),))
    match = _STATE_PATH.fullmatch(path)
    if not match:
        return _replies.in_text("404 page not found\n", status=404)
    if request.method not in {"GET", "PUT"}:
        return Reply(status=405)
    ask = _ask(request, endpoints.get(match[1]), now=now, today=today)
    reply = replace(_ecs(ask, armed), ask=ask) if isinstance(ask, Ask) else ask
    return replace(reply, endpoint=match[1])


def _cleaned(path: str) -> str:
    """The path without doubled slashes and dots, to which the agent redirects."""
    clean = "/" + posixpath.normpath("/" + path).lstrip("/")
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _ask(request: Request, endpoint: EndpointState | None, *, now: float, today: datetime) -> Ask | Reply:
    """What a request asks of ECS, or the agent's own no; the checks in the agent's order (contract §1)."""
    put = request.method == "PUT"
    try:
        enabled, minutes = _decoded(request.body) if put else (None, None)
    except ValueError:
        message = "UpdateTaskProtection: failed to decode request"
        return _replies.agent_error(400, "InvalidParameterException", message)
    if endpoint is None:
        return _replies.agent_error(404, "ResourceNotFoundException", "Failed to find a task for the request")
    if endpoint.task is None:
        return _replies.agent_error(500, "ServerException", "Failed to find a task for the request")
    arn = endpoint.task.arn
    if put and enabled is None:
        message = "Invalid request: does not contain 'ProtectionEnabled' field"
        return _replies.agent_error(400, "InvalidParameterException", message, arn=arn)
    if not endpoint.credentials:
        message = "Invalid Request: no task IAM role credentials available for task"
        return _replies.agent_error(403, "AccessDeniedException", message, arn=arn)
    call = Call.GET if enabled is None else Call.ENABLE if enabled else Call.DISABLE
    return Ask(call=call, minutes=minutes, task=endpoint.task, now=now, today=today)


def _ecs(ask: Ask, armed: Sequence[Armed]) -> Reply:
    """What comes of it at ECS."""
    if ask.call is Call.ENABLE and ask.minutes is not None and ask.minutes not in MINUTES:
        message = f"expiresInMinutes must be between {MINUTES[0]} and {MINUTES[-1]}."
        return _replies.ecs_error(ask, 400, "InvalidParameterException", message)
    for waiting in armed:
        if waiting.only in {None, ask.call}:
            return replace(waiting.fault.reply(ask), spent=waiting)
    return _replies.granted(ask)


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
