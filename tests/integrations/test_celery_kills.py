"""SIGKILL of busy children never costs a prefork worker its protection, and leaves no hold behind."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import redis
from integrations.celery_jobs import INCLUDED
from integrations.celery_worker.journal import Run
from integrations.celery_worker.redis_server import RedisServer
from integrations.celery_worker.workers import BOUND_S, LINGER_S, Worker
from processes.soak import TIMES

from protectwork.testing import FakeAgent

KILLS = 30 * TIMES
KILL_EVERY_S = 0.3
CHILDREN = 4
# With more in the queue than the children can run the task never lingers to its end: one that flaps would have no
# release left when the storm is over.
BACKLOG = 2 * CHILDREN
JOBS_S = (0.1, 1.5)
COMES_BACK_S = 6.0  # Celery hears of a killed child up to five seconds later; what comes back then finds work under way
SOON_ENOUGH_S = 1.25 * LINGER_S + 3.0


class Storm:
    """A worker with random jobs, of which every other one comes back when its child is lost; busy children are killed.

    Attributes:
        killed: The last moment at which each of the killed processes is known to have lived, by the agent's clock.
    """

    def __init__(self, worker: Worker, *, seed: int) -> None:
        self._worker, self._random = worker, Random(seed)
        self._sent = 0
        self.killed: dict[int, float] = {}

    def rage(self, kills: int) -> None:
        """Until so many were killed at work, however slow the machine is."""
        with closing(redis.Redis.from_url(self._worker.broker)) as broker:
            while len(self.at_work()) < kills:
                self._feed(BACKLOG - int(broker.llen("celery")))
                time.sleep(self._random.uniform(0.5, 1.5) * KILL_EVERY_S)
                self._kill()
        self._worker.send("work", COMES_BACK_S)

    def at_work(self) -> list[Run]:
        """The runs that were killed."""
        return [run for run in self._worker.runs() if not run.ended and run.pid in self.killed]

    def end_of(self, run: Run) -> float:
        """The last moment of which it is known that it ran."""
        return run.last if run.ended else max(run.start, self.killed[run.pid])

    def _feed(self, number: int) -> None:
        for _ in range(number):
            self._worker.send(("work", "comes_back")[self._sent % 2], self._random.uniform(*JOBS_S))
            self._sent += 1

    def _kill(self) -> None:
        victim = self._random.choice(self._busy(self._worker.runs_when(lambda runs: bool(self._busy(runs)))))
        self.killed[victim.pid] = self._worker.agent.now()
        os.kill(victim.pid, signal.SIGKILL)

    def _busy(self, runs: list[Run]) -> list[Run]:
        return [run for run in runs if not run.ended and run.pid not in self.killed]


def test_no_body_runs_unprotected_while_busy_children_are_killed_and_no_hold_is_left(tmp_path: Path) -> None:
    with (
        FakeAgent() as agent,
        RedisServer(tmp_path / "redis") as server,
        Worker(
            server.database(),
            tmp_path / "task",
            agent=agent,
            concurrency=CHILDREN,
            options=INCLUDED,
            conf={"worker_prefetch_multiplier": 1},
        ) as worker,
    ):
        storm = Storm(worker, seed=4)
        storm.rage(KILLS)
        assert agent.wait_until(lambda: not agent.protected, timeout_s=BOUND_S), "a hold was left behind"
        runs = worker.runs()
        ends = [storm.end_of(run) for run in runs]
        returned = [job for job, number in Counter(run.id for run in runs).items() if number > 1]
        print(
            f"{len(storm.at_work())} kills, {len(runs)} runs, {len(returned)} jobs came back, {len(agent.calls)} calls"
        )
        assert not [run for run, end in zip(runs, ends, strict=True) if not agent.was_protected(run.start, end)]
        assert agent.changes[-1].time - max(ends) < SOON_ENOUGH_S
        assert len(storm.at_work()) >= KILLS
        assert returned
        assert (len(agent.enables), len(agent.disables)) == (1, 1)
        worker.until(lambda: status_of(worker)["state"] == "IDLE", what="the answer to the release has come")
        status = status_of(worker)
        assert (status["holds"], status["in_flight_all"]) == ([], 0)


def status_of(worker: Worker) -> dict[str, Any]:
    """What ``celery inspect protection`` says."""
    (told,) = worker.app.control.broadcast("protection", reply=True, limit=1, timeout=BOUND_S)
    (status,) = told.values()
    return status
