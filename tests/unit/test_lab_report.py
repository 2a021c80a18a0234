"""What a lab reports: every job's fate, by what the workers told and what ECS saw."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protectwork.lab import journal
from protectwork.lab._calls import CallCounts, counted
from protectwork.lab._facts import Cause, DeploymentFacts
from protectwork.lab._report import KilledJob, Report, TaskFacts, made
from protectwork.lab._runs import Run, Runs
from protectwork.lab._spans import complement, joined, length, overlap
from protectwork.testing import FakeAgent, FakeClock, FakeEcsApi, Quota, Span, faults

from .agent_client import ask, get, put
from .ecs_client import client_of

NO_CALLS = CallCounts(enables=0, disables=0, gets=0, granted=0, refused=0, throttled=0, failed=0)
TASK = TaskFacts(
    id="one",
    name="worker-1",
    began=0.0,
    ended=None,
    cause=None,
    chosen_at=None,
    was_protected=False,
    killed=False,
    protection=(),
)


def ended(cause: Cause, *, at: float = 50.0, chosen_at: float = 40.0, **facts: Any) -> TaskFacts:
    return replace(TASK, ended=at, cause=cause, chosen_at=chosen_at, **facts)


def run(began: float, ended: float | None = None, *, task: str = "one", **facts: Any) -> Run:
    return Run(job=f"job at {began:g}", task=task, pid=1, began=began, ended=ended, **facts)


def report(*runs: Run, tasks: tuple[TaskFacts, ...] = (TASK,), deployments: tuple[DeploymentFacts, ...] = ()) -> Report:
    return made(began=0.0, now=100.0, runs=runs, tasks=tasks, deployments=deployments, calls=NO_CALLS)


# -- jobs


def test_jobs_that_end_are_no_loss_whatever_becomes_of_their_task():
    told = report(run(1, 2), run(3, 4, failed=True), run(44, 49), tasks=(ended(Cause.SCALE_IN),))

    assert (told.started, told.finished, told.failed, told.in_flight) == (3, 3, 1, 0)
    assert told.killed == told.killed_otherwise == ()


def test_a_job_without_an_end_runs_while_its_task_does():
    assert report(run(1)).in_flight == 1


def test_a_job_without_an_end_was_killed_when_its_task_has_ended():
    told = report(run(30), run(45), tasks=(ended(Cause.SCALE_IN, protection=(Span(start=25, end=33),)),))

    killed = KilledJob(
        job="job at 30",
        task="worker-1",
        cause=Cause.SCALE_IN,
        ran_s=20,
        protected_s=3,
        protected=False,
        begun_after=False,
    )
    assert told.killed == (killed, replace(killed, job="job at 45", ran_s=5, protected_s=0, begun_after=True))
    assert (told.in_flight, told.killed_though_protected) == (0, ())


@pytest.mark.parametrize("cause", Cause)
def test_what_protection_does_not_cover_is_told_apart(cause: Cause):
    told = report(run(30), tasks=(ended(cause, was_protected=True),))

    assert len(told.killed) == (cause in {Cause.SCALE_IN, Cause.DEPLOYMENT})
    assert len(told.killed_otherwise) == 1 - len(told.killed)
    assert [job.cause for job in told.killed_though_protected] == [cause]


def test_what_a_task_tells_that_nobody_knows_yet_is_in_flight():
    assert report(run(30, task="another")).in_flight == 1


# -- time


def test_idle_protection_is_what_the_jobs_leave_of_it():
    protected = (Span(start=10, end=30), Span(start=40, end=60))
    jobs = [run(5, 12), run(11, 20), run(25, 45), run(70, 80), run(1, 99, task="another")]

    told = report(*jobs, tasks=(replace(TASK, protection=protected), replace(TASK, id="another", ended=50.0)))

    assert told.idle_protected_s == 5 + 15
    assert told.task_s == 150
    assert told.idle_protected_share == pytest.approx(20 / 150)


def test_a_job_that_was_killed_was_busy_until_its_task_ended():
    told = report(run(20), tasks=(ended(Cause.STOP_TASK, protection=(Span(start=10, end=50),)),))

    assert told.idle_protected_s == 10


def test_spans_are_joined_and_complemented():
    spans = joined([Span(start=5, end=6), Span(start=1, end=3), Span(start=2, end=4), Span(start=4, end=5)])

    assert spans == [Span(start=1, end=6)]
    assert complement(spans, start=0, end=7) == [Span(start=0, end=1), Span(start=6, end=7)]
    assert complement([], start=2, end=3) == [Span(start=2, end=3)]
    assert complement(spans, start=1, end=6) == []
    assert (length(spans), overlap(spans, [Span(start=0, end=2), Span(start=5, end=9)])) == (5, 2)


# -- the rest


def test_a_report_is_a_document():
    deployment = DeploymentFacts(id="ecs-svc/1", revision=1, began=0.0, completed=None, why_not="1 of 2")
    tasks = (ended(Cause.STOP_TASK, was_protected=True, killed=True), replace(TASK, id="another"))

    told = json.loads(json.dumps(report(run(30), tasks=tasks, deployments=(deployment,)).as_json()))

    assert told["stops"] == {"StopTask": 1}
    assert (told["sigkills"], told["calls"]["made"]) == (1, 0)
    assert told["killed_otherwise"] == told["killed_though_protected"]
    assert told["killed_otherwise"][0]["cause"] == "StopTask"
    assert told["deployments"][0]["why_not"] == "1 of 2"


def test_an_empty_lab_has_a_report():
    told = report(tasks=())
    assert (told.idle_protected_share, told.stops) == (0.0, {})


def test_calls_are_counted_by_what_was_asked_and_by_what_was_answered(fake_clock: FakeClock):
    with FakeEcsApi(clock=fake_clock, delay_scale=0) as ecs, FakeAgent(ecs.task, delay_scale=0) as agent:
        ecs.service.blocked = True
        put(agent, enabled=True)
        ecs.service.blocked = None
        put(agent, enabled=True)
        for fault in (faults.Limit(), faults.Throttle(), faults.Error(500), faults.Garbage(), faults.Garbage("shape")):
            agent.fail(fault)
            get(agent)
        ask(agent, "PUT", "garbage")
        with client_of(ecs) as client:
            client.get_task_protection(cluster="work", tasks=[ecs.task.arn])
            client.get_task_protection(cluster="work", tasks=["missing"])
            client.list_tasks(cluster="work")
        put(agent, enabled=False)

        told = counted((*agent.calls, *ecs.calls))

    assert (told.made, told.enables, told.disables, told.gets) == (10, 2, 1, 7)
    assert (told.granted, told.refused, told.throttled, told.failed) == (4, 2, 2, 2)


def test_a_quota_may_shrink(fake_clock: FakeClock):
    with FakeAgent(clock=fake_clock) as agent:
        quota = Quota(agent.time)
        quota.limit(burst=1, per_s=0)
        fake_clock.advance(60)
        assert [quota.take() for _ in range(2)] == [True, False]


# -- the journal


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    path = tmp_path / "journal"
    path.touch()
    monkeypatch.setenv("PROTECTWORK_LAB_JOURNAL", str(path))
    monkeypatch.setenv("PROTECTWORK_LAB_TASK", "one")
    return Runs(path)


def test_the_journal_knows_when_a_job_began_and_how_it_ended(runs: Runs):
    def fails() -> None:
        with journal.job("bad"):
            assert [(one.job, one.ended) for one in runs.read()] == [("good", None), ("bad", None)]
            raise ZeroDivisionError

    with journal.job("good"), pytest.raises(ZeroDivisionError):
        fails()

    good, bad = runs.read()
    assert (good.task, good.failed, bad.failed) == ("one", False, True)
    assert good.ended
    assert bad.ended
    assert good.began <= bad.began <= bad.ended <= good.ended


def test_two_runs_of_one_job_are_two(runs: Runs):
    with journal.job("job"), journal.job("job"):
        pass

    assert len([one for one in runs.read() if one.ended]) == 2


def test_outside_a_lab_the_journal_does_nothing(runs: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("PROTECTWORK_LAB_JOURNAL")
    with journal.job("job"):
        pass
    monkeypatch.setenv("PROTECTWORK_LAB_JOURNAL", str(tmp_path / "gone"))
    with journal.job("job"):
        pass

    assert runs.read() == ()
    assert not (tmp_path / "gone").exists()


def test_a_long_name_is_cut_so_that_its_line_stays_whole(runs: Runs):
    with journal.job("x" * 10_000):
        pass

    assert [one.job for one in runs.read()] == ["x" * 200]


def test_what_is_no_line_of_a_worker_is_passed_over(runs: Runs, tmp_path: Path):
    path = tmp_path / "journal"
    path.write_text('garbage\n[]\n{"what": "started"}\n{"what": "finished", "run": "unknown", "time": 1}\n{"what":')
    assert runs.read() == ()

    with path.open("a") as file:
        file.write(' "started", "run": "r", "job": "j", "task": "t", "pid": 7, "time": 1.5}\n')
    assert runs.read() == (Run(job="j", task="t", pid=7, began=1.5),)


def test_what_was_read_stays_when_the_journal_is_gone(runs: Runs, tmp_path: Path):
    with journal.job("job"):
        pass
    runs.read()
    (tmp_path / "journal").unlink()

    assert len(runs.read()) == 1
