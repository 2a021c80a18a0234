"""A small model of an ECS cluster: services, their deployments, and the tasks that belong to them or to none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from uuid import uuid4

from protectwork._errors import SettingsError
from protectwork.testing._ecs_time import EcsTime
from protectwork.testing._placement import Placement
from protectwork.testing._task import FakeTask

__all__ = ["DeploymentStatus", "FakeCluster", "FakeDeployment", "FakeService", "RolloutState"]


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
        maximum_percent: How many of the desired tasks there may be during a deployment.
        minimum_healthy_percent: How many of them there have to be.
        blocked: Whether ECS refuses protection with DEPLOYMENT_BLOCKED; None: by its rule.
    """

    def __init__(self, cluster: FakeCluster, name: str, *, desired: int, revision: int, launch_type: str) -> None:
        self.cluster = cluster
        self.name = name
        self.desired = desired
        self.launch_type = launch_type
        self.created_at = cluster.time.now()
        self.maximum_percent, self.minimum_healthy_percent = 200, 100
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
        """Let the primary deployment fail, and make the one before it primary again, which ECS keeps the id of.

        Raises:
            SettingsError: There is none before it.
        """
        if len(self.deployments) == 1:
            raise SettingsError(
                setting="roll_back", rule="called after deploy", value=f"no deployment before {self.primary.id}"
            )
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
        """Whether ECS refuses protection: more tasks are protected than desired; who stops counts not (contract §3)."""
        if self.blocked is not None:
            return self.blocked
        return sum(one.task.protected for one in self.tasks if one.desired_status == "RUNNING") > self.desired


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
