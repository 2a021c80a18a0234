"""What the bodies of Celery tasks note of themselves, in one file that all processes append to, by the agent's clock.

A body writes (`Body`): when it started, every few milliseconds that it still runs, and when it ended. A test reads
(`Journal.runs`). Of a body that was killed its last sign of life counts as its end: whatever the journal claims of a
body is true, and what it leaves out is shorter than `BEAT_S` on a machine that has time for it.

    with Body("job", task_id="4711") as body:
        body.busy(0.3)
        body.note("caught", "SoftTimeLimitExceeded")
"""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from protectwork._clock import steady_now

BEAT_S = 0.02
SHORT_S = 0.3
LONG_S = 3.0
"""Longer than it takes to release a task whose work is not over: a look each second, the linger, a call."""
ENDLESS_S = 600.0

JOURNAL = "TEST_JOURNAL"
"""The environment variable that names the file."""


class Body:
    """The body of one task while it runs. Greenlets, threads and forked children may have one each.

    Args:
        name: The task.
        task_id: Its id; the same one may run several times, even at once.
        journal: The file; that of the environment by default.
    """

    def __init__(self, name: str, *, task_id: str, journal: Path | None = None) -> None:
        self._who = f"{uuid.uuid4().hex} {name} {task_id}"
        self._journal = journal or Path(os.environ[JOURNAL])

    def __enter__(self) -> Self:
        self.note("start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.note("end")

    def busy(self, seconds: float) -> None:
        """Run for that long, in short steps: each is a sign of life."""
        until = steady_now() + seconds
        while (left := until - steady_now()) > 0:
            time.sleep(min(left, BEAT_S))
            self.note("busy")

    def note(self, what: str, remark: str = "") -> None:
        """Write one line, in one write: who reads sees it whole or not yet."""
        now = steady_now()  # first the time, then the line: nothing is claimed of what comes after
        with self._journal.open("ab", buffering=0) as file:
            file.write(f"{self._who} {os.getpid()} {now!r} {what} {remark}\n".encode())


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a body, by the agent's clock.

    Attributes:
        name: The task.
        id: Its id.
        pid: The process that it ran in.
        start: A moment at which it ran, just after its first.
        last: The last moment of which it is known that it ran.
        ended: Whether it ended by itself; otherwise it is running, or was killed.
        remarks: What else it noted: for each kind the last remark.
    """

    name: str
    id: str
    pid: int
    start: float
    last: float
    ended: bool = False
    remarks: dict[str, str] = field(default_factory=dict)

    def noted(self, *, at: float, what: str, remark: str) -> Run:
        """The same with one more line."""
        remarks = self.remarks if what in ("start", "busy", "end") else {**self.remarks, what: remark}
        return replace(self, last=at, ended=what == "end", remarks=remarks)


class Journal:
    """What was written so far; reads on from where it was when it is asked again. For one thread.

    Args:
        path: The file; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._runs: dict[str, Run] = {}

    def runs(self, *, since: float = 0.0) -> list[Run]:
        """The runs that have started at `since` or later, in the order of their first lines."""
        self._read_on()
        return [run for run in self._runs.values() if run.start >= since]

    def _read_on(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            *lines, rest = file.read().split(b"\n")
            self._offset = file.tell() - len(rest)
        for line in lines:
            token, name, task_id, pid, at, what, remark = line.decode().split(" ", 6)
            new = Run(name=name, id=task_id, pid=int(pid), start=float(at), last=float(at))
            self._runs[token] = self._runs.get(token, new).noted(at=float(at), what=what, remark=remark)
