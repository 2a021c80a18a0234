"""The ECS API: each call by boto3, which lives here, and over by its deadline whatever boto3 does."""

# pyright: reportMissingTypeStubs=false
# boto3 has no types: what of it is used is said here.

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

from protectwork._clock import Clock, steady_now
from protectwork._errors import MetadataError, SettingsError
from protectwork._forks import forgets_on_fork, no_fork
from protectwork._native import hush, is_patched
from protectwork._types import Answer, Outcome
from protectwork.backends._deadline import Bounded, OutOfTimeError, Permit, PermitBody
from protectwork.backends._ecs_answers import classify_fault, classify_reply
from protectwork.backends._ecs_faults import Fault, Kind, error_of, fault_of
from protectwork.backends._endpoint import metadata_url
from protectwork.backends._minutes import whole_minutes
from protectwork.backends._remote_text import escaped
from protectwork.backends.metadata import VARIABLE, read_task_metadata

__all__ = ["EcsApi", "EcsBackend"]

_DEADLINE_S = 6.0
_METADATA_S = 3.0
# By itself boto3 would try for minutes (contract §2).
_CONNECT_S, _READ_S, _ATTEMPTS = 2, 5, 2
_FIRST_ERROR = 300


class EcsBackend:
    """Protects this task by the ECS API itself, where there is no agent endpoint.

    Which task this is, it asks the metadata endpoint, once, at the first call. It sends nothing twice: what was sent
    may be done although it seems to have failed. A forked child begins anew, with a session and a thread of its own.

    Args:
        metadata_uri: The value of ``ECS_CONTAINER_METADATA_URI_V4``; not needed where cluster and task are given.
        cluster: The cluster, by its ARN or name; the metadata's by default.
        task: The task, by its ARN or id; the metadata's by default.
        region: The Region; by default that of the metadata, and where there is none, boto3's own choice.
        allow_endpoint: Host names, addresses or networks that the URI may lead to, beside loopback, link-local and
            private ones.
        clock: What ``sent_at`` is told by; the machine's steady clock by default. Time-outs are always real time.
        deadline_s: How long one call may take in all, in seconds.
        endpoint_url: Where the API is; boto3's own choice by default.
        session: A boto3 session of your own, with credentials of its own; no other thread may use it meanwhile.

    Raises:
        SettingsError: The URI is not one that may be called, or nothing says which task this is.
    """

    name = "ecs"

    def __init__(
        self,
        metadata_uri: str | None = None,
        *,
        cluster: str | None = None,
        task: str | None = None,
        region: str | None = None,
        allow_endpoint: Sequence[str] = (),
        clock: Clock | None = None,
        deadline_s: float = _DEADLINE_S,
        endpoint_url: str | None = None,
        session: Any = None,
    ) -> None:
        if not (metadata_uri or (cluster and task)):
            remedy = "ECS sets it; elsewhere give cluster and task"
            raise SettingsError(setting=VARIABLE, rule="set for the backend ecs", value="nothing", remedy=remedy)
        self.scope = metadata_url(metadata_uri, allow=allow_endpoint) if metadata_uri else f"{cluster} {task}"
        self._given = _Task(cluster=cluster or "", task=task or "", region=region)
        self._task = self._given if cluster and task else None
        self._read = partial(read_task_metadata, {VARIABLE: metadata_uri or ""}, allow_endpoint=allow_endpoint)
        now = steady_now if clock is None else clock.now
        self._new_api = partial(EcsApi, endpoint_url=endpoint_url, session=session, now=now)
        self._api: EcsApi | None = None
        self._deadline_s = deadline_s
        _load_under_greenlets()

    def enable(self, minutes: int) -> Answer:
        """Protect the task for ``minutes`` from now.

        Raises:
            SettingsError: ``minutes`` is not a whole number from 1 to 2880; boto3 would pass on any other.
        """
        writes = {"protectionEnabled": True, "expiresInMinutes": whole_minutes(minutes)}
        return self._ask("update_task_protection", asked=True, **writes)

    def disable(self) -> Answer:
        """End the protection of the task."""
        return self._ask("update_task_protection", asked=False, protectionEnabled=False)

    def get(self) -> Answer:
        """Ask whether the task is protected, and until when."""
        return self._ask("get_task_protection", asked=None)

    def _ask(self, operation: str, *, asked: bool | None, **parameters: object) -> Answer:
        end_by = steady_now() + self._deadline_s
        try:
            task = self._which(min(_METADATA_S, self._deadline_s))
        except MetadataError as error:
            said = escaped(f"{error.reason}: {error.detail}" if error.detail else error.reason)
            return Answer(outcome=Outcome.UNAVAILABLE, reason="no metadata", detail=said)
        self._api = self._api or self._new_api(region=task.region)
        named = {"cluster": task.cluster, "tasks": [task.task], **parameters}
        exchange = self._api.exchange(operation, named, deadline_s=end_by - steady_now(), once=True)
        if exchange.fault:
            answer = classify_fault(exchange.fault, sent=exchange.sent_at is not None)
        else:
            answer = classify_reply(exchange.reply, asked=asked, task=task.task)
        return replace(answer, sent_at=exchange.sent_at)

    def _which(self, deadline_s: float) -> _Task:
        if self._task is None:
            given, told = self._given, self._read(deadline_s=deadline_s)
            self._task = _Task(
                cluster=given.cluster or told.cluster,
                task=given.task or told.task_arn,
                region=given.region or told.region,
            )
        return self._task


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """Which task it is."""

    cluster: str
    task: str
    region: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What came of one call.

    Attributes:
        reply: What boto3 made of the answer, unchecked; empty with a fault.
        fault: Why there is none; None if there is one.
        sent_at: When the request had been written, on the clock that was given; None when nothing was sent.
    """

    reply: Mapping[str, object] = field(default_factory=dict[str, object])
    fault: Fault | None = None
    sent_at: float | None = None


class EcsApi:
    """Calls of the ECS API in one Region, each over by its deadline: loading boto3 and finding credentials included.

    They are made one at a time, on a thread of their own. A call that is over sends nothing any more, however far it
    came. Any thread may use it; a forked child begins anew.

    Args:
        region: The Region; boto3's own choice by default.
        endpoint_url: Where the API is; boto3's own choice by default.
        session: A boto3 session of your own; no other thread may use it meanwhile.
        now: What the time of sending is told by.
    """

    def __init__(
        self,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        session: Any = None,
        now: Callable[[], float] = steady_now,
    ) -> None:
        self._now = now
        self._session = session
        self._line_of = partial(_Line, region=region, endpoint_url=endpoint_url)
        self._bounded = Bounded("ecs-api")
        _load_under_greenlets()
        self.forget_parent()
        forgets_on_fork(self)

    def forget_parent(self) -> None:
        """Begin with no session: locks of the parent's may be taken for ever."""
        self._pid = os.getpid()
        self._lines: list[_Line] = []
        self._sessions: list[Any] = []

    def call(self, operation: str, *, deadline_s: float = _DEADLINE_S, **parameters: object) -> Mapping[str, object]:
        """Ask, and give boto3's reply, unchecked; a question that failed in passing is asked a second time.

        Args:
            operation: The name of boto3's method, ``describe_services`` say; of one that only asks.
            deadline_s: How long it may block in all, in seconds.
            parameters: Those of the method.

        Raises:
            EcsError: There is no reply; its subclasses say why.
        """
        exchange = self.exchange(operation, parameters, deadline_s=deadline_s, once=False)
        if exchange.fault:
            raise error_of(exchange.fault, operation=operation.title().replace("_", ""))
        return exchange.reply

    def exchange(self, operation: str, parameters: Mapping[str, object], *, deadline_s: float, once: bool) -> Exchange:
        """Make one call; never raises for what boto3 or the other side does.

        Args:
            operation: The name of boto3's method.
            parameters: Those of the method.
            deadline_s: How long it may block in all, in seconds.
            once: What has been sent is not sent again; only what could not be sent is tried a second time.
        """
        if os.getpid() != self._pid:  # forked in C, past Python's hooks
            self.forget_parent()
            self._bounded.forget_parent()
        end_by = steady_now() + deadline_s
        call = _Call(operation=operation, parameters=parameters, once=once, permit=Permit(end_by=end_by, now=self._now))
        in_time = self._bounded.run(partial(self._make, call), by=end_by)
        sent_at = call.permit.end()
        if not in_time:
            return self._late(call, sent_at)
        return Exchange(reply=call.reply, fault=call.fault, sent_at=sent_at)

    def _late(self, call: _Call, sent_at: float | None) -> Exchange:
        if call.permit.begun and call.line:  # an answer that hangs is no reason for the next call to wait
            self._bounded.leave_behind()
            self._sessions.append(call.line.session)
        doing = "waiting for the answer" if call.permit.begun else call.doing
        return Exchange(fault=Fault(kind=Kind.UNKNOWN, reason="out of time", detail=doing), sent_at=sent_at)

    def _make(self, call: _Call) -> None:
        try:
            # What a call has taken and never brings back is lost with it: the next one then has a line of its own.
            call.line = self._lines.pop() if self._lines else self._new_line(call)
            call.reply = call.line.ask(call)
        except BaseException as error:  # noqa: BLE001 - whatever boto3 raises is an answer
            call.fault = fault_of(error)
        refused = call.fault is not None and call.fault.kind is Kind.ACCESS
        if call.line and not refused:  # else the next call looks for credentials anew
            self._lines.append(call.line)

    def _new_line(self, call: _Call) -> _Line:
        call.doing = "loading boto3"
        session = self._session or (self._sessions.pop() if self._sessions else _load().session.Session())
        call.doing = "looking for credentials"
        return self._line_of(session)


