"""A small model of an ECS cluster: services, their deployments, and the tasks that belong to them or to none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as _field
from enum import StrEnum
from itertools import count
from typing import Any
from uuid import uuid4

from protectwork.testing._ecs_time import EcsTime
from protectwork.testing._task import FakeTask, Refusal

__all__ = ["DeploymentStatus", "FakeCluster", "FakeDeployment", "FakeService", "Placement", "RolloutState"]


class DeploymentStatus(StrEnum):
    """What a deployment is to its service."""

    PRIMARY = "PRIMARY"
    """The newest: tasks are started of it."""
    ACTIVE = "ACTIVE"
    """An older one that still has tasks."""
    INACTIVE = "INACTIVE"
    """An older one that has none."""


class RolloutState(StrEnum):
    """How far a deployment is."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    IN_PROGRESS = "IN_PROGRESS"


@dataclass(eq=False, slots=True, kw_only=True)
class Placement:
    """One task in its cluster: what it was started for, and how far it has come. Times are those of the cluster.

    Attributes:
        task: The task: its ARN, and its protection.
        cluster: Where it runs.
        deployment: What it was started for; None: it stands alone.
        family: The family of its task definition.
        revision: The revision of its task definition.
        started_by: What ECS says it was started by: the id of the deployment, or whatever whoever ran it said.
        created_at: When it was asked for.
        started_at: When it ran; None: it does not yet.
        stopping_at: When it was told to stop.
        stopped_at: When it had stopped.
        last_status: Where it is: ``PENDING``, ``RUNNING``, ``STOPPED`` and what lies between.
        desired_status: Where it is to be: ``RUNNING`` or ``STOPPED``.
        stop_code: Why it stopped, in one word of ECS: ``ServiceSchedulerInitiated``.
        stopped_reason: Why it stopped, in a sentence.
        containers: The names of its containers.
        forgotten: ECS knows it no longer: it is MISSING, though a list may still name it.
        metadata: What its metadata say otherwise, by key: ``{"Cluster": "work", "ServiceName": None}``; None: nothing.
    """

    task: FakeTask
    cluster: FakeCluster
    deployment: FakeDeployment | None
    family: str
    revision: int
    started_by: str
    created_at: float
    started_at: float | None
    stopping_at: float | None = None
    stopped_at: float | None = None
    last_status: str = "RUNNING"
    desired_status: str = "RUNNING"
    stop_code: str | None = None
    stopped_reason: str | None = None
    containers: Sequence[str] = ("worker",)
    forgotten: bool = False
    metadata: dict[str, Any] = _field(default_factory=dict[str, Any])

    @property
    def arn(self) -> str:
        """The ARN of the task."""
        return self.task.arn

    @property
    def id(self) -> str:
        """The id of the task, which its ARN ends with."""
        return self.arn.rpartition("/")[2]

    @property
    def service(self) -> FakeService | None:
        """The service that it belongs to."""
        return self.deployment.service if self.deployment else None

    @property
    def group(self) -> str:
        """What ECS says it belongs to."""
        return f"service:{self.service.name}" if self.service else f"family:{self.family}"

    @property
    def launch_type(self) -> str:
        """What it runs on."""
        return self.service.launch_type if self.service else "FARGATE"

    @property
    def running(self) -> bool:
        """Whether it runs, and is to go on."""
        return self.last_status == "RUNNING" and self.desired_status == "RUNNING"

    def run(self) -> None:
        """Let it have started."""
        self.last_status, self.started_at = "RUNNING", self.cluster.time.now()

    def stop(self, *, code: str = "ServiceSchedulerInitiated", reason: str = "Scaling activity initiated") -> None:
        """Tell it to stop: from now on its desired status is ``STOPPED``; `end` is what stops it."""
        self.desired_status, self.stopping_at = "STOPPED", self.cluster.time.now()
        self.stop_code, self.stopped_reason = code, reason

    def end(self) -> None:
        """Let it have stopped."""
        if self.stopping_at is None:
            self.stop(code="EssentialContainerExited", reason="Essential container in task exited")
        self.last_status, self.stopped_at = "STOPPED", self.cluster.time.now()

    def forget(self) -> None:
        """Let ECS know it no longer: it is MISSING, though a list may still name it."""
        self.forgotten = True

    def refusal(self, enable: bool) -> Refusal | None:  # noqa: FBT001 - see `FakeTask.rule`
        """What ECS says no with now, to a request for protection or to any other (contract §3)."""
        if self.forgotten or self.last_status == "STOPPED":
            return Refusal(reason="MISSING")
        if not self.service:
            return Refusal(reason="TASK_NOT_VALID")
        if enable and self.service.is_blocked():
            detail = "More tasks of the service are protected than its desired count"
            return Refusal(reason="DEPLOYMENT_BLOCKED", detail=detail)
        return None


