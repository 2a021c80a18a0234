"""The other side of a lab's tasks: the agents of all of them, ECS's API with the metadata, one account, one time."""

from __future__ import annotations

from contextlib import ExitStack

from protectwork.testing import EcsTime, Endpoint, FakeAgent, FakeEcsApi, FakeTask, Placement, Quota

__all__ = ["ControlPlane"]


class ControlPlane:
    """Two servers on loopback, around the one service of a lab.

    Args:
        cluster: The name of the cluster.
        service: The name of the service.
        desired: How many tasks it is to have.
        minute_s: How long a minute of protection lasts.

    Attributes:
        time: The time of all of it.
        quota: The account's bucket of task protection actions.
        agent: The agents of all containers.
        ecs: The API, and the metadata of all containers.
        service: The service.
    """

    def __init__(self, *, cluster: str, service: str, desired: int, minute_s: float) -> None:
        self.time = EcsTime(minute_s=minute_s)
        self.quota = Quota(self.time)
        nobodys = FakeTask("arn:aws:ecs:us-west-2:111122223333:task/elsewhere/" + "0" * 32, time=self.time)
        with ExitStack() as opened:
            self.ecs = opened.enter_context(FakeEcsApi(nobodys, quota=self.quota))
            self.agent = opened.enter_context(FakeAgent(nobodys, quota=self.quota))
            self._opened = opened.pop_all()
        self.service = self.ecs.add_cluster(cluster).add_service(service, desired=desired, running=0)

    def environ(self, placement: Placement, container: str) -> dict[str, str]:
        """What a container of a task finds in its environment."""
        endpoint = _endpoint(placement, container)
        self.agent.endpoints[endpoint] = Endpoint(task=placement.task)
        return {
            **self.ecs.environ(placement),
            "AWS_EXECUTION_ENV": f"AWS_ECS_{placement.launch_type}",
            "ECS_AGENT_URI": self.agent.uri_of(endpoint),
            "ECS_CONTAINER_METADATA_URI_V4": self.ecs.metadata_uri_of(placement, container),
        }

    def forget(self, placement: Placement) -> None:
        """The task has ended: no agent knows it any more."""
        for container in placement.containers:
            self.agent.endpoints.pop(_endpoint(placement, container), None)

    def close(self) -> None:
        """Stop both servers; twice is as once."""
        self._opened.close()


def _endpoint(placement: Placement, container: str) -> str:
    return f"{placement.id}-{container}"
