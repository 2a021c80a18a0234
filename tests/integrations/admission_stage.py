"""A worker of one ECS task whose admission is looked at from outside: what waits in its queue, and what has run.

with Stage(server, tmp_path, pool="threads", on_unprotected="raise") as stage:
    stage.agent.fail(Refuse(), times=None, only="enable")
    jobs = [stage.send("early", 0.3) for _ in range(3)]
    stage.until(lambda: stage.waiting() == 3, what="they wait")
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from integrations.celery_worker.journal import Run
from integrations.celery_worker.matrix import WHOLE
from integrations.celery_worker.redis_server import RedisServer
from integrations.celery_worker.workers import Pool, Worker

from protectwork.testing import FakeAgent, FakeEcsApi

POOLS: tuple[Pool, ...] = ("prefork", "gevent") if WHOLE else ("prefork",)
"""Those that a test of admission is for: one that has a hub, and, when all is played, one that has none."""

CLOSED = "admission closed: "
FAST = 10.0
"""How much faster the time of a manager may run: ECS is asked again three seconds after it has refused."""

FAST_LINGER_S = 5.0
"""By the fast clock."""

_GOES_BACK = re.compile(r"\[([-0-9a-f]{36})\].*its message goes back")
_QUEUE = "celery"
_CONNECTED = "Connected to "


class Stage:
    """One worker, alone in its ECS task, and what a test asks of it; within a `with`.

    Args:
        server: Where its results are kept, and its queue too unless `conf` says otherwise.
        directory: An empty one, or one that it may make.
        pool: Its pool.
        speed: How fast the time of its manager runs.
        broker: The URL of its queue; a new one unless it shares that of another stage.
        concurrency: How many bodies run at once.
        conf: More of its Celery configuration.
        options: More of its command line.
        ecs: What it finds the metadata of its task and the ECS API at; nothing by default.
        settings: The settings of protectwork; durations are seconds of real time.

    Attributes:
        agent: Its agent.
        worker: Its worker.
    """

    def __init__(
        self,
        server: RedisServer,
        directory: Path,
        *,
        pool: Pool = "prefork",
        speed: float = 1.0,
        broker: str | None = None,
        concurrency: int = 2,
        conf: Mapping[str, Any] | None = None,
        options: Sequence[str] = (),
        ecs: FakeEcsApi | None = None,
        **settings: object,
    ) -> None:
        self._stack = ExitStack()
        self.agent = self._stack.enter_context(FakeAgent(ecs.task if ecs else None))
        environ = ecs.environ() if ecs else {}
        environ |= {f"PROTECTWORK_{name.upper()}": str(value) for name, value in settings.items()}
        if speed != 1.0:
            environ["TEST_SPEED"] = str(speed)
        self.worker = Worker(
            broker or server.database(),
            directory,
            agent=self.agent,
            pool=pool,
            concurrency=concurrency,
            options=("-I", "integrations.admission_worker", *options),
            conf={"worker_prefetch_multiplier": 1, **(conf or {})},
            environ=environ,
            adapter=False,  # the module above installs it
        )

    def __enter__(self) -> Self:
        with self._stack:  # which closes the agent if the worker does not start
            self._stack.enter_context(self.worker)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    # -- what it is given to do

    def send(self, name: str, seconds: float, **options: Any) -> str:
        """Send a task that runs for so long; its id."""
        return self.worker.send(name, seconds, **options)

    def close_admission(self, reason: str) -> None:
        """Have it closed in the worker's main process; it is when this returns."""
        self._ask("close_admission", reason=reason)

    def reopen_admission(self, reason: str) -> None:
        """Have it opened again."""
        self._ask("reopen_admission", reason=reason)

    def reconnects(self, drop: Callable[[], object]) -> None:
        """Have its connection to the broker dropped; it has connected again when this returns."""
        times = self.worker.said(_CONNECTED) + 1
        drop()
        self.said(_CONNECTED, times=times)

    def consumes(self) -> bool:
        """Whether it takes messages at the moment; it can always be asked that."""
        return bool(self._ask("consumes")["ok"])

    def _ask(self, command: str, **arguments: str) -> dict[str, Any]:
        """Ask it by remote control until it answers: while it connects, nobody listens."""
        answers: list[dict[str, Any]] = []
        control = self.worker.app.control
        with self.worker.app.connection_for_write() as connection:  # the others of this process may be broken by now

            def ask() -> bool:
                options = {"reply": True, "limit": 1, "timeout": 2.0, "connection": connection}
                answers.extend(control.broadcast(command, arguments=arguments, **options))
                return bool(answers)

            self.until(ask, what=f"it answers to {command!r}")
        (answer,) = answers[0].values()
        return dict(answer)

    # -- what became of it

    @property
    def runs(self) -> list[Run]:
        """The runs of bodies, in the order in which they began."""
        return self.worker.runs()

    def ended(self, number: int) -> list[Run]:
        """Wait until so many runs have ended; all that there are."""
        return self.worker.runs_when(lambda runs: sum(run.ended for run in runs) == number)

    def waiting(self) -> int:
        """How many messages are in the queue."""
        with closing(redis.Redis.from_url(self.worker.broker)) as client:
            return int(client.llen(_QUEUE))

    def gone_back(self) -> Counter[str]:
        """How often the message of each task was returned because the task was unprotected, by id."""
        return Counter(_GOES_BACK.findall(self.worker.log()))

    def protected(self, run: Run) -> bool:
        """Whether the task was protected as long as that body ran."""
        return self.agent.was_protected(run.start, run.last)

    def until(self, fact: Callable[[], bool], *, what: str) -> None:
        """Look for a fact until it holds."""
        self.worker.until(fact, what=what)

    def said(self, text: str, *, times: int = 1) -> None:
        """Wait until the worker has said something so often."""
        self.until(lambda: self.worker.said(text) >= times, what=f"it has said {text!r} {times} times")

    def asked_again(self, times: int = 1) -> None:
        """Wait until ECS was asked so many times more."""
        number = len(self.agent.enables) + times
        self.until(lambda: len(self.agent.enables) >= number, what=f"ECS was asked {times} times more")