@dataclass(eq=False, slots=True, kw_only=True)
class FakeDeployment:
    """One deployment of a service.

    Attributes:
        service: The service.
        id: Its id, as in ``startedBy`` of its tasks.
        revision: The revision of the task definition.
        created_at: When it was made.
        failed: Why it failed; None: it did not.
    """

    service: FakeService
    id: str
    revision: int
    created_at: float
    failed: str | None = None

    @property
    def tasks(self) -> tuple[Placement, ...]:
        """Its tasks that have not stopped."""
        return tuple(one for one in self.service.tasks if one.deployment is self)

    @property
    def status(self) -> DeploymentStatus:
        """What it is to its service."""
        if self is self.service.primary:
            return DeploymentStatus.PRIMARY
        return DeploymentStatus.ACTIVE if self.tasks else DeploymentStatus.INACTIVE

    @property
    def rollout_state(self) -> RolloutState:
        """How far it is: completed, once it has the tasks that are desired, and no other has any."""
        if self.failed:
            return RolloutState.FAILED
        mine, all_of_them = self.tasks, self.service.tasks
        whole = sum(one.running for one in mine) >= self.service.desired and len(mine) == len(all_of_them)
        done = whole or self.status is not DeploymentStatus.PRIMARY
        return RolloutState.COMPLETED if done else RolloutState.IN_PROGRESS


class FakeService:
    """One service of a cluster. It starts and stops nothing by itself: who uses it does.

    Attributes:
        cluster: Where it runs.
        name: Its name.
        desired: How many tasks there are to be.
        launch_type: What they run on.
        deployments: The newest first.
        blocked: Whether ECS refuses protection with DEPLOYMENT_BLOCKED; None: by its rule.
    """

    def __init__(self, cluster: FakeCluster, name: str, *, desired: int, revision: int, launch_type: str) -> None:
        self.cluster = cluster
        self.name = name
        self.desired = desired
        self.launch_type = launch_type
        self.created_at = cluster.time.now()
        self.blocked: bool | None = None
        self.deployments: list[FakeDeployment] = []
        self._tasks: list[Placement] = []
        self.deploy(revision=revision)

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.cluster.arn_of("service", f"{self.cluster.name}/{self.name}")

    @property
    def primary(self) -> FakeDeployment:
        """The deployment that tasks are started of."""
        return self.deployments[0]

    @property
    def tasks(self) -> tuple[Placement, ...]:
        """Its tasks that have not stopped, in the order in which they were started."""
        return tuple(one for one in list(self._tasks) if one.last_status != "STOPPED")

    def deploy(self, *, revision: int | None = None) -> FakeDeployment:
        """Make a newer deployment the primary one; by default of the next revision. No task is started or stopped."""
        made = FakeDeployment(
            service=self,
            id=self.cluster.draw_id("ecs-svc"),
            revision=revision or self.primary.revision + 1,
            created_at=self.cluster.time.now(),
        )
        self.deployments.insert(0, made)
        return made

    def roll_back(self, *, reason: str = "ECS deployment circuit breaker: tasks failed to start.") -> FakeDeployment:
        """Let the primary deployment fail, and make the one before it primary again, which ECS keeps the id of."""
        failed, before, *older = self.deployments
        failed.failed = reason
        self.deployments = [before, failed, *older]
        return before

    def start(
        self, *, deployment: FakeDeployment | None = None, task: FakeTask | None = None, running: bool = True
    ) -> Placement:
        """Start one task, by default a new one of the primary deployment; a pending one, if not `running`."""
        of = deployment or self.primary
        started = self.cluster.place(
            task, deployment=of, family=self.name, revision=of.revision, started_by=of.id, running=running
        )
        self._tasks.append(started)
        return started

    def is_blocked(self) -> bool:
        """Whether ECS refuses protection: more tasks are protected than desired (contract §3)."""
        if self.blocked is not None:
            return self.blocked
        return sum(one.task.protected for one in self.tasks) > self.desired


