"""A real `celery worker` in its own process group, which runs `proj.py`; a test has it to itself for a `with`.

    with RedisServer(tmp_path / "redis") as server, FakeAgent() as agent:
        with Worker(server.database(), tmp_path / "task", agent=agent, pool="gevent") as worker:
            worker.send("work", 0.3)
            (run,) = worker.runs_when(lambda runs: len(runs) == 1 and runs[0].ended)
            assert agent.was_protected(run.start, run.last)

Workers that are given the same directory and agent are one ECS task: they share the state directory and the journal.
Those that are given different databases see nothing of each other's queues.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from celery import Celery, Signature
from integrations.celery_worker.journal import JOURNAL, Journal, Run
from nursery import CELERY, started

from protectwork.testing import FakeAgent

Pool = Literal["prefork", "threads", "gevent", "eventlet", "solo"]

_GREEN = ("gevent", "eventlet")

LINGER_S = 0.5
BOUND_S = 180.0
_LOG_AT_MOST = 6000
_RELEASED = "no longer protected: "
_PROJECT = "integrations.celery_worker.proj"
_TESTS = Path(__file__).parents[2]
_OURS = ("PROTECTWORK_", "ECS_", "AWS_", "TEST_", "CELERY_")
_numbers = itertools.count(1)


class Worker:
    """One worker; started and ready when its `with` begins, dead with all its children when that ends.

    Args:
        broker: The URL of its database.
        directory: Its ECS task's, for state, journal and logs.
        agent: Its ECS task's agent.
        pool: Its pool.
        concurrency: How many bodies run at once.
        options: More of its command line.
        conf: More of its Celery configuration.
        environ: More of its environment; ``PROTECTWORK_LINGER`` is half a second unless it says otherwise.
        adapter: Whether the adapter is installed.

    Attributes:
        broker: The URL of its database.
        agent: Its ECS task's agent.
        app: A client of the same broker, which takes no results.
        pid: Its main process.
    """

    def __init__(
        self,
        broker: str,
        directory: Path,
        *,
        agent: FakeAgent,
        pool: Pool = "prefork",
        concurrency: int = 4,
        options: Sequence[str] = (),
        conf: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        adapter: bool = True,
    ) -> None:
        (directory / "state").mkdir(mode=0o700, parents=True, exist_ok=True)
        number = next(_numbers)
        self.broker, self.agent = broker, agent
        self._directory, self._log, self._ready = directory, directory / f"log-{number}", directory / f"ready-{number}"
        self._journal = Journal(directory / "journal")
        self._command = [
            *("-m", "celery", "-A", _PROJECT, "worker"),
            *("--pool", pool, "--concurrency", str(concurrency), "--hostname", f"worker-{number}@test"),
            *("--loglevel", "INFO", "--without-mingle", "--without-gossip", "--without-heartbeat", *options),
        ]
        # Those of greenlets want to patch before anything is imported, and spawned children to import it themselves.
        self._may_be_forked = pool not in _GREEN and "worker_pool_start_method" not in (conf or {})
        # Coverage's tracer has locks of its own, which greenlets take where only native threads may wait.
        apart = (*_OURS, "COVERAGE_") if pool in _GREEN else _OURS
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(apart)},
            **agent.environ(),
            "PYTHONPATH": str(_TESTS),
            "PROTECTWORK_STATE_DIR": str(directory / "state"),
            "PROTECTWORK_LINGER": str(LINGER_S),
            JOURNAL: str(directory / "journal"),
            "TEST_BROKER": broker,
            "TEST_CONF": json.dumps(dict(conf or {})),
            "TEST_ADAPTER": "on" if adapter else "off",
            "TEST_READY": str(self._ready),
            **(environ or {}),
        }

    def __enter__(self) -> Self:
        self.app = Celery("client", broker=self.broker, set_as_current=False)
        with self._log.open("wb") as log, Path(os.devnull).open("rb") as nothing:
            self._process = started(
                self._command,
                loaded=CELERY if self._may_be_forked else (),
                cwd=self._directory,
                environ=self._environ,
                stdin=nothing.fileno(),
                stdout=log.fileno(),
                stderr=log.fileno(),
            )
        self.pid = self._process.pid
        try:
            self.until(self._ready.exists, what="it is ready")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """SIGKILL it and its children, and wait for that; nothing, if they have ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(BOUND_S)
        self.app.close()

    # -- what it is given to do

    def send(self, name: str, *args: Any, **options: Any) -> str:
        """Send a task of the project, with the options of `apply_async`; its id."""
        return str(self.app.send_task(name, args, **options).id)

    def signature(self, name: str, *args: Any) -> Signature:
        """A task of the project, for a group."""
        return self.app.signature(name, args=args)

    # -- what became of it

    def runs(self, *, since: float = 0.0) -> list[Run]:
        """The runs of bodies in its ECS task that have started at `since` or later."""
        return self._journal.runs(since=since)

    def runs_when(self, fact: Callable[[list[Run]], bool], *, since: float = 0.0) -> list[Run]:
        """The same, as soon as they are as they should be."""
        self.until(lambda: fact(self.runs(since=since)), what="the runs are as they should be")
        return self.runs(since=since)

    def said(self, text: str) -> int:
        """How often its log has a text."""
        return self.log().count(text)

    def log(self) -> str:
        """What it has said so far, and its children."""
        return self._log.read_text(errors="replace")

    def until(self, fact: Callable[[], bool], *, what: str) -> None:
        """Look for a fact until it holds, within a bound; in vain, if the worker ends before."""
        deadline = time.monotonic() + BOUND_S
        while not fact():
            if self.exit_code is not None:
                assert fact(), (
                    f"waited until {what}, but it has ended with {self.exit_code}:\n{self.log()[-_LOG_AT_MOST:]}"
                )
                return
            assert time.monotonic() < deadline, (
                f"waited {BOUND_S:g} s in vain until {what}:\n{self.log()[-_LOG_AT_MOST:]}"
            )
            time.sleep(0.02)

    def knows_of_its_releases(self) -> bool:
        """Whether it has said of each release that it was made."""
        return self.log().count(_RELEASED) >= len(self.agent.disables)

    # -- how it ends

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its main process, as ECS does."""
        os.kill(self.pid, number)

    def ended(self) -> int:
        """Wait until its main process has ended; its exit code."""
        try:
            return self._process.wait(BOUND_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended within {BOUND_S:g} s:\n{self.log()[-_LOG_AT_MOST:]}") from None

    @property
    def exit_code(self) -> int | None:
        """The exit code of its main process; None while it runs."""
        return self._process.poll()
