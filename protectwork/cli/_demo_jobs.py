"""The jobs of the demo: sync, threaded, asyncio and in a process of its own, all in the one task of a fake agent."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from protectwork import ProtectionManager, Settings
from protectwork.backends.agent import AgentBackend
from protectwork.testing import FakeAgent

__all__ = ["LABELS", "Job", "Jobs"]

LABELS = ("sync", "thread A", "thread B", "coroutine A", "coroutine B", "coroutine C", "subprocess")
"""Every job, in the order in which they begin."""

_LEASE_S, _LINGER_S, _ACQUIRE_TIMEOUT_S = 60, 2, 3
_LONGEST_RELEASE_S = 8.0  # the linger and a call that takes its whole time
_GAP_S = 0.5  # for how long the task stays released, so that it can be seen

_PROGRAM = """
import time
from protectwork._clock import steady_now
print(steady_now(), flush=True)
time.sleep(1.2)
print(steady_now(), flush=True)
"""


@dataclass(slots=True)
class Job:
    """One job: in flight from `start` to `end`, by the clock that the agent's timeline is told by."""

    label: str
    start: float
    end: float | None = None


class Jobs:
    """Runs the jobs, and notes when each was in flight: as told by the job itself, within its hold."""

    def __init__(self, agent: FakeAgent) -> None:
        self._agent = agent
        self.noted: list[Job] = []

    def run(self) -> None:
        """Run all of them, each group of them with an idle task before it. Blocks until the last has ended."""
        settings = Settings(lease=_LEASE_S, linger=_LINGER_S, acquire_timeout=_ACQUIRE_TIMEOUT_S)
        with ProtectionManager(AgentBackend(self._agent.uri), settings=settings) as manager:
            self._sync(manager, *LABELS[:1])
            self._threaded(manager, *LABELS[1:3])
            self._idle()
            asyncio.run(self._asyncio(manager, *LABELS[3:6]))
        self._idle()
        self._subprocess(*LABELS[6:])

    def _sync(self, manager: ProtectionManager, label: str) -> None:
        with manager.protect(label), self._in_flight(label):
            time.sleep(1.2)

    def _threaded(self, manager: ProtectionManager, first: str, second: str) -> None:
        @manager.protected(label="threads")
        def work(label: str, seconds: float) -> None:
            with self._in_flight(label):
                time.sleep(seconds)

        with ThreadPoolExecutor() as threads:
            one = threads.submit(work, first, 1.2)
            time.sleep(0.6)
            other = threads.submit(work, second, 1.8)  # they overlap: the first ends while the second needs the lease
        one.result()
        other.result()

    async def _asyncio(self, manager: ProtectionManager, *labels: str) -> None:
        async def work(label: str, *, after: float) -> None:
            await asyncio.sleep(after)
            async with manager.protect(label):
                with self._in_flight(label):
                    await asyncio.sleep(1)

        await asyncio.gather(*(work(label, after=0.3 * position) for position, label in enumerate(labels)))

    def _subprocess(self, label: str) -> None:
        program = [sys.executable, "-P", "-c", _PROGRAM]
        command = [sys.executable, "-P", "-m", "protectwork", "run", "--label", label, "--", *program]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=self._environ(), stdout=pipe, stderr=pipe, text=True) as child:  # noqa: S603 - our own
            try:
                for line in child.stdout or ():
                    self._tell(label, at=float(line))
                _, said = child.communicate()
            finally:
                child.terminate()  # after Ctrl-C; one that has ended does not mind
        sys.stderr.write(said)
        if child.returncode:
            raise subprocess.CalledProcessError(child.returncode, command)

    def _environ(self) -> dict[str, str]:
        """The environment of the child: ours, but with the agent and the settings of the demo."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PROTECTWORK_")}
        settings = {"PROTECTWORK_LEASE": f"{_LEASE_S}", "PROTECTWORK_ACQUIRE_TIMEOUT": f"{_ACQUIRE_TIMEOUT_S}"}
        return {**ours, **self._agent.environ(), **settings}

    def _idle(self) -> None:
        """Do nothing until the agent has seen the release, and for a while more."""
        self._agent.wait_until(lambda: not self._agent.protected, timeout_s=_LONGEST_RELEASE_S)
        time.sleep(_GAP_S)

    @contextmanager
    def _in_flight(self, label: str) -> Generator[None, None, None]:
        self._tell(label, at=self._agent.now())
        try:
            yield
        finally:
            self._tell(label, at=self._agent.now())

    def _tell(self, label: str, *, at: float) -> None:
        """Note that a job begins or, the second time, that it ends."""
        for job in self.noted:
            if job.label == label:
                job.end = at
                return
        self.noted.append(Job(label, start=at))
