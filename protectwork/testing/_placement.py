"""One task in its cluster: what it was started for, how far it has come, and what ECS says no to it with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protectwork.testing._task import FakeTask, Refusal

if TYPE_CHECKING:  # they hold these
    from protectwork.testing._cluster import FakeCluster, FakeDeployment, FakeService

__all__ = ["Placement"]


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
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])

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
