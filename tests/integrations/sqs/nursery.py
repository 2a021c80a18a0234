"""Worker processes for the tests, each from an interpreter that has loaded boto3 and aiobotocore, which takes seconds.

with Nursery() as nursery:
    worker = nursery.start(plan, directory=tmp_path, environ=agent.environ())
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from integrations.sqs.program import Plan
from integrations.sqs.wire import BOUND_S
from nursery import SQS, started

_LOG_AT_MOST = 6000
_TESTS = Path(__file__).parents[2]
_OURS = ("PROTECTWORK_", "ECS_", "AWS_", "TEST_")
_tokens = itertools.count(1)


class Worker:
    """One worker process, in a group of its own.

    Attributes:
        pid: Its process.
    """

    def __init__(self, log: Path) -> None:
        self.pid = 0
        self.born, self._over = threading.Event(), threading.Event()
        self._log = log
        self._code = 0

    def log(self) -> str:
        """What it has said so far, and its children."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def said(self, text: str) -> bool:
        """Whether its log has a text."""
        return text in self.log()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, as ECS does."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL it and its children; nothing, if they have ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._over.is_set()

    def ended(self) -> int:
        """Wait until it has ended; its exit code."""
        assert self._over.wait(BOUND_S), f"it has not ended within {BOUND_S:g} s:\n{self.log()[-_LOG_AT_MOST:]}"
        return self._code

    def note_end(self, code: int) -> None:
        """It has ended."""
        self._code = code
        self._over.set()


class Nursery:
    """Starts workers; all that live are killed when its `with` ends. Any thread may use it."""

    def __init__(self) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self._lock = threading.Lock()  # guards the two below
        self._unborn: dict[int, Worker] = {}
        self._workers: dict[int, Worker] = {}
        (reads, writes), (told, tells) = os.pipe(), os.pipe()
        with os.fdopen(reads, "rb") as orders, os.fdopen(tells, "wb") as says:
            self._process = started(
                ["-m", "integrations.sqs.nursery_program"],
                loaded=SQS,
                environ=inherited | {"PYTHONPATH": str(_TESTS)},
                stdin=orders.fileno(),
                stdout=says.fileno(),
            )
        self._orders, self._told = os.fdopen(writes, "wb"), os.fdopen(told, "rb")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in list(self._workers.values()):
            worker.kill()
        self._orders.close()
        self._process.wait(BOUND_S)
        self._reader.join(BOUND_S)

    def start(self, plan: Plan, *, directory: Path, environ: Mapping[str, str], hears: bool = True) -> Worker:
        """Start one that carries out a plan; it has begun when this returns.

        Args:
            plan: What it is to do.
            directory: Where it works, and its log is kept.
            environ: More of its environment.
            hears: Whether it says so when SIGTERM has come; a handler of its own is then what was to hear of it before.
        """
        token = next(_tokens)
        worker = Worker(directory / f"log-{token}")
        order: dict[str, Any] = {
            "token": token,
            "plan": asdict(plan),
            "hears": hears,
            "directory": str(directory),
            "log": str(directory / f"log-{token}"),
            "environ": dict(environ),
        }
        with self._lock:
            self._unborn[token] = worker
            self._orders.write(json.dumps(order).encode() + b"\n")
            self._orders.flush()
        assert worker.born.wait(BOUND_S), "no worker was started"
        return worker

    def _read(self) -> None:
        with self._told:
            for line in self._told:
                self._note(json.loads(line))

    def _note(self, told: dict[str, Any]) -> None:
        with self._lock:
            if "token" in told:
                worker = self._workers[told["pid"]] = self._unborn.pop(told["token"])
                worker.pid = told["pid"]
                worker.born.set()
            elif "code" in told:
                self._workers.pop(told["pid"]).note_end(told["code"])