def _load() -> Any:
    with no_fork:  # a child would wait for ever for a module that was being loaded
        import boto3  # noqa: PLC0415 - it takes half a second, and only this backend needs it
    _hush()
    return boto3


def _load_under_greenlets() -> None:
    """Load it now, on the user's thread: its loggers are made meanwhile, which takes a lock of logging's."""
    if is_patched("gevent.monkey") or is_patched("eventlet.patcher"):
        _load()


def _hush() -> None:
    """Keep what boto3 has loaded so far from logging on a thread of ours, where that would hold up greenlets."""
    hush("boto3", "botocore", "urllib3")


class _Line:
    """A client of boto3's, and the call that it makes; used by one thread at a time."""

    def __init__(self, session: Any, *, region: str | None, endpoint_url: str | None) -> None:
        from botocore.config import Config  # noqa: PLC0415 - as boto3
        from botocore.exceptions import ClientError  # noqa: PLC0415

        retries = {"total_max_attempts": _ATTEMPTS, "mode": "standard"}
        config = Config(connect_timeout=_CONNECT_S, read_timeout=_READ_S, retries=retries)
        self.session = session
        self._client = session.client("ecs", region_name=region, config=config, endpoint_url=endpoint_url)
        _hush()
        self._client.meta.events.register_last("before-send.ecs", self._hold_back)
        self._client.meta.events.register_first("needs-retry.ecs", self._give_up)
        self._error = cast("Any", ClientError)
        self._call: _Call | None = None

    def ask(self, call: _Call) -> Mapping[str, object]:
        """Make the call; raises what boto3 raises."""
        self._call = call
        call.doing = "looking whether the credentials are still good"
        try:
            return cast("Mapping[str, object]", getattr(self._client, call.operation)(**call.parameters))
        finally:
            self._call = None
            self._client.close()  # an idle connection would be closed by the other side, and inherited by children

    def _hold_back(self, request: Any, **_: object) -> None:
        call = self._call
        if call is None or call.permit.over:
            raise OutOfTimeError
        call.doing = "connecting"
        request.body = PermitBody(request.body, call.permit)

    def _give_up(self, *, response: Any, caught_exception: Exception | None, operation: Any, **_: object) -> None:
        """End a call that may not be made again, before boto3 waits to do so."""
        call = self._call
        if call and not call.permit.over and not (call.permit.begun and call.once):
            return
        if caught_exception:
            raise caught_exception
        answer, reply = response
        if answer.status_code >= _FIRST_ERROR:
            raise self._error(reply, operation.name)


@dataclass(slots=True, kw_only=True)
class _Call:
    """One call, and how far it came."""

    operation: str
    parameters: Mapping[str, object]
    once: bool
    permit: Permit
    doing: str = "waiting for an earlier call, which hangs"
    reply: Mapping[str, object] = field(default_factory=dict[str, object])
    fault: Fault | None = None
    line: _Line | None = None
