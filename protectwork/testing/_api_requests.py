"""How ECS reads a request to its API: the operation, its parameters with their rules, and what it speaks of."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

from protectwork.testing._api_ask import DescribeAsk, ProtectionAsk, api_error
from protectwork.testing._cluster import FakeCluster, FakeService
from protectwork.testing._ecs_views import service_view, task_view
from protectwork.testing._exchange import Ask, Call, Reply, Request
from protectwork.testing._placement import Placement
from protectwork.testing._task import MINUTES, Refusal, TaskState

__all__ = ["read"]

_TARGET = "AmazonEC2ContainerServiceV20141113"
_MOST_UPDATED, _MOST_ASKED, _MOST_DESCRIBED, _MOST_SERVICES, _PAGE = 10, 100, 100, 10, 100


def read(
    request: Request, *, clusters: Mapping[str, FakeCluster], own: TaskState, now: float, today: datetime
) -> Ask | Reply:
    """What one request asks of ECS, or ECS's no to it.

    Args:
        request: The request.
        clusters: The clusters, by name.
        own: The task that an answer speaks of where the request names none.
        now: The time.
        today: The same moment as a date (aware, UTC).
    """
    service, _, operation = request.headers.get("x-amz-target", "").rpartition(".")
    if request.method != "POST" or service != _TARGET or operation not in _OPERATIONS:
        return api_error(400, "UnknownOperationException", "")
    try:
        parameters = _parameters(request.body)
        reader = _Reader(operation, parameters, clusters=clusters, own=own, now=now, today=today)
        return _OPERATIONS[operation](reader)
    except _No as no:
        return no.reply


class _No(Exception):  # noqa: N818 - it is an answer
    """ECS's no to a request."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.reply = api_error(400, code, message)


def _invalid(message: str) -> _No:
    return _No("InvalidParameterException", message)


