"""What protection promises, in a service that is scaled and deployed: judged by the lab's timeline and its journal."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from lab.job_queue import Job, JobQueue
from lab.playing import play
from lab.services import SLEEP, names, put, until

from protectwork import SettingsError
from protectwork.lab import Cause, EventKind, Report, Service
from protectwork.lab.scenarios import SCENARIOS, Stage, find

WORKER = Path(__file__).with_name("queue_worker.py")
LANES, LINGER_S, SCALE, STOP_TIMEOUT_S = 4, 0.3, 10.0, 0.5
PACE = 2 * SCALE
SHORT_S, LONG_S, LONG_SHARE = (0.01, 0.05), (0.8, 1.6), 0.05
BURSTS, EVERY_S = 5, 2.5
LATEST = 1.25  # of the linger
BOUND_S = 60.0

JOBS, TASKS = 300, 2
PLAYED = {"scale-storm": 1, "agent-outage": 2, "rolling-deploy": 3}
"""Those of the suite, with their seeds; `benchmarks/work_lost.py` plays all of them, with twenty seeds each."""


def service(queue: Path, desired: int, *, seed: int = 0, lanes: int = LANES, **environ: str) -> Service:
    return Service(
        [sys.executable, str(WORKER), str(queue), str(lanes)],
        desired,
        environ={"PROTECTWORK_LINGER": str(LINGER_S * SCALE), **environ},
        stop_timeout=STOP_TIMEOUT_S,
        time_scale=SCALE,
        seed=seed,
    )


def drawn(seed: int, jobs: int) -> list[Job]:
    """Jobs in bursts, with nothing to do between them: one in twenty takes longer than a task has after SIGTERM."""
    draws = random.Random(seed)
    lengths = [draws.uniform(*(LONG_S if draws.random() < LONG_SHARE else SHORT_S)) for _ in range(jobs)]
    return [
        Job(number=number, lasts_s=lasts_s, at_s=number * BURSTS // jobs * EVERY_S)
        for number, lasts_s in enumerate(lengths)
    ]


# --- no job is lost


@dataclass(frozen=True, kw_only=True)
class Played:
    """What came of a scenario.

    Attributes:
        report: The lab's.
        unprotected: The jobs that the timeline does not show protected from their beginning to their end.
        outlived: For each task that a deployment has stopped, how long it outlived its last job in seconds, or the
            beginning of that deployment, if it had nothing to do any more.
    """

    report: Report
    unprotected: tuple[str, ...]
    outlived: tuple[float, ...]


def played(scenario: str, seed: int, directory: Path) -> Played:
    queue = JobQueue(directory)
    with service(directory, TASKS, seed=seed) as one:
        until(one, lambda: sum(line.text == "ready" for line in one.output()) == TASKS)
        stage = Stage(one, desired=TASKS, seed=seed, pace=PACE)
        play(one, scenario, stage, jobs=drawn(seed, JOBS), put=queue.put)
        one.close(grace=BOUND_S)
        return Played(report=one.report(), unprotected=unprotected(one), outlived=tuple(outlived(one)))


def unprotected(one: Service) -> tuple[str, ...]:
    ended = [run for run in one._runs.read() if run.ended]
    return tuple(run.job for run in ended if not one.task(run.task).was_protected(run.began, run.ended or 0.0))


def outlived(one: Service) -> Iterator[float]:
    report, events = one.report(), one.events
    deployment_of = {event.task: event.detail for event in events if event.kind is EventKind.TASK_STARTED}
    replaced_at = {old.id: new.began for old, new in pairwise(report.deployments)}
    for event in events:
        if event.kind is EventKind.TASK_ENDED and event.detail.startswith(f"{Cause.DEPLOYMENT}; "):
            jobs = [run.ended or 0.0 for run in one._runs.read() if one.task(run.task) is one.task(event.task or "")]
            yield event.time - max([replaced_at[deployment_of[event.task]], *jobs])


@pytest.fixture(scope="module")
def all_played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    with ThreadPoolExecutor(len(PLAYED)) as threads:
        futures = {
            scenario: threads.submit(played, scenario, seed, tmp_path_factory.mktemp("queue"))
            for scenario, seed in PLAYED.items()
        }
    return {scenario: future.result() for scenario, future in futures.items()}


@pytest.mark.parametrize("scenario", PLAYED)
def test_no_job_is_killed_in_flight(scenario: str, all_played: dict[str, Played]) -> None:
    report = all_played[scenario].report
    assert (report.killed, report.killed_otherwise) == ((), ())
    assert (report.started, report.finished, report.failed) == (JOBS, JOBS, 0)


@pytest.mark.parametrize("scenario", PLAYED)
def test_every_job_is_protected_from_beginning_to_end(scenario: str, all_played: dict[str, Played]) -> None:
    assert all_played[scenario].unprotected == ()


def test_the_scenarios_had_something_to_kill_or_to_spoil(all_played: dict[str, Played]) -> None:
    # How much of each is a matter of how fast the machine is.
    assert all_played["scale-storm"].report.stops[Cause.SCALE_IN] + all_played["agent-outage"].report.calls.failed


# --- deployments


def test_every_old_task_ends_soon_after_its_last_job(all_played: dict[str, Played]) -> None:
    played = all_played["rolling-deploy"]
    assert all(deployment.completed for deployment in played.report.deployments)
    assert played.report.stops[Cause.DEPLOYMENT] == 2 * TASKS
    assert len(played.outlived) == 2 * TASKS
    assert max(played.outlived) <= LINGER_S * LATEST + 5


def saturated(queue: Path, **environ: str) -> Service:
    """One task that is never without a job; its lease is short, so that it is soon refused."""
    JobQueue(queue).put(Job(number=number, lasts_s=0.5) for number in range(1000))
    return service(queue, 1, lanes=2, PROTECTWORK_LEASE="4m", **environ)


def deploy(one: Service) -> None:
    """Put another task beside the first; it protects itself as well, and so ECS refuses the first to go on."""
    until(one, Stage(one, desired=1).all_busy)
    one.deploy(SLEEP)
    until(one, lambda: names(one) == ["worker-1", "worker-2"])
    assert put(one, "worker-2", minutes=60)["protection"]["ProtectionEnabled"]
    assert one.snapshot().blocked


def test_a_deployment_of_tasks_that_are_never_idle_does_not_complete_and_the_report_says_why(tmp_path: Path) -> None:
    with saturated(tmp_path) as one:
        deploy(one)
        _, deployment = one.report().deployments
        assert deployment.completed is None
        assert "protected: worker-1 (for " in str(deployment.why_not)


def test_it_completes_where_superseded_tasks_retire(tmp_path: Path) -> None:
    with saturated(tmp_path, PROTECTWORK_RETIRE_WHEN_SUPERSEDED="on") as one:
        deploy(one)
        until(one, lambda: one.settled)
        report = one.report()
        assert (report.deployments[-1].completed is not None, report.deployments[-1].why_not) == (True, None)
        assert (report.killed, report.stops) == ((), {Cause.DEPLOYMENT: 1})
        assert report.calls.refused
        assert not JobQueue(tmp_path).is_empty()


# --- the scripts themselves


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_says_in_one_line_what_happens(name: str) -> None:
    scenario = find(name)
    assert scenario.name == name
    assert 20 < len(scenario.summary) <= 120
    assert "\n" not in scenario.summary


ENDLESS = """
IFS=' ' read -r now _ < /proc/uptime
echo '{"what":"started","run":"'$$'","job":"endless","task":"'$PROTECTWORK_LAB_TASK'","pid":'$$',"time":'$now'}' \\
    >> "$PROTECTWORK_LAB_JOURNAL"
exec sleep 1000
"""
"""Has a job in flight, unprotected, until SIGTERM."""

STOPS = {
    "scale-storm": {Cause.SCALE_IN: 4},
    "rolling-deploy": {Cause.DEPLOYMENT: 4},
    "deploy-while-saturated": {Cause.DEPLOYMENT: 2},
    "agent-outage": {Cause.SCALE_IN: 3},
    "throttled-account": {Cause.SCALE_IN: 1, Cause.DEPLOYMENT: 2},
    "spot": {Cause.SCALE_IN: 3, Cause.SPOT: 3},
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_stops_the_tasks_that_it_is_to_stop_and_leaves_the_service_as_it_was(name: str) -> None:
    with Service(["sh", "-c", ENDLESS], 2) as one:
        find(name).play(Stage(one, desired=2, seed=1, pace=60))
        assert one.settled
        report = one.report()
        assert report.stops == STOPS[name]
        assert len(report.killed) == sum(count for cause, count in STOPS[name].items() if cause.covered)
        assert {job.cause for job in report.killed_otherwise} == set(STOPS[name]) & {Cause.SPOT}


def test_an_unknown_scenario_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(SettingsError, match=r"one of scale-storm, .*, spot, got 'nonsense'"):
        find("nonsense")
