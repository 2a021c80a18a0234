"""What an engine knows at one moment, as values; whoever asks holds the engine's lock."""

from __future__ import annotations

from collections.abc import Sequence

from protectwork.lab._engine import Deployed, Engine
from protectwork.lab._facts import DeploymentFacts, Snapshot, TaskRow
from protectwork.lab._plan import room_for
from protectwork.lab._report import TaskFacts
from protectwork.lab._runs import Run
from protectwork.lab._spans import complement
from protectwork.lab._tasks import LabTask

__all__ = ["deployment_facts", "snapshot", "task_facts"]


def snapshot(engine: Engine, runs: Sequence[Run], now: float) -> Snapshot:
    """The service now, with every task that has not ended."""
    service = engine.control.service
    return Snapshot(
        now=now,
        desired=service.desired,
        blocked=service.is_blocked(),
        tasks=tuple(_row(engine, task, runs, now) for task in engine.tasks if task.ended is None),
        deployments=deployment_facts(engine, now),
    )


def _row(engine: Engine, task: LabTask, runs: Sequence[Run], now: float) -> TaskRow:
    expires = task.placement.task.expires
    return TaskRow(
        name=task.name,
        arn=task.placement.arn,
        deployment=task.deployment.id,
        primary=task.deployment is engine.control.service.primary,
        began=task.began,
        stopping=task.cause,
        protected=expires is not None,
        expires_in_s=None if expires is None else max(expires - now, 0.0),
        jobs=tuple(run.job for run in runs if run.task == task.id and run.ended is None),
    )


def task_facts(task: LabTask, now: float) -> TaskFacts:
    """What is known of one task."""
    end = now if task.ended is None else task.ended
    gaps = task.placement.task.unprotected_spans(task.began, end)
    return TaskFacts(
        id=task.id,
        name=task.name,
        began=task.began,
        ended=task.ended,
        cause=task.cause,
        chosen_at=task.chosen_at,
        was_protected=task.was_protected,
        killed=task.killed,
        protection=tuple(complement(gaps, start=task.began, end=end)),
    )


def deployment_facts(engine: Engine, now: float) -> tuple[DeploymentFacts, ...]:
    """Every deployment so far, oldest first."""
    return tuple(
        DeploymentFacts(
            id=one.fake.id,
            revision=one.fake.revision,
            began=one.began,
            completed=one.completed,
            why_not=None if one.completed is not None else _why_not(engine, one, now),
        )
        for one in engine.deployed
    )


def _why_not(engine: Engine, one: Deployed, now: float) -> str:
    service = engine.control.service
    if one.fake is not service.primary:
        return "another deployment took its place"
    there = [task for task in engine.tasks if task.ended is None]
    mine = [task for task in there if task.live and task.deployment is one.fake]
    others = [task for task in there if task not in mine]
    waits = [f"{len(mine)} of {service.desired} tasks are of this deployment"]
    if held := [_held(task, now) for task in others if task.live and task.placement.task.protected]:
        waits.append(f"protected: {', '.join(held)}")
    if stopping := [task.name for task in others if not task.live]:
        waits.append(f"stopping: {', '.join(stopping)}")
    if len(there) >= (room := room_for(service.desired, engine.spec.maximum_percent)) and len(mine) < service.desired:
        waits.append(f"maximum_percent={engine.spec.maximum_percent} has room for no more than {room} tasks")
    return "; ".join(waits)


def _held(task: LabTask, now: float) -> str:
    expires = task.placement.task.expires
    return f"{task.name} (for {max((expires or now) - now, 0):.0f} s more at most)"
