"""What came of a lab: jobs, losses, idle protection, deployments, calls; judged by ECS's own timeline (PURE)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from protectwork.lab._calls import CallCounts
from protectwork.lab._facts import Cause, DeploymentFacts
from protectwork.lab._runs import Run
from protectwork.lab._spans import joined, length, overlap
from protectwork.testing import Span

__all__ = ["KilledJob", "Report", "TaskFacts", "made"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """What is known of one task, in the end or now.

    Attributes:
        id: Its id.
        name: What it is called in this lab.
        began: When it was started.
        ended: When its last process had ended; None: it runs.
        cause: Why it was told to stop, or ended.
        chosen_at: When that was decided.
        was_protected: Whether it was protected then.
        killed: Whether SIGKILL was needed.
        protection: When it was protected, up to its end or now.
    """

    id: str
    name: str
    began: float
    ended: float | None
    cause: Cause | None
    chosen_at: float | None
    was_protected: bool
    killed: bool
    protection: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KilledJob:
    """A job that was in flight when its task ended.

    Attributes:
        job: Its name.
        task: The name of its task.
        cause: Why that ended.
        ran_s: For how long the job had run.
        protected_s: For how long of that the task was protected: 0 where ECS had refused, say.
        protected: Whether the task was protected when its end was decided.
        begun_after: Whether the job began after that.
    """

    job: str
    task: str
    cause: Cause
    ran_s: float
    protected_s: float
    protected: bool
    begun_after: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of a lab so far.

    Attributes:
        seconds: How long it ran.
        started: The jobs that began.
        finished: Those that came to their end, with an exception or without.
        failed: Those of them that had an exception.
        in_flight: Those that run.
        killed: Those that were killed in flight by what protection covers: scale-in and deployments.
        killed_otherwise: Those that were killed in flight by what it does not cover, or at the end of the lab.
        idle_protected_s: For how long tasks were protected that had no job in flight; the sum over all tasks.
        task_s: For how long tasks ran; the sum over all tasks.
        deployments: The deployments, oldest first.
        stops: How many tasks ended, by cause.
        sigkills: How many of them did not end in time.
        calls: The calls for protection.
    """

    seconds: float
    started: int
    finished: int
    failed: int
    in_flight: int
    killed: tuple[KilledJob, ...]
    killed_otherwise: tuple[KilledJob, ...]
    idle_protected_s: float
    task_s: float
    deployments: tuple[DeploymentFacts, ...]
    stops: Mapping[Cause, int]
    sigkills: int
    calls: CallCounts

    @property
    def killed_though_protected(self) -> tuple[KilledJob, ...]:
        """The jobs that were killed though their task was protected when its end was decided; only `stop_task` does."""
        return tuple(job for job in (*self.killed, *self.killed_otherwise) if job.protected)

    @property
    def idle_protected_share(self) -> float:
        """The share of all the time of tasks in which they were protected for nothing."""
        return self.idle_protected_s / self.task_s if self.task_s else 0.0

    def as_json(self) -> dict[str, Any]:
        """The same for a file; times in seconds."""
        fields = asdict(self)
        fields["stops"] = {str(cause): count for cause, count in self.stops.items()}
        fields["calls"] = {**asdict(self.calls), "made": self.calls.made}
        fields["killed_though_protected"] = [asdict(job) for job in self.killed_though_protected]
        fields["idle_protected_share"] = self.idle_protected_share
        return fields


def made(
    *,
    began: float,
    now: float,
    runs: Sequence[Run],
    tasks: Sequence[TaskFacts],
    deployments: Sequence[DeploymentFacts],
    calls: CallCounts,
) -> Report:
    """Hold what the workers told against what ECS saw."""
    by_id = {task.id: task for task in tasks}
    killed = [_killed(run, by_id[run.task]) for run in runs if _is_killed(run, by_id)]
    finished = [run for run in runs if run.ended is not None]
    ends = [task.ended or now for task in tasks]
    return Report(
        seconds=now - began,
        started=len(runs),
        finished=len(finished),
        failed=sum(run.failed for run in finished),
        in_flight=len(runs) - len(finished) - len(killed),
        killed=tuple(job for job in killed if job.cause.covered),
        killed_otherwise=tuple(job for job in killed if not job.cause.covered),
        idle_protected_s=sum(_idle_protected_s(task, runs, now=now) for task in tasks),
        task_s=sum(end - task.began for task, end in zip(tasks, ends, strict=True)),
        deployments=tuple(deployments),
        stops=Counter(task.cause for task in tasks if task.cause and task.ended is not None),
        sigkills=sum(task.killed for task in tasks),
        calls=calls,
    )


def _is_killed(run: Run, tasks: Mapping[str, TaskFacts]) -> bool:
    return run.ended is None and run.task in tasks and tasks[run.task].ended is not None


def _killed(run: Run, task: TaskFacts) -> KilledJob:
    chosen_at = task.ended if task.chosen_at is None else task.chosen_at
    ran = Span(start=run.began, end=max(task.ended or run.began, run.began))
    return KilledJob(
        job=run.job,
        task=task.name,
        cause=task.cause or Cause.EXIT,
        ran_s=length([ran]),
        protected_s=overlap(task.protection, [ran]),
        protected=task.was_protected,
        begun_after=chosen_at is not None and run.began > chosen_at,
    )


def _idle_protected_s(task: TaskFacts, runs: Iterable[Run], *, now: float) -> float:
    end = task.ended or now
    busy = joined(Span(start=run.began, end=min(run.ended or end, end)) for run in runs if run.task == task.id)
    return length(task.protection) - overlap(task.protection, busy)
