"""The threads on which handlers run: started when they are needed, and kept until the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

__all__ = ["Hands"]

_Job = TypeVar("_Job")


class Hands(Generic[_Job]):
    """Threads that do jobs, each one after the other. Any thread may hand jobs over.

    They can be started for as long as there are threads: those of `concurrent.futures` cannot be once the main thread
    has ended, and a job that none could be started for stands in their queue all the same.

    Args:
        do: What is done with a job; raises nothing.
        most: How many threads there are at most.
        name: What they are called, before their number.
    """

    def __init__(self, do: Callable[[_Job], None], *, most: int, name: str) -> None:
        self._do, self._most, self._name = do, most, name
        self._lock = threading.Lock()  # guards _threads
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads = 0

    def give(self, job: _Job) -> None:
        """Have it done, at once if a thread is free or can be started. Never blocks.

        Raises:
            RuntimeError: There is no thread, and none can be started; the job will not be done.
        """
        with self._lock:
            if not self._idle.acquire(blocking=False) and self._threads < self._most:
                self._start()
            self._jobs.put(job)

    def dismiss(self) -> None:
        """Have the threads end when they have done what they were given. Never blocks."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _start(self) -> None:
        try:
            threading.Thread(target=self._run, name=f"{self._name}-{self._threads}").start()
        except RuntimeError:  # a limit, or the interpreter's exit: those that there are will come to it
            if not self._threads:
                raise
        else:
            self._threads += 1

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._do(job)
            del job
            self._idle.release()
