"""An ECS task of worker processes, which hold, and tell by the agent's clock when they did."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Pipe
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nursery
from processes.fast_clock import FastClock
from processes.soak import TIMES

from protectwork.testing import FakeAgent

REAL_TIME = FastClock(speed=1.0)

_TESTS = Path(__file__).parents[1]
_BOUND_S = 90.0 * TIMES


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """When work was in flight that had been told that it is protected, by the agent's clock."""

    start: float
    end: float


class Worker:
    """One process, which does what it is told; `worker_program.Program` says what that can be.

    Args:
        directory: Where it keeps its journal.
        clock: Its clock.

    Attributes:
        pid: Its process.
        killed_at: A moment at which it still lived, just before it was killed; None while it was not.
    """

    def __init__(self, directory: Path, *, clock: FastClock) -> None:
        self.killed_at: float | None = None
        self._clock = clock
        self._unanswered = 0
        self._pipe, theirs = Pipe()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PROTECTWORK_", "ECS_"))}
        with theirs:
            self._process = nursery.started(
                ["-m", "processes.worker_program", str(theirs.fileno())],
                loaded=nursery.CORE,
                environ=inherited | {"PYTHONPATH": str(_TESTS)},
                pass_fds=[theirs.fileno()],
            )
        self._pipe.send((clock, directory))
        self.pid = self._process.pid
        self._journal = directory / f"journal-{self.pid}"

    def ask(self, what: str, *arguments: Any, **named: Any) -> Any:
        """Have it do something, and wait for what comes of it."""
        self.tell(what, *arguments, **named)
        return self.answer()

    def tell(self, what: str, *arguments: Any, **named: Any) -> None:
        """Have it do something, without waiting."""
        self._pipe.send((what, arguments, named))
        self._unanswered += 1

    def answer(self) -> Any:
        """What came of the last thing that it was told; it does one after the other."""
        result = None
        while self._unanswered:
            assert self._pipe.poll(_BOUND_S), f"no answer within {_BOUND_S:g} s"
            pid, result = self._pipe.recv()
            assert pid == self.pid != os.getpid()
            self._unanswered -= 1
        return result

    def kill(self) -> float:
        """SIGKILL it and its children; the last moment before that."""
        if self.killed_at is None:
            self.killed_at = self._clock.now()
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait(_BOUND_S)
            self._pipe.close()
        return self.killed_at

    @property
    def busy(self) -> bool:
        """Whether one of its random jobs is in flight, and was confirmed."""
        return "confirmed" in {name: what for name, what, _ in self._noted()}.values()

    def stretches(self, *, since: float = -math.inf) -> list[Stretch]:
        """When its random jobs were in flight and confirmed, until now or until it was killed; those begun `since`."""
        begun: dict[str, float] = {}
        found: list[Stretch] = []
        for name, what, at in self._noted():
            if what == "confirmed" and at >= since:
                begun[name] = at
            elif name in begun:
                found.append(Stretch(start=begun.pop(name), end=at))
        until = self._clock.now() if self.killed_at is None else self.killed_at
        return [*found, *(Stretch(start=start, end=until) for start in begun.values() if start < until)]

    def unconfirmed(self) -> int:
        """How many of its random jobs nobody has told that they are protected."""
        return sum(what == "unconfirmed" for _, what, _ in self._noted())

    def _noted(self) -> list[tuple[str, str, float]]:
        if not self._journal.exists():
            return []
        lines = self._journal.read_text().splitlines()
        return [(name, what, float(at)) for name, what, at in map(str.split, lines)]


class Task:
    """One ECS task: its agent, its state directory and its workers, all on one clock.

    Args:
        directory: For all that belongs to it.
        clock: Its time, and that of all who are in it; the machine's by default.
        settings: What its managers are told.
    """

    def __init__(self, directory: Path, *, clock: FastClock = REAL_TIME, **settings: Any) -> None:
        (directory / "state").mkdir(mode=0o700, parents=True)
        self.agent = FakeAgent(clock=clock)
        self._directory, self._clock = directory, clock
        self._settings = {"lease": 60, "linger": 1.0, "state_dir": str(directory / "state"), **settings}
        self._workers: list[Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self._workers:
            worker.kill()
        self.agent.close()

    def workers(self, number: int) -> list[Worker]:
        """Start some more, each with a manager in this task; the first that is asked of one waits until it is up."""
        crew = [Worker(self._directory, clock=self._clock) for _ in range(number)]
        self._workers += crew
        self.admit(*crew)
        assert len({os.getpid(), *(worker.pid for worker in self._workers)}) == len(self._workers) + 1
        return crew

    def admit(self, *workers: Worker) -> None:
        """Give each of them one more manager, in this task."""
        for worker in workers:
            worker.tell("manage", self.agent.uri, self._settings)

    def released_after(self, moment: float) -> float:
        """Wait until the task is released; how long after `moment` that was."""
        released = self.agent.wait_until(lambda: not self.agent.protected, timeout_s=_BOUND_S)
        assert released, f"it was never released: {[(call.time - moment, call.call) for call in self.agent.calls[-9:]]}"
        return self.agent.changes[-1].time - moment

    def exposed(self, stretches: Iterable[Stretch]) -> list[Stretch]:
        """Those in which the agent did not protect the task all the time. There must be none."""
        return [stretch for stretch in stretches if not self.agent.was_protected(stretch.start, stretch.end)]
