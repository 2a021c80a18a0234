"""What admission does to a worker on RabbitMQ, where a broker pushes what on Redis a worker pulls."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from integrations.admission_stage import FAST, Stage
from integrations.celery_worker.journal import LONG_S, SHORT_S
from integrations.celery_worker.redis_server import RedisServer
from integrations.celery_worker.workers import Pool
from integrations.rabbitmq_server import RabbitServer

from protectwork.testing.faults import Refuse

POOLS: tuple[Pool, ...] = ("prefork", "gevent")
FAST_LINGER_S = 5.0  # by the fast clock

pytestmark = [pytest.mark.external, pytest.mark.parametrize("pool", POOLS)]
_numbers = itertools.count(1)


class RabbitStage(Stage):
    """A worker on a queue of RabbitMQ of its own; only its results are kept in Redis."""

    def __init__(
        self, rabbit: RabbitServer, server: RedisServer, directory: Path, *, pool: Pool, **given: object
    ) -> None:
        self._rabbit = rabbit
        self._queue = f"queue-{next(_numbers)}"
        self._conf = {"broker_url": rabbit.url, "task_default_queue": self._queue}
        super().__init__(server, directory, pool=pool, conf=self._conf, **given)

    def __enter__(self) -> Self:
        super().__enter__()
        self.worker.app.conf.update(self._conf)
        return self

    def waiting(self) -> int:
        with self.worker.app.connection_for_write() as connection:
            return int(connection.default_channel.queue_declare(self._queue, passive=True).message_count)

    def wait(self, number: int) -> None:
        """Wait until so many messages are in the queue, and nowhere else."""
        self.until(lambda: self.waiting() == number, what=f"{number} messages wait")


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    with RabbitServer(tmp_path_factory.mktemp("rabbitmq")) as rabbit:
        yield rabbit


def test_a_refusal_pauses_consumption_until_ecs_confirms(
    rabbit: RabbitServer, server: RedisServer, tmp_path: Path, pool: Pool
) -> None:
    stage = RabbitStage(rabbit, server, tmp_path, pool=pool, speed=FAST, linger=FAST_LINGER_S, when_refused="pause")
    stage.agent.fail(Refuse(), times=None, only="enable")
    with stage:
        stage.send("early", LONG_S)
        stage.said("admission closed: ")
        stage.until(lambda: not stage.consumes(), what="consumption stops")
        later = {stage.send("early", SHORT_S) for _ in range(3)}
        (first,) = stage.ended(1)
        stage.asked_again()
        stage.wait(len(later))
        assert stage.runs == [first]
        stage.agent.heal()
        runs = [run for run in stage.ended(4) if run.id in later]
        assert {run.id for run in runs} == later
        assert all(map(stage.protected, runs))


def test_a_pause_outlasts_a_reconnect(rabbit: RabbitServer, server: RedisServer, tmp_path: Path, pool: Pool) -> None:
    with RabbitStage(rabbit, server, tmp_path, pool=pool) as stage:
        stage.close_admission("a test")
        stage.until(lambda: not stage.consumes(), what="consumption stops")
        jobs = {stage.send("early", SHORT_S) for _ in range(8)}
        stage.wait(len(jobs))
        stage.reconnects(rabbit.drop_connections)
        assert not stage.consumes()
        stage.wait(len(jobs))
        assert not stage.runs
        stage.reopen_admission("a test")
        runs = stage.ended(len(jobs))
        assert sorted(run.id for run in runs) == sorted(jobs)
        assert all(map(stage.protected, runs))


@pytest.mark.parametrize("name", ["early", "late"])
def test_what_insists_on_protection_goes_back_once_and_runs_when_there_is_some(
    rabbit: RabbitServer, server: RedisServer, tmp_path: Path, pool: Pool, name: str
) -> None:
    stage = RabbitStage(rabbit, server, tmp_path, pool=pool, speed=FAST, linger=FAST_LINGER_S, on_unprotected="raise")
    stage.agent.fail(Refuse(), times=None, only="enable")
    with stage:
        jobs = {stage.send(name, SHORT_S) for _ in range(6)}
        stage.said("its message goes back")
        stage.asked_again()
        stage.wait(len(jobs))
        assert not stage.runs
        returned = stage.gone_back()
        assert set(returned) <= jobs
        assert max(returned.values()) == 1
        stage.agent.heal()
        runs = stage.ended(len(jobs))
        assert sorted(run.id for run in runs) == sorted(jobs)
        assert all(map(stage.protected, runs))
