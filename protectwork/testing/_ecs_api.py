"""FakeEcsApi: ECS's own API and the task metadata endpoint on loopback, around a small cluster with real state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast
from uuid import uuid4

from protectwork._clock import Clock
from protectwork.testing._api_ask import ProtectionAsk
from protectwork.testing._api_requests import read
from protectwork.testing._cluster import FakeCluster
from protectwork.testing._exchange import Ask, Call, Exchange, Fault, Reply, Request
from protectwork.testing._fake import Fake, ServerFactory
from protectwork.testing._metadata import is_metadata, read_metadata
from protectwork.testing._placement import Placement
from protectwork.testing._quota import Quota
from protectwork.testing._task import FakeTask

__all__ = ["FakeEcsApi"]

Asked = Literal["enable", "disable", "get", "list-tasks", "describe-tasks", "describe-services", "metadata"]


class FakeEcsApi(Fake):
    """ECS's API, for any client of boto3, and the metadata endpoint of its tasks. Any thread may use it.

    It knows ListTasks, DescribeTasks, DescribeServices, GetTaskProtection and UpdateTaskProtection, with their limits;
    keeps real state with a real expiry, goes wrong as it is told (`fail`), and remembers everything.

        with FakeEcsApi() as ecs:
            run_my_worker(env=ecs.environ())
            assert ecs.was_protected(start, end)

    Its own task belongs to the service ``worker`` of the cluster that its ARN names. Further services and tasks are
    added to `cluster`. A `FakeAgent` may share the task, or any other one: they see one protection.

    Args:
        task: Its task, where other fakes share it.
        clock: What its time runs with, instead of the machine's clock; not together with a task, which has a time.
        port: The port on 127.0.0.1; 0 for a free one.
        delay_scale: What every delay is multiplied by; 0 for none. Delays are waited in real time.
        server: What listens; the standard library's server by default.
        quota: The account's bucket of task protection actions, where other fakes share it; its own by default.

    Attributes:
        task: Its task.
        time: The time at ECS.
        port: The port.
        quota: The account's bucket of task protection actions.
        clusters: The clusters, by name.
        cluster: The cluster of its task.
        service: The service of its task.
        placement: Its task, as one of the cluster.
    """

    quota: Quota

    def __init__(
        self,
        task: FakeTask | None = None,
        *,
        clock: Clock | None = None,
        port: int = 0,
        delay_scale: float = 1.0,
        server: ServerFactory | None = None,
        quota: Quota | None = None,
    ) -> None:
        super().__init__(task, clock=clock, delay_scale=delay_scale, quota=quota)
        self.quota = quota or Quota(self.time)
        self.cluster = _cluster_of(self.task)
        self.clusters = {self.cluster.name: self.cluster}
        self.service = self.cluster.add_service("worker", running=0)
        self.placement = self.service.start(task=self.task)
        self._containers: dict[str, tuple[Placement, str]] = {}
        self._listen(port, server)

    # -- where it is

    @property
    def url(self) -> str:
        """The ``endpoint_url`` of a client."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def metadata_uri(self) -> str:
        """The value of ``ECS_CONTAINER_METADATA_URI_V4`` for the first container of its task."""
        return self.metadata_uri_of(self.placement)

    def metadata_uri_of(self, placement: Placement, container: str | None = None) -> str:
        """The value of ``ECS_CONTAINER_METADATA_URI_V4`` for a container, the first one by default."""
        behind = (placement, container or placement.containers[0])
        known = next((name for name, one in list(self._containers.items()) if one == behind), None)
        # No other task ever has the same id, though two fakes may both have a task with the same ARN.
        name = known or f"{placement.id}-{uuid4().hex[:10]}"
        self._containers[name] = behind
        return f"{self.url}/v4/{name}"

    def environ(self, placement: Placement | None = None) -> dict[str, str]:
        """What a container of a task, its own by default, needs to find the API and its metadata."""
        return {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_DEFAULT_REGION": self.cluster.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_ECS": self.url,
            "AWS_REGION": self.cluster.region,
            "AWS_SECRET_ACCESS_KEY": "example",
            "ECS_CONTAINER_METADATA_URI_V4": self.metadata_uri_of(placement or self.placement),
        }

    def client_options(self) -> dict[str, str]:
        """What a client of boto3 needs to find the API: ``boto3.client("ecs", **ecs.client_options())``."""
        return {
            "endpoint_url": self.url,
            "region_name": self.cluster.region,
            "aws_access_key_id": "AKIDEXAMPLE",
            "aws_secret_access_key": "example",
        }

    # -- what there is

    def add_cluster(self, name: str) -> FakeCluster:
        """Add an empty cluster."""
        own = self.cluster
        made = self.clusters[name] = FakeCluster(name, time=self.time, region=own.region, account=own.account)
        return made

    # -- what goes wrong

    def fail(self, fault: Fault, *, times: int | None = 1, only: Asked | None = None) -> None:
        """Let something go wrong with the next requests. Faults wait in line: one after the other.

        A client of boto3 repeats by itself what failed, so that one fault may be gone before it is told.

        Args:
            fault: What goes wrong; see `protectwork.testing.faults`.
            times: With how many requests; None: with every one until `heal`.
            only: With which calls; None: with all, but for those to the metadata endpoint, which ECS never sees.

        Raises:
            SettingsError: `times` is less than 1, or `only` is no call.
        """
        self._arm(fault, times=times, only=only, known=tuple(Call))

    # -- what was asked

    def calls_of(self, operation: str) -> tuple[Exchange, ...]:
        """The requests of `calls` of that operation, good or not: ``GetTaskProtection``; ``metadata``."""
        return tuple(call for call in self.calls if call.operation == operation)

    # -- how it answers

    def _read(self, request: Request, now: float) -> Ask | Reply:
        today = self.time.date(now)
        if is_metadata(request):
            return read_metadata(request, containers=self._containers, now=now, today=today)
        return read(request, clusters=self.clusters, own=self.task.state(), now=now, today=today)

    def _tasks(self, ask: Ask) -> Iterable[FakeTask]:
        granted = [task.arn for task in cast("ProtectionAsk", ask).granted]
        found = [cluster.find(arn) for cluster in self.clusters.values() for arn in granted]
        return [one.task for one in found if one]


def _cluster_of(task: FakeTask) -> FakeCluster:
    _, _, _, region, account, name = task.arn.split(":", 5)
    cluster = name.split("/")[1] if name.count("/") == 2 else "default"  # noqa: PLR2004 - task/cluster/id, or task/id
    return FakeCluster(cluster, time=task.time, region=region, account=account)