class FakeCluster:
    """One cluster, with what runs in it.

    Args:
        name: Its name.
        time: The time that it lives in.
        region: Where it is.
        account: Whose it is.

    Attributes:
        services: The services, by name.
    """

    def __init__(
        self, name: str, *, time: EcsTime, region: str = "us-west-2", account: str = "111122223333", zone: str = "a"
    ) -> None:
        self.name = name
        self.time = time
        self.region, self.account, self.availability_zone = region, account, region + zone
        self.services: dict[str, FakeService] = {}
        self._tasks: dict[str, Placement] = {}  # by id
        self._ids = count(7_000_000_000_000_000_001)

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.arn_of("cluster", self.name)

    @property
    def tasks(self) -> tuple[Placement, ...]:
        """Every task, those that have stopped among them, in the order in which they were started."""
        return tuple(self._tasks.values())

    def arn_of(self, kind: str, name: str) -> str:
        """The ARN of something in it."""
        return f"arn:aws:ecs:{self.region}:{self.account}:{kind}/{name}"

    def draw_id(self, prefix: str) -> str:
        """A new id, as ECS draws it for deployments."""
        return f"{prefix}/{next(self._ids)}"

    def add_service(
        self,
        name: str,
        *,
        desired: int = 1,
        running: int | None = None,
        revision: int = 1,
        launch_type: str = "FARGATE",
    ) -> FakeService:
        """Add a service, with so many `running` tasks, as many as `desired` by default."""
        service = self.services[name] = FakeService(
            self, name, desired=desired, revision=revision, launch_type=launch_type
        )
        for _ in range(desired if running is None else running):
            service.start()
        return service

    def run_task(
        self, *, family: str = "job", revision: int = 1, started_by: str = "", task: FakeTask | None = None
    ) -> Placement:
        """Run one task that belongs to no service."""
        return self.place(task, deployment=None, family=family, revision=revision, started_by=started_by, running=True)

    def place(
        self,
        task: FakeTask | None,
        *,
        deployment: FakeDeployment | None,
        family: str,
        revision: int,
        started_by: str,
        running: bool,
    ) -> Placement:
        """Put a task, by default a new one, into the cluster; ECS's rules are its rule from now on."""
        now = self.time.now()
        made = Placement(
            task=task or FakeTask(self.arn_of("task", f"{self.name}/{uuid4().hex}"), time=self.time),
            cluster=self,
            deployment=deployment,
            family=family,
            revision=revision,
            started_by=started_by,
            created_at=now,
            started_at=now if running else None,
            last_status="RUNNING" if running else "PENDING",
        )
        made.task.rule = made.refusal
        self._tasks[made.id] = made
        return made

    def find(self, task: str) -> Placement | None:
        """The task with that id or ARN."""
        one = self._tasks.get(task.rpartition("/")[2])
        return one if one and task in {one.arn, one.id} else None