def _parameters(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise _No("SerializationException", "Start of structure or map found where not expected") from None
    if not isinstance(document, dict):
        raise _No("SerializationException", "Unexpected token")
    return {name: value for name, value in cast("dict[str, Any]", document).items() if value is not None}


class _Reader:
    """One request on its way to an ask: its parameters, of the type that ECS's model says."""

    def __init__(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        clusters: Mapping[str, FakeCluster],
        own: TaskState,
        now: float,
        today: datetime,
    ) -> None:
        self.operation = operation
        self._parameters = parameters
        self._clusters = clusters
        self.own = own
        self.now, self.today = now, today

    def text(self, name: str) -> str | None:
        """A string."""
        return cast("str | None", self._typed(name, str))

    def flag(self, name: str) -> bool | None:
        """A boolean."""
        return cast("bool | None", self._typed(name, bool))

    def number(self, name: str) -> int | None:
        """A whole number; JSON's true is none, though Python says so."""
        if isinstance(self._parameters.get(name), bool):
            raise self._mistyped(name)
        return cast("int | None", self._typed(name, int))

    def names(self, name: str, *, most: int) -> list[str]:
        """A list of 1 to `most` strings."""
        given = cast("list[Any]", self._typed(name, list) or [])
        if not all(isinstance(one, str) for one in given):
            raise self._mistyped(name)
        if not 1 <= len(given) <= most:
            raise _invalid(f"{name} must have from 1 to {most} entries, got {len(given)}")
        return given

    def cluster(self, *, needed: bool = False) -> FakeCluster:
        """The cluster; that of the name ``default``, where it may be left out and is."""
        named = self.text("cluster")
        if needed and not named:
            raise _invalid("Cluster cannot be blank.")
        for cluster in self._clusters.values():
            if (named or "default") in {cluster.name, cluster.arn}:
                return cluster
        raise _No("ClusterNotFoundException", "Cluster not found.")

    def _typed(self, name: str, kind: type) -> Any:
        value = self._parameters.get(name)
        if value is not None and not isinstance(value, kind):
            raise self._mistyped(name)
        return value

    def _mistyped(self, name: str) -> _No:
        kind = type(self._parameters[name]).__name__
        return _No("SerializationException", f"{kind} found where {name} of {self.operation} has another type")


def _update(reader: _Reader) -> ProtectionAsk:
    cluster = reader.cluster(needed=True)
    names = reader.names("tasks", most=_MOST_UPDATED)
    enabled, minutes = reader.flag("protectionEnabled"), reader.number("expiresInMinutes")
    if enabled is None:
        raise _invalid("protectionEnabled cannot be blank.")
    if enabled and minutes is not None and minutes not in MINUTES:
        raise _invalid(f"expiresInMinutes must be between {MINUTES[0]} and {MINUTES[-1]}.")
    return _protection(reader, Call.ENABLE if enabled else Call.DISABLE, cluster, names, minutes)


def _get(reader: _Reader) -> ProtectionAsk:
    cluster = reader.cluster(needed=True)
    return _protection(reader, Call.GET, cluster, reader.names("tasks", most=_MOST_ASKED), None)


def _protection(
    reader: _Reader, call: Call, cluster: FakeCluster, names: list[str], minutes: int | None
) -> ProtectionAsk:
    tasks = tuple(_state(cluster, name, enable=call is Call.ENABLE) for name in names)
    return ProtectionAsk(
        call=call,
        operation=reader.operation,
        minutes=minutes,
        task=tasks[0],
        now=reader.now,
        today=reader.today,
        document={"protectedTasks": [], "failures": []},
        key="protectedTasks",
        arns=tuple(task.arn for task in tasks),
        tasks=tasks,
    )


def _state(cluster: FakeCluster, name: str, *, enable: bool) -> TaskState:
    found = cluster.find(name)
    if found:
        return found.task.state(enable=enable)
    return TaskState(arn=_arn(cluster, "task", name), expires=None, refusal=Refusal(reason="MISSING"))


def _describe_tasks(reader: _Reader) -> DescribeAsk:
    cluster = reader.cluster()
    found: dict[str, dict[str, Any] | None] = {}
    for name in reader.names("tasks", most=_MOST_DESCRIBED):
        one = cluster.find(name)
        found[one.arn if one else _arn(cluster, "task", name)] = task_view(one) if one and not one.forgotten else None
    return _described(reader, Call.DESCRIBE_TASKS, "tasks", found)


def _describe_services(reader: _Reader) -> DescribeAsk:
    cluster = reader.cluster()
    found: dict[str, dict[str, Any] | None] = {}
    for name in reader.names("services", most=_MOST_SERVICES):
        one = _service(cluster, name)
        found[one.arn if one else _arn(cluster, "service", name)] = service_view(one) if one else None
    return _described(reader, Call.DESCRIBE_SERVICES, "services", found)


def _arn(cluster: FakeCluster, kind: str, name: str) -> str:
    return name if name.startswith("arn:") else cluster.arn_of(kind, f"{cluster.name}/{name}")


def _service(cluster: FakeCluster, name: str) -> FakeService | None:
    return next((one for one in cluster.services.values() if name in {one.name, one.arn}), None)


def _described(reader: _Reader, call: Call, key: str, found: Mapping[str, dict[str, Any] | None]) -> DescribeAsk:
    missing = [{"arn": arn, "reason": "MISSING"} for arn, one in found.items() if one is None]
    document = {key: [one for one in found.values() if one is not None], "failures": missing}
    return _describing(reader, call, key, document, list(found))


def _describing(reader: _Reader, call: Call, key: str, document: dict[str, Any], arns: list[str]) -> DescribeAsk:
    return DescribeAsk(
        call=call,
        operation=reader.operation,
        task=reader.own,
        now=reader.now,
        today=reader.today,
        document=document,
        key=key,
        arns=tuple(arns),
    )


def _list_tasks(reader: _Reader) -> DescribeAsk:
    cluster = reader.cluster()
    fits = _filters(reader, cluster)
    most = reader.number("maxResults") or _PAGE
    if not 1 <= most <= _PAGE:
        raise _invalid(f"maxResults must be between 1 and {_PAGE}.")
    names = [reader.text(name) for name in ("cluster", "serviceName", "family", "startedBy", "desiredStatus")]
    start = _place(reader.text("nextToken"), names)
    arns = [one.arn for one in cluster.tasks if all(fit(one) for fit in fits)]
    more = {"nextToken": _token(start + most, names)} if len(arns) > start + most else {}
    page = arns[start : start + most]
    return _describing(reader, Call.LIST_TASKS, "taskArns", {"taskArns": page, **more}, page)


def _filters(reader: _Reader, cluster: FakeCluster) -> list[Callable[[Placement], bool]]:
    status = reader.text("desiredStatus") or "RUNNING"
    if status not in {"RUNNING", "PENDING", "STOPPED"}:
        raise _invalid(f"desiredStatus cannot be {status}.")
    fits: list[Callable[[Placement], bool]] = [lambda one: one.desired_status == status]
    if named := reader.text("serviceName"):
        service = _service(cluster, named)
        if not service:
            raise _No("ServiceNotFoundException", "Service not found.")
        fits.append(lambda one: one.service is service)
    if family := reader.text("family"):
        fits.append(lambda one: one.family == family)
    if started_by := reader.text("startedBy"):
        fits.append(lambda one: one.started_by == started_by)
    if launch_type := reader.text("launchType"):
        fits.append(lambda one: one.launch_type == launch_type)
    return fits


def _token(place: int, names: list[str | None]) -> str:
    return base64.urlsafe_b64encode(json.dumps([place, names]).encode()).decode()


def _place(token: str | None, names: list[str | None]) -> int:
    """Where a page begins; a token goes with the request that it was given for."""
    if token is None:
        return 0
    try:
        place, given = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        given = place = None
    if given != names or not isinstance(place, int):
        raise _invalid("Invalid token")
    return place


_OPERATIONS: Mapping[str, Callable[[_Reader], DescribeAsk]] = {
    "DescribeServices": _describe_services,
    "DescribeTasks": _describe_tasks,
    "GetTaskProtection": _get,
    "ListTasks": _list_tasks,
    "UpdateTaskProtection": _update,
}
