"""Whether a worker takes messages: not while it must not; and none is lost, or runs twice, because it waited."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from integrations.admission_stage import CLOSED, FAST, FAST_LINGER_S, POOLS, Stage
from integrations.celery_worker.journal import LONG_S, SHORT_S
from integrations.celery_worker.matrix import WHOLE
from integrations.celery_worker.redis_server import RedisServer
from integrations.celery_worker.workers import Pool

from protectwork.testing import FakeEcsApi
from protectwork.testing.faults import Delay, Hang, Refuse

pytestmark = pytest.mark.parametrize("pool", POOLS)


# -- ECS refuses


def test_a_refusal_pauses_consumption_until_ecs_confirms(server: RedisServer, tmp_path: Path, pool: Pool) -> None:
    stage = Stage(server, tmp_path, pool=pool, speed=FAST, linger=FAST_LINGER_S, when_refused="pause")
    stage.agent.fail(Refuse(), times=None, only="enable")
    with stage:
        stage.send("early", LONG_S)
        stage.said(CLOSED)
        stage.until(lambda: not stage.consumes(), what="consumption stops")
        later = {stage.send("early", SHORT_S) for _ in range(3)}
        (first,) = stage.ended(1)  # what runs goes on
        stage.asked_again()  # with nothing in flight
        stage.until(lambda: stage.waiting() == 3, what="a read that was under way has put back what it brought")
        assert stage.runs == [first]
        stage.agent.heal()
        runs = [run for run in stage.ended(4) if run.id in later]
        assert {run.id for run in runs} == later
        assert all(map(stage.protected, runs))


def test_no_body_starts_once_ecs_has_refused(server: RedisServer, tmp_path: Path, pool: Pool) -> None:
    stage = Stage(server, tmp_path, pool=pool, concurrency=1, when_refused="pause")
    stage.agent.fail(Refuse(), times=None, only="enable")
    with stage:
        jobs = [stage.send("early", 0.01) for _ in range(100)]
        stage.said(CLOSED)
        stage.close_admission("a look at what waits")  # it answers after all that was under way
        taken = len(jobs) - stage.waiting()
        assert taken <= 5, f"{taken} messages were taken after the refusal"


def test_a_worker_runs_on_unprotected_by_default_and_says_so(server: RedisServer, tmp_path: Path, pool: Pool) -> None:
    stage = Stage(server, tmp_path, pool=pool)
    stage.agent.fail(Refuse(), times=None, only="enable")
    with stage:
        for _ in range(3):
            stage.send("early", SHORT_S)
        runs = stage.ended(3)
        assert not any(map(stage.protected, runs))
        stage.said("cannot be protected (refused: DEPLOYMENT_BLOCKED")
        assert not stage.worker.said(CLOSED)


@pytest.mark.parametrize("name", ["early", "late"] if WHOLE else ["early"])
def test_what_insists_on_protection_goes_back_once_and_runs_when_there_is_some(
    server: RedisServer, tmp_path: Path, pool: Pool, name: str
) -> None:
    stage = Stage(server, tmp_path, pool=pool, speed=FAST, linger=FAST_LINGER_S, on_unprotected="raise")
    stage.agent.fail(Refuse(), times=None, only="enable")
    with stage:
        jobs = {stage.send(name, SHORT_S) for _ in range(6)}
        stage.said("its message goes back")
        stage.asked_again()
        stage.until(lambda: stage.waiting() == len(jobs), what="all of them wait")
        assert not stage.runs
        returned = stage.gone_back()
        assert set(returned) <= jobs
        assert max(returned.values()) == 1
        stage.agent.heal()
        runs = stage.ended(len(jobs))
        assert sorted(run.id for run in runs) == sorted(jobs)
        assert all(map(stage.protected, runs))


# -- the task is to go


def test_a_superseded_worker_finishes_its_jobs_protected_and_takes_no_more_messages(
    server: RedisServer, tmp_path: Path, pool: Pool
) -> None:
    with FakeEcsApi() as ecs:
        settings = {"linger": 900, "retire_when_superseded": "on"}
        with Stage(server, tmp_path, pool=pool, speed=FAST, ecs=ecs, **settings) as stage:
            stage.send("early", LONG_S)
            stage.until(lambda: ecs.protected, what="the job is protected")
            ecs.service.deploy()
            ecs.service.blocked = True
            stage.send("early", LONG_S, time_limit=3 * 3600)  # which needs a longer lease, and that is refused
            stage.said(CLOSED + "a newer deployment of this service is primary")
            stage.until(lambda: not stage.consumes(), what="consumption stops")
            for _ in range(3):
                stage.send("early", SHORT_S)
            runs = stage.ended(2)
            stage.until(lambda: not ecs.protected, what="it is released, without lingering for a minute")
            assert all(map(stage.protected, runs))
            stage.until(lambda: stage.waiting() == 3, what="a read that was under way has put back what it brought")
            assert stage.runs == runs


# -- requests stand aside


def test_requests_stand_aside_in_order_and_the_worker_answers_meanwhile(
    server: RedisServer, tmp_path: Path, pool: Pool
) -> None:
    stage = Stage(server, tmp_path, pool=pool, concurrency=1, conf={"worker_prefetch_multiplier": 8})
    with stage:
        stage.agent.fail(Delay(3.5), times=None, only="enable")
        jobs = [stage.send("early", 0.05) for _ in range(6)]
        stage.until(lambda: stage.waiting() == 0, what="the worker has taken them")
        stage.consumes()
        answered_at = stage.agent.now()
        assert not stage.runs
        runs = stage.ended(len(jobs))
        assert [run.id for run in runs] == jobs
        assert runs[0].start > answered_at
        assert all(map(stage.protected, runs))


def test_requests_stand_aside_no_longer_than_the_acquire_timeout(
    server: RedisServer, tmp_path: Path, pool: Pool
) -> None:
    stage = Stage(server, tmp_path, pool=pool, concurrency=1, acquire_timeout=2.0)
    stage.agent.fail(Hang(), times=None, only="enable")
    with stage:
        sent_at = stage.agent.now()
        jobs = [stage.send("early", 0.05) for _ in range(3)]
        runs = stage.ended(len(jobs))
        assert [run.id for run in runs] == jobs
        assert sent_at + 2.0 <= runs[0].start
        assert not any(call.status for call in stage.agent.enables), "it was an answer that ended the wait"
        assert not any(map(stage.protected, runs))


def test_a_worker_that_stops_returns_what_stands_aside(server: RedisServer, tmp_path: Path, pool: Pool) -> None:
    conf = {"protectwork_exclude": "unguarded", "worker_prefetch_multiplier": 8}
    stage = Stage(server, tmp_path / "1", pool=pool, conf=conf, acquire_timeout=300)
    stage.agent.fail(Hang(), times=None, only="enable")
    with stage:
        stage.send("unguarded", LONG_S)
        stage.until(lambda: len(stage.runs) == 1, what="a body runs")
        jobs = {stage.send("early", SHORT_S) for _ in range(4)}
        stage.until(lambda: stage.waiting() == 0, what="the worker has taken them")
        stage.worker.signal(signal.SIGTERM)
        assert stage.worker.ended() == 0
        assert stage.waiting() == len(jobs), "they are in the queue again"
        with Stage(server, tmp_path / "2", pool=pool, broker=stage.worker.broker) as other:
            runs = other.ended(len(jobs))
            assert sorted(run.id for run in runs) == sorted(jobs)
            assert all(map(other.protected, runs))
        assert len(stage.runs) == 1


# -- the broker's connection breaks


def test_a_pause_outlasts_a_reconnect(server: RedisServer, tmp_path: Path, pool: Pool) -> None:
    with Stage(server, tmp_path, pool=pool) as stage:
        stage.close_admission("a test")
        stage.until(lambda: not stage.consumes(), what="consumption stops")
        jobs = {stage.send("early", SHORT_S) for _ in range(8)}
        stage.reconnects(lambda: server.drop_connections(stage.worker.broker))
        assert not stage.consumes()
        stage.until(lambda: stage.waiting() == len(jobs), what="a read that was under way has put back what it brought")
        assert stage.runs == []
        stage.reopen_admission("a test")
        runs = stage.ended(len(jobs))
        assert sorted(run.id for run in runs) == sorted(jobs)
        assert all(map(stage.protected, runs))


def test_a_broken_connection_neither_loses_nor_doubles_what_stands_aside(
    server: RedisServer, tmp_path: Path, pool: Pool
) -> None:
    stage = Stage(server, tmp_path, pool=pool, conf={"worker_prefetch_multiplier": 8}, acquire_timeout=300)
    stage.agent.fail(Hang(), times=None, only="enable")
    with stage:
        jobs = {stage.send("early", SHORT_S) for _ in range(4)}
        stage.until(lambda: stage.waiting() == 0, what="the worker has taken them")
        stage.until(lambda: bool(stage.agent.enables), what="ECS was asked")
        stage.reconnects(lambda: server.drop_connections(stage.worker.broker))
        stage.agent.heal()
        runs = stage.ended(len(jobs))
        assert sorted(run.id for run in runs) == sorted(jobs)
        assert all(map(stage.protected, runs))


# -- a user closes admission


def test_admission_closed_by_a_user_stops_consumption(server: RedisServer, tmp_path: Path, pool: Pool) -> None:
    with Stage(server, tmp_path, pool=pool) as stage:
        stage.close_admission("a test")
        stage.said(CLOSED + "a test")
        stage.until(lambda: not stage.consumes(), what="consumption stops")
        jobs = {stage.send("early", SHORT_S) for _ in range(4)}
        stage.until(lambda: stage.waiting() == len(jobs), what="a read that was under way has put back what it brought")
        assert (stage.runs, stage.agent.enables) == ([], ())
        stage.reopen_admission("a test")
        runs = stage.ended(len(jobs))
        assert sorted(run.id for run in runs) == sorted(jobs)
        assert all(map(stage.protected, runs))
