"""Reads the journal of a lab: every run of a job, from its first line to its second."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

__all__ = ["Run", "Runs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a job, as the worker told of it.

    Attributes:
        job: The name of the job.
        task: The id of the task that it ran in.
        pid: The process.
        began: When it began.
        ended: When it ended; None: it told of no end.
        failed: Whether it ended with an exception.
    """

    job: str
    task: str
    pid: int
    began: float
    ended: float | None = None
    failed: bool = False


class Runs:
    """What was read of a journal so far. Any thread may use it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()  # guards all below
        self._place = 0
        self._rest = b""
        self._runs: dict[str, Run] = {}

    def read(self) -> tuple[Run, ...]:
        """Every run so far, in the order in which they began."""
        with self._lock:
            try:
                with self._path.open("rb") as file:
                    file.seek(self._place)
                    new = file.read()
            except FileNotFoundError:  # the lab is over: what was read stays
                new = b""
            self._place += len(new)
            *lines, self._rest = (self._rest + new).split(b"\n")
            for line in lines:
                self._note(line)
            return tuple(self._runs.values())

    def _note(self, line: bytes) -> None:
        try:
            told = cast("dict[str, Any]", json.loads(line))
            run, what, time = str(told["run"]), told["what"], float(told["time"])
            if what == "started":
                began = Run(job=str(told["job"]), task=str(told["task"]), pid=int(told["pid"]), began=time)
                self._runs.setdefault(run, began)
            elif what in {"finished", "failed"} and run in self._runs:
                self._runs[run] = replace(self._runs[run], ended=time, failed=what == "failed")
        except (ValueError, TypeError, KeyError):
            pass  # anybody may write into the file: what is no line of a worker is none
