"""Throughput of a prefork worker with protection, as a ratio to that of the same worker without.

    python benchmarks/celery_throughput.py

The jobs do nothing, so that all that protection costs a job shows. In each of 9 pairs two fresh workers with Celery's
defaults and 4 children stand side by side on a real Redis and take many short turns, ABAB and so on: one has a full
queue, the other one none. Some turns before do not count: the workers warm up, and the task becomes protected. What
counts of a worker is its median turn, and in the end the median of the pairs' ratios, with the interval that holds the
true median with 96 % (the second lowest to the second highest of nine). At least 0.97.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import redis
from celery import Celery

from protectwork.testing import FakeAgent

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from integrations.celery_worker.redis_server import RedisServer
from integrations.celery_worker.workers import Worker

PAIRS, WARM_UPS, TURNS, JOBS = 9, 2, 12, 500
LEAST = 0.97
LOOK_EVERY_S = 0.005
HERE = Path(__file__).parent
OPTIONS = ("-I", "worker_parts.nothing", "--loglevel", "WARNING")
ENVIRON = {"PYTHONPATH": f"{HERE.parent / 'tests'}:{HERE}", "PROTECTWORK_LINGER": "600"}  # protected in all turns


class Rival:
    """The worker that consumes from one database, seen from there.

    Attributes:
        turns_s: How long each of its turns took.
    """

    def __init__(self, broker: str) -> None:
        self._broker, self._client = broker, redis.Redis.from_url(broker)
        self.turns_s: list[float] = []

    def turn(self) -> None:
        """Give it its jobs, all at once, and wait until it has handed the last one to a child."""
        self._publish()
        start = time.monotonic()
        self._client.rename("later", "celery")
        while self._client.llen("celery") or self._client.hlen("unacked"):
            time.sleep(LOOK_EVERY_S)
        self.turns_s.append(time.monotonic() - start)

    def median_s(self) -> float:
        """The median of those that count."""
        return statistics.median(self.turns_s[WARM_UPS:])

    def close(self) -> None:
        """Let go of the database."""
        self._client.close()

    def _publish(self) -> None:
        with (
            Celery("publisher", broker=self._broker, set_as_current=False) as client,
            client.producer_pool.acquire() as producer,
        ):
            for _ in range(JOBS):
                client.send_task("nothing", queue="later", producer=producer, ignore_result=True)


def ratio(server: RedisServer, directory: Path) -> float:
    """The throughput with protection by that without, of one pair of workers."""
    bare, protected = server.database(), server.database()
    with (
        FakeAgent() as agent,
        Worker(bare, directory / "bare", agent=agent, options=OPTIONS, environ=ENVIRON, adapter=False),
        Worker(protected, directory / "protected", agent=agent, options=OPTIONS, environ=ENVIRON),
    ):
        rivals = Rival(bare), Rival(protected)
        for _ in range(WARM_UPS + TURNS):
            for rival in rivals:
                rival.turn()
        if len(agent.enables) != 1 or not agent.was_protected(agent.changes[0].time, agent.now()):
            sys.exit("the task was not protected in all turns")
        for rival in rivals:
            rival.close()
        return rivals[0].median_s() / rivals[1].median_s()


def main() -> int:
    ratios = []
    with tempfile.TemporaryDirectory() as directory, RedisServer(Path(directory, "redis")) as server:
        for pair in range(PAIRS):
            ratios.append(ratio(server, Path(directory, str(pair))))
            print(f"pair {pair + 1}: {ratios[-1]:.3f}", flush=True)
    median, (_, low, *_, high, _) = statistics.median(ratios), sorted(ratios)
    print(f"with protection {median:.3f} times the throughput without, {low:.3f} to {high:.3f} (at least {LEAST})")
    return 0 if median >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
