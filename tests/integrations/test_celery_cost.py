"""What a prefork worker asks of ECS for very many jobs, and what its children have to do with its protection.

The suite sends 2,000 short jobs, `tests/processes/soak.py` 10,000: one core runs some 500 of them in a second.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from celery import Celery
from click.testing import CliRunner
from integrations.celery_jobs import INCLUDED
from integrations.celery_worker.journal import ENDLESS_S, LONG_S, Run
from integrations.celery_worker.redis_server import RedisServer
from integrations.celery_worker.workers import BOUND_S, LINGER_S, Worker
from processes.soak import TIMES

from protectwork.cli import cli
from protectwork.testing import FakeAgent

JOBS = min(2_000 * TIMES, 10_000)
JOB_S = 0.005
CHILDREN = 8
MOST_CALLS = 4
SOON_ENOUGH_S = 1.25 * LINGER_S + 3.0


def release_of(agent: FakeAgent) -> float:
    """Wait until the task was protected and is no longer; since when."""
    assert agent.wait_until(lambda: bool(agent.changes) and not agent.protected, timeout_s=BOUND_S * TIMES)
    return agent.changes[-1].time


def exposed(runs: list[Run], agent: FakeAgent) -> list[Run]:
    return [run for run in runs if not agent.was_protected(run.start, run.last)]


def processes(agent: FakeAgent, directory: Path) -> dict[int, list[str]]:
    """What `protectwork status` shows in the task: for each process the labels of its holds."""
    environ = agent.environ() | {"PROTECTWORK_STATE_DIR": str(directory / "state")}
    status: dict[str, Any] = json.loads(CliRunner().invoke(cli, ["status", "--json"], env=environ).stdout)
    return {process["pid"]: [hold["label"] for hold in process["holds"]] for process in status["processes"]}


def send_many(broker: str, number: int) -> None:
    with Celery("publisher", broker=broker, set_as_current=False) as client, client.producer_pool.acquire() as producer:
        for _ in range(number):
            client.send_task("work", (JOB_S,), producer=producer, ignore_result=True)


def test_thousands_of_short_jobs_make_four_calls_at_most(agent: FakeAgent, server: RedisServer, tmp_path: Path) -> None:
    broker = server.database()
    send_many(broker, JOBS)
    with Worker(broker, tmp_path, agent=agent, concurrency=CHILDREN, options=("--loglevel", "WARNING")) as worker:
        released_at = release_of(agent)
        runs = worker.runs()
        print(f"{len(runs)} jobs in {released_at - runs[0].start:.1f} s, {len(agent.calls)} calls")
        assert len(runs) == JOBS
        assert all(run.ended for run in runs)
        assert not exposed(runs, agent)
        assert released_at - max(run.last for run in runs) < SOON_ENOUGH_S
        assert len(agent.calls) <= MOST_CALLS


def test_bodies_in_spawned_children_are_protected(agent: FakeAgent, server: RedisServer, tmp_path: Path) -> None:
    conf = {"worker_pool_start_method": "spawn"}
    with Worker(server.database(), tmp_path, agent=agent, concurrency=2, conf=conf) as worker:
        for _ in range(4):
            worker.send("work")
        runs = worker.runs_when(lambda runs: sum(run.ended for run in runs) == 4)
        released_at = release_of(agent)
        spawned = {Path(f"/proc/{run.pid}/cmdline").read_bytes() for run in runs}
        assert all(b"spawn_main" in command for command in spawned)
        assert worker.pid not in {run.pid for run in runs}
        assert not exposed(runs, agent)
        assert released_at - max(run.last for run in runs) < SOON_ENOUGH_S
        assert (len(agent.enables), len(agent.disables)) == (1, 1)
        worker.signal(signal.SIGTERM)  # one that is killed leaves the semaphores of its pool behind
        assert worker.ended() == 0


def test_the_status_shows_name_and_id_of_each_job(agent: FakeAgent, server: RedisServer, tmp_path: Path) -> None:
    with Worker(server.database(), tmp_path, agent=agent, concurrency=2) as worker:
        jobs = [worker.send("work", ENDLESS_S) for _ in range(2)]
        wanted = {worker.pid: [f"work[{job}]" for job in jobs]}
        worker.until(lambda: processes(agent, tmp_path) == wanted, what="the status shows both jobs, and nothing else")
        worker.app.control.revoke(jobs, terminate=True)
        release_of(agent)
        worker.until(lambda: processes(agent, tmp_path) == {worker.pid: []}, what="the status shows no job any more")


def test_what_a_child_protects_itself_keeps_the_task_protected_after_its_job(
    agent: FakeAgent, server: RedisServer, tmp_path: Path
) -> None:
    with Worker(server.database(), tmp_path, agent=agent, concurrency=1, options=INCLUDED) as worker:
        job = worker.send("leave_work_behind", 3 * LONG_S)
        (behind,) = worker.runs_when(lambda runs: any(run.name.endswith(".behind") for run in runs))[:1]
        worker.until(
            lambda: processes(agent, tmp_path) == {worker.pid: [], behind.pid: ["left behind"]},
            what="the status shows the child's own hold, and the job's no longer",
        )
        runs = worker.runs_when(lambda runs: sum(run.ended for run in runs) == 2)
        released_at = release_of(agent)
        ended = {run.name: run.last for run in runs}
        assert {run.id for run in runs} == {job}
        assert ended["leave_work_behind.behind"] - ended["leave_work_behind"] > SOON_ENOUGH_S
        assert not exposed(runs, agent)
        assert released_at - max(ended.values()) < SOON_ENOUGH_S
        assert (len(agent.enables), len(agent.disables)) == (1, 1)
