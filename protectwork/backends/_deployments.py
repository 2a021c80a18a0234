"""Whether the deployment that a task belongs to is still the service's primary one, by the ECS API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protectwork._errors import EcsRequestError
from protectwork.backends._ecs_faults import unusable
from protectwork.backends._remote_text import JsonObject, escaped, objects_of

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
        found = _first("DescribeServices", reply, "services")
        if found.get("deployments") == []:
            raise EcsRequestError(
                operation="DescribeServices",
                reason="the service has no deployments",
                remedy="ECS itself has to deploy it: deployment controller ECS",
            )
        deployments = objects_of(found, "deployments") or ()
        primary = next((each.get("id") for each in deployments if each.get("status") == "PRIMARY"), None)
        if not isinstance(primary, str):
            raise unusable("DescribeServices", escaped(repr(found)))
        return primary != own

    def _find_own(self) -> tuple[str, str]:
        """The name of the task's service, which the metadata does not tell all tasks, and the id of its deployment."""
        reply = self._api.call(
            "describe_tasks", deadline_s=_CALL_S, cluster=self._task.cluster, tasks=[self._task.task_arn]
        )
        found = _first("DescribeTasks", reply, "tasks")
        group, started_by = found.get("group"), found.get("startedBy")
        if isinstance(group, str) and not group.startswith(_SERVICE):
            raise EcsRequestError(
                operation="DescribeTasks",
                reason="the task belongs to no service",
                remedy="leave retire_when_superseded off: nothing replaces this task",
            )
        if not isinstance(group, str) or not isinstance(started_by, str):
            raise unusable("DescribeTasks", escaped(repr(found)))
        return group.removeprefix(_SERVICE), started_by


def _first(operation: str, reply: JsonObject, key: str) -> JsonObject:
    """The first object of a list that a reply holds under `key`: the one that was asked for."""
    if found := objects_of(reply, key):
        return found[0]
    raise unusable(operation, escaped(repr(reply)))
