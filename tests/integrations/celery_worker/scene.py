"""What an event of the matrix plays in: one worker, and the runs of bodies since the event began."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from integrations.celery_worker.journal import Run
from integrations.celery_worker.redis_server import RedisServer
from integrations.celery_worker.workers import Worker


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One event, played on a worker.

    Attributes:
        worker: The worker; idle and released when the event begins.
        server: Its broker.
        since: When the event began, by the agent's clock.
        log_before: What the worker had said by then.
    """

    worker: Worker
    server: RedisServer
    since: float
    log_before: str

    @classmethod
    def begin(cls, worker: Worker, *, server: RedisServer) -> Self:
        """One that begins now."""
        return cls(worker=worker, server=server, since=worker.agent.now(), log_before=worker.log())

    @property
    def runs(self) -> list[Run]:
        """What has run since."""
        return self.worker.runs(since=self.since)

    def send(self, name: str, *args: Any, **options: Any) -> str:
        """Send a task; its id."""
        return self.worker.send(name, *args, **options)

    def running(self, number: int = 1) -> list[Run]:
        """Wait until so many bodies run at once, none of them having been killed so far; those."""
        return [run for run in self._when(lambda runs: _count(runs, ended=False) == number) if not run.ended]

    def ended(self, number: int) -> list[Run]:
        """Wait until so many runs have come to their end; all that there are."""
        return self._when(lambda runs: _count(runs, ended=True) == number)

    def caught(self, number: int = 1) -> list[Run]:
        """Wait until so many bodies have caught what was to stop them; all that there are."""
        return self._when(lambda runs: sum("caught" in run.remarks for run in runs) == number)

    def said(self, *texts: str) -> None:
        """Wait until the worker has said something since."""

        def heard() -> bool:
            log = self.worker.log()[len(self.log_before) :]
            return any(text in log for text in texts)

        self.worker.until(heard, what=f"it has said {' or '.join(map(repr, texts))}")

    def acknowledged(self) -> None:
        """Wait until the broker knows that what was delivered has arrived."""
        left = partial(self.server.unacknowledged, self.worker.broker)
        self.worker.until(lambda: left() == 0, what="what was delivered is acknowledged")

    def _when(self, fact: Callable[[list[Run]], bool]) -> list[Run]:
        return self.worker.runs_when(fact, since=self.since)


def _count(runs: list[Run], *, ended: bool) -> int:
    return sum(run.ended is ended for run in runs)
