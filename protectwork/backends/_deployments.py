"""Whether the deployment that a task belongs to is still the service's primary one, by the ECS API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from protectwork._errors import EcsRequestError, EcsUnavailableError
from protectwork.backends._remote_text import JsonObject, escaped

if TYPE_CHECKING:
    from protectwork.backends.ecs import EcsApi
    from protectwork.backends.metadata import TaskMetadata

__all__ = ["Deployments"]

_SERVICE = "service:"
_CALL_S = 20.0  # nobody waits for it, and beside busy work it takes long to load boto3


class Deployments:
    """Asks about the deployments of one task's service. Not for two threads at once.

    Args:
        api: What makes the calls: at most two, and from the second time on one.
        task: The task.
    """

    def __init__(self, api: EcsApi, task: TaskMetadata) -> None:
        self._api, self._task = api, task
        self._own: tuple[str, str] | None = None  # what a task belongs to never changes

    def superseded(self) -> bool:
        """Whether another deployment of the service is primary now. Blocks for as long as the two calls take.

        It goes by the id of the deployment, not by the revision: a deployment that was forced has the same revision.

        Raises:
            EcsAccessError: The task role may not ask.
            EcsRequestError: The task belongs to no service, or to one that ECS itself does not deploy.
            EcsThrottledError, EcsUnavailableError: There is no answer now.
        """
        service, own = self._own = self._own or self._find_own()
        reply = self._api.call("describe_services", deadline_s=_CALL_S, cluster=self._task.cluster, services=[service])
        found = next(_objects(reply, "services"), None)
        if found is None:
            raise _unusable("DescribeServices", reply)
        if found.get("deployments") == []:
            raise EcsRequestError(
                operation="DescribeServices",
                reason="the service has no deployments",
                remedy="ECS itself has to deploy it: deployment controller ECS",
            )
        deployments = _objects(found, "deployments")
        primary = next((each.get("id") for each in deployments if each.get("status") == "PRIMARY"), None)
        if not isinstance(primary, str):
            raise _unusable("DescribeServices", found)
        return primary != own

    def _find_own(self) -> tuple[str, str]:
        """The name of the task's service, which the metadata does not tell all tasks, and the id of its deployment."""
        reply = self._api.call(
            "describe_tasks", deadline_s=_CALL_S, cluster=self._task.cluster, tasks=[self._task.task_arn]
        )
        found = next(_objects(reply, "tasks"), None)
        if found is None:
            raise _unusable("DescribeTasks", reply)
        group, started_by = found.get("group"), found.get("startedBy")
        if isinstance(group, str) and not group.startswith(_SERVICE):
            raise EcsRequestError(
                operation="DescribeTasks",
                reason="the task belongs to no service",
                remedy="leave retire_when_superseded off: nothing replaces this task",
            )
        if not isinstance(group, str) or not isinstance(started_by, str):
            raise _unusable("DescribeTasks", found)
        return group.removeprefix(_SERVICE), started_by


def _objects(content: Mapping[str, object], key: str) -> Iterator[JsonObject]:
    """The objects of a list that an answer holds under `key`; nothing where it holds something else."""
    values = content.get(key)
    for value in cast("list[object]", values) if isinstance(values, list) else ():
        if isinstance(value, dict):
            yield cast("JsonObject", value)


def _unusable(operation: str, said: object) -> EcsUnavailableError:
    return EcsUnavailableError(
        operation=operation,
        reason="unusable answer",
        detail=escaped(repr(said)),
        remedy="ask again",
    )
