"""What a lab tells of itself, in frozen values: events, lines of output, tasks and deployments at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Cause", "DeploymentFacts", "Event", "EventKind", "OutputLine", "Snapshot", "TaskRow"]


class Cause(StrEnum):
    """Why a task ended."""

    SCALE_IN = "scale-in"
    DEPLOYMENT = "deployment"
    STOP_TASK = "StopTask"
    SPOT = "Spot interruption"
    EXIT = "exit of its own"
    CLOSE = "end of the lab"

    @property
    def covered(self) -> bool:
        """Whether protection covers it (contract §4)."""
        return self in {Cause.SCALE_IN, Cause.DEPLOYMENT}


class EventKind(StrEnum):
    """What happened."""

    SCALED = "scaled"
    DEPLOYMENT_BEGAN = "deployment began"
    DEPLOYMENT_COMPLETED = "deployment completed"
    ROLLED_BACK = "rolled back"
    TASK_STARTED = "task started"
    TASK_NOT_STARTED = "task not started"
    TASK_STOPPING = "task stopping"
    """It was told to, with SIGTERM."""
    TASK_KILLED = "task killed"
    """Its time was over: SIGKILL."""
    TASK_ENDED = "task ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened.

    Attributes:
        time: When, in seconds as `Service.now` gives them.
        kind: What.
        task: The name of the task that it happened to.
        detail: What else there is to say.
    """

    time: float
    kind: EventKind
    task: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLine:
    """One line that a container wrote.

    Attributes:
        number: Its place among all lines, from 0.
        time: When it was read.
        task: The name of the task.
        container: The name of the container.
        stream: ``stdout`` or ``stderr``.
        text: The line, without its end.
    """

    number: int
    time: float
    task: str
    container: str
    stream: str
    text: str

    def __str__(self) -> str:
        return f"{self.task} | {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One task at one moment.

    Attributes:
        name: What it is called in this lab: ``worker-3``.
        arn: Its ARN.
        deployment: The id of its deployment.
        primary: Whether that is the primary one.
        began: When it was started.
        stopping: Why it was told to stop; None: it was not.
        protected: Whether it is protected.
        expires_in_s: For how much longer, at the most.
        jobs: The jobs in flight.
    """

    name: str
    arn: str
    deployment: str
    primary: bool
    began: float
    stopping: Cause | None
    protected: bool
    expires_in_s: float | None
    jobs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFacts:
    """One deployment.

    Attributes:
        id: Its id.
        revision: The revision of its task definition.
        began: When it was begun.
        completed: When every task was one of its, as many as desired; None: not yet, or never.
        why_not: What it waits for.
    """

    id: str
    revision: int
    began: float
    completed: float | None
    why_not: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The service at one moment."""

    now: float
    desired: int
    blocked: bool
    tasks: tuple[TaskRow, ...]
    deployments: tuple[DeploymentFacts, ...]
