"""What workers of a lab tell of their jobs: one line when a job begins, one when it ends, in one file for all.

    from protectwork.lab import journal

    with journal.job("job 17"):
        transcode(17)

Outside a lab it does nothing. A line is written in one piece, so that none is ever mixed with another or cut by a
SIGKILL; a job that has a first line and no second one was killed. A worker in another language appends the same lines
to the file that ``PROTECTWORK_LAB_JOURNAL`` names: JSON with ``what`` (``started``, ``finished``, ``failed``), ``run``
(of one's own for each run), ``job``, ``task`` (from ``PROTECTWORK_LAB_TASK``), ``pid`` and ``time`` (seconds of
CLOCK_BOOTTIME, where there is one).
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self
from uuid import uuid4

from protectwork._clock import steady_now
from protectwork._policy_time import LAB_PREFIX

__all__ = ["JOURNAL_VARIABLE", "TASK_VARIABLE", "Job", "job"]

JOURNAL_VARIABLE = f"{LAB_PREFIX}JOURNAL"
TASK_VARIABLE = f"{LAB_PREFIX}TASK"
_MOST_CHARS = 200  # of a name: a longer line might be written in two pieces


def job(name: str) -> Job:
    """Note that a job runs for as long as a ``with`` lasts, in asyncio too. Each call is one run."""
    return Job(name)


class Job:
    """One run of a job. It never blocks, and never raises for what becomes of the journal."""

    def __init__(self, name: str) -> None:
        self._name = str(name)[:_MOST_CHARS]
        self._run = ""

    def __enter__(self) -> Self:
        self._run = uuid4().hex
        self._tell("started")
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._tell("failed" if exc_type else "finished")

    def _tell(self, what: Literal["started", "finished", "failed"]) -> None:
        path = os.environ.get(JOURNAL_VARIABLE)
        if not path:
            return
        fields = {"what": what, "run": self._run, "job": self._name, "task": os.environ.get(TASK_VARIABLE, "")}
        line = json.dumps({**fields, "pid": os.getpid(), "time": steady_now()})
        with suppress(OSError):  # the lab is over, and its journal gone
            _append(path, f"{line}\n".encode())


def _append(path: str, line: bytes) -> None:
    # Opened for each line: a descriptor that is kept would be shared by forks, and closed by whoever becomes a daemon.
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(number, line)
    finally:
        os.close(number)
