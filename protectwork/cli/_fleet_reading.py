"""What ECS says of the tasks of a cluster: which deployment each belongs to, and whether it is protected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from protectwork import TaskFailure, TaskProtection
from protectwork._fleet import Fleet, pages
from protectwork._settings import printable
from protectwork.backends._arns import id_of
from protectwork.backends._ecs_faults import unusable
from protectwork.backends._remote_text import JsonObject, objects_of

__all__ = ["Deployment", "Held", "Reading", "Task", "read_fleet"]

_PAGE = 100  # tasks in one ListTasks and in one DescribeTasks
_SERVICES = 10  # services in one DescribeServices
_MOST_PAGES = 1000  # of ListTasks: a page that always names a next one is not followed for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One deployment of a service: its id, by which its tasks are started, and its task definition."""

    service: str
    id: str
    primary: bool
    revision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task; None where ECS said nothing.

    Attributes:
        arn: Its ARN.
        service: The service that it belongs to; None of a task of none.
        deployment: The id of the deployment that it belongs to.
        primary: Whether that is the one that ECS works towards; the tasks of the others are to go.
        revision: Its task definition, ``family:revision``.
        started_at: When it started (aware, UTC).
        protection: What ECS says of its protection.
        failure: Why ECS says nothing of its protection.
    """

    arn: str
    service: str | None
    deployment: str | None
    primary: bool | None
    revision: str | None
    started_at: datetime | None
    protection: TaskProtection | None
    failure: TaskFailure | None

    @property
    def id(self) -> str:
        """What is its own of its ARN."""
        return id_of(self.arn)

    @property
    def protected(self) -> bool | None:
        """Whether it is protected; None if ECS does not say."""
        return self.protection.protected if self.protection else None

    @property
    def expires_at(self) -> datetime | None:
        """Until when it is protected."""
        return self.protection.expires_at if self.protection else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A deployment, and the protected tasks of older ones that it waits for."""

    deployment: Deployment
    tasks: tuple[Task, ...]

    @property
    def until(self) -> datetime | None:
        """Until when at most, if nobody renews; None if ECS does not say of each."""
        ends = [task.expires_at for task in self.tasks]
        return None if None in ends else max(end for end in ends if end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The tasks, those that are to go first, and the deployments that are held back."""

    tasks: tuple[Task, ...]
    held: tuple[Held, ...]


def read_fleet(fleet: Fleet, *, service: str | None) -> Reading:
    """Ask for the running tasks of the cluster, or of one of its services.

    Raises:
        EcsError: ECS did not answer.
    """
    arns = _listed(fleet, service)
    entries = {id_of(_text(entry, "taskArn") or ""): entry for entry in _described(fleet, arns)}
    services = {_service(entry) for entry in entries.values()} - {None}
    deployments = _deployments(fleet, sorted(name for name in services if name))
    protections, failures = _protections(fleet, arns)
    tasks = [
        _task(arn, entries.get(id_of(arn), {}), deployments, protections.get(id_of(arn)), failures.get(id_of(arn)))
        for arn in arns
    ]
    tasks.sort(key=_order)
    return Reading(tasks=tuple(tasks), held=tuple(_held(tasks, deployments.values())))


# --- what is asked


def _listed(fleet: Fleet, service: str | None) -> list[str]:
    named = {"serviceName": service} if service else {}
    arns: list[str] = []
    token: object = None
    for _ in range(_MOST_PAGES):
        more = {"nextToken": token} if token else {}
        page = fleet.ask("list_tasks", maxResults=_PAGE, **named, **more)
        found = _texts(page, "taskArns")
        if found is None:
            break
        arns += found
        token = page.get("nextToken")
        if not token:
            return list(dict.fromkeys(arns))
    raise unusable("ListTasks", "its pages cannot be read")


def _described(fleet: Fleet, arns: list[str]) -> list[JsonObject]:
    return [
        entry
        for page in pages(arns, _PAGE)
        for entry in _entries(fleet.ask("describe_tasks", tasks=list(page)), "tasks", operation="DescribeTasks")
    ]


def _deployments(fleet: Fleet, services: list[str]) -> dict[str, Deployment]:
    """Every deployment of these services, by its id."""
    found = [
        deployment
        for page in pages(services, _SERVICES)
        for entry in _entries(
            fleet.ask("describe_services", services=list(page)), "services", operation="DescribeServices"
        )
        for deployment in _deployments_of(entry)
    ]
    return {deployment.id: deployment for deployment in found}


def _protections(fleet: Fleet, arns: list[str]) -> tuple[dict[str, TaskProtection], dict[str, TaskFailure]]:
    """What ECS says of each task's protection, and of which it says nothing, both by the task's id."""
    if not arns:
        return {}, {}
    said = fleet.protections(arns)
    protections = {id_of(entry.task_arn): entry for entry in said.protected_tasks}
    return protections, {id_of(failure.task_arn): failure for failure in said.failures if failure.task_arn}


# --- what is made of it


def _deployments_of(service: JsonObject) -> list[Deployment]:
    name = _text(service, "serviceName")
    return [
        Deployment(
            service=name,
            id=id_,
            primary=_text(entry, "status") == "PRIMARY",
            revision=_revision(entry, "taskDefinition"),
        )
        for entry in _entries(service, "deployments", operation="DescribeServices")
        if name and (id_ := _text(entry, "id"))
    ]


def _task(
    arn: str,
    entry: JsonObject,
    deployments: Mapping[str, Deployment],
    protection: TaskProtection | None,
    failure: TaskFailure | None,
) -> Task:
    service, started_by, started_at = _service(entry), _text(entry, "startedBy"), entry.get("startedAt")
    known = any(deployment.service == service for deployment in deployments.values())
    deployment = deployments.get(started_by or "")
    return Task(
        arn=printable(arn),
        service=service,
        deployment=started_by if service else None,
        # One that the service does not name any more is an old one too.
        primary=(deployment is not None and deployment.primary) if known else None,
        revision=_revision(entry, "taskDefinitionArn"),
        started_at=started_at.astimezone(UTC) if isinstance(started_at, datetime) else None,
        protection=protection,
        failure=failure,
    )


def _held(tasks: Iterable[Task], deployments: Iterable[Deployment]) -> list[Held]:
    old = [task for task in tasks if task.primary is False and task.protected]
    found = [
        Held(deployment=deployment, tasks=tuple(task for task in old if task.service == deployment.service))
        for deployment in deployments
        if deployment.primary
    ]
    return [held for held in found if held.tasks]


def _order(task: Task) -> tuple[object, ...]:
    started = task.started_at.timestamp() if task.started_at else 0.0
    return (task.service is None, task.service or "", task.primary is not False, not task.protected, started, task.arn)


# --- value by value


def _entries(reply: JsonObject, key: str, *, operation: str) -> list[JsonObject]:
    entries = objects_of(reply, key)
    if entries is None:
        raise unusable(operation, f"it has no {key}")
    return entries


def _texts(reply: JsonObject, key: str) -> list[str] | None:
    texts = reply.get(key)
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in cast("list[object]", texts)):
        return None
    return cast("list[str]", texts)


def _text(entry: JsonObject, key: str) -> str | None:
    value = entry.get(key)
    return printable(value) if isinstance(value, str) and value else None


def _service(entry: JsonObject) -> str | None:
    kind, _, name = (_text(entry, "group") or "").partition(":")
    return name if kind == "service" and name else None


def _revision(entry: JsonObject, key: str) -> str | None:
    definition = _text(entry, key)
    return id_of(definition) if definition else None
