"""More of whether a worker takes messages, for all pools at once: `whole.py` plays it, the suite does not."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from integrations.admission_stage import FAST, FAST_LINGER_S, POOLS, Stage
from integrations.celery_worker.journal import LONG_S, SHORT_S
from integrations.celery_worker.redis_server import RedisServer
from integrations.celery_worker.workers import BOUND_S, Pool

from protectwork.testing.faults import Hang, Refuse

pytestmark = pytest.mark.parametrize("pool", POOLS)


def test_an_eta_task_that_insists_goes_back_too(server: RedisServer, tmp_path: Path, pool: Pool) -> None:
    stage = Stage(server, tmp_path, pool=pool, speed=FAST, linger=FAST_LINGER_S, on_unprotected="raise")
    stage.agent.fail(Refuse(), times=None, only="enable")
    with stage:
        jobs = {stage.send("early", SHORT_S, countdown=1.0) for _ in range(3)}
        stage.said("its message goes back")
        stage.asked_again()
        assert not stage.runs
        assert max(stage.gone_back().values()) == 1
        stage.agent.heal()
        runs = stage.ended(len(jobs))
        assert sorted(run.id for run in runs) == sorted(jobs)
        assert all(map(stage.protected, runs))


def test_what_insists_goes_back_once_when_ecs_does_not_answer(server: RedisServer, tmp_path: Path, pool: Pool) -> None:
    stage = Stage(server, tmp_path, pool=pool, acquire_timeout=1.0, on_unprotected="raise")
    stage.agent.fail(Hang(), times=None, only="enable")
    with stage:
        jobs = {stage.send("early", SHORT_S) for _ in range(3)}
        stage.said("its message goes back")
        stage.asked_again(1)
        returned = stage.gone_back()
        assert set(returned) <= jobs
        assert max(returned.values()) == 1
        assert not stage.runs
        stage.agent.heal()
        runs = stage.ended(len(jobs))
        assert sorted(run.id for run in runs) == sorted(jobs)
        assert all(map(stage.protected, runs))


def test_a_refusals_pause_outlasts_a_reconnect(server: RedisServer, tmp_path: Path, pool: Pool) -> None:
    stage = Stage(server, tmp_path, pool=pool, speed=FAST, linger=FAST_LINGER_S, on_unprotected="raise")
    stage.agent.fail(Refuse(), times=None, only="enable")
    with stage:
        jobs = {stage.send("early", SHORT_S) for _ in range(6)}
        stage.said("its message goes back")
        stage.until(lambda: stage.waiting() == len(jobs), what="all of them wait")
        stage.reconnects(lambda: server.drop_connections(stage.worker.broker))
        stage.asked_again()
        stage.until(lambda: stage.waiting() == len(jobs), what="a read that was under way has put back what it brought")
        assert stage.runs == []
        assert max(stage.gone_back().values()) == 1
        stage.agent.heal()
        runs = stage.ended(len(jobs))
        assert sorted(run.id for run in runs) == sorted(jobs)
        assert all(map(stage.protected, runs))


def test_a_worker_that_stops_is_protected_to_the_end_and_released_then(
    server: RedisServer, tmp_path: Path, pool: Pool
) -> None:
    with Stage(server, tmp_path, pool=pool, linger=600) as stage:
        stage.send("late", LONG_S)
        stage.until(lambda: len(stage.runs) == 1, what="a body runs")
        stage.worker.signal(signal.SIGTERM)
        stage.said("admission closed: the Celery worker is stopping")
        waits = stage.send("early", SHORT_S)
        assert stage.worker.ended() == 0
        (run,) = stage.ended(1)
        assert run.id != waits
        assert stage.protected(run)
        assert stage.waiting() == 1
        assert stage.agent.wait_until(lambda: not stage.agent.protected, timeout_s=BOUND_S)
        assert stage.agent.disables[0].time > run.last


def test_a_task_that_waits_for_its_time_keeps_nothing_protected(
    server: RedisServer, tmp_path: Path, pool: Pool
) -> None:
    with Stage(server, tmp_path, pool=pool) as stage:
        later = stage.send("early", SHORT_S, countdown=3 * LONG_S)
        stage.send("early", SHORT_S)
        stage.ended(1)
        stage.until(lambda: bool(stage.agent.disables), what="the task is released")
        assert len(stage.runs) == 1
        *_, last = runs = stage.ended(2)
        assert last.id == later
        assert last.start > stage.agent.disables[0].time
        assert all(map(stage.protected, runs))
