"""The threads on which handlers run: started when they are needed, and kept until the end."""

from __future__ import annotations

import threading
from _thread import RLock
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from protectwork.adapters import Waiter, blocking_waiter

__all__ = ["Hands"]

_Job = TypeVar("_Job")


class Hands(Generic[_Job]):
    """Threads that do jobs, each one after the other. One thread has them be ready; any thread may hand jobs over.

    They can be started for as long as there are threads: those of `concurrent.futures` cannot be once the main thread
    has ended, and a job that none could be started for stands in their queue all the same. They wait as the manager's
    own users do, so that a native thread can wake them where gevent or eventlet have made greenlets of them.

    Args:
        do: What is done with a job; raises nothing.
        most: How many threads there are at most.
        name: What they are called, before their number.
    """

    def __init__(self, do: Callable[[_Job], None], *, most: int, name: str) -> None:
        self._do, self._most, self._name = do, most, name
        self._lock = RLock()  # guards the two below
        self._jobs: deque[_Job | None] = deque()
        self._idle: list[Waiter] = []
        self._threads = 0  # changed by the one thread that starts them

    def ready(self, count: int) -> None:
        """Have so many threads, or `most`, or as many as can be started. Always for the same thread to call.

        Started on a native thread beside gevent or eventlet, they would be greenlets of a hub that nobody runs.
        """
        while self._threads < min(count, self._most):
            try:
                threading.Thread(target=self._run, name=f"{self._name}-{self._threads}").start()
            except RuntimeError:  # a limit, or the interpreter's exit: those that there are will come to it
                return
            self._threads += 1

    def give(self, job: _Job) -> None:
        """Have it done, as soon as a thread is free; starts none. Never blocks.

        Raises:
            RuntimeError: There is no thread, and none could be started; the job will not be done.
        """
        if not self._threads:
            raise RuntimeError("no thread can be started")
        self._put(job)

    def dismiss(self) -> None:
        """Have the threads end when they have done what they were given. Never blocks."""
        for _ in range(self._threads):
            self._put(None)

    def _put(self, job: _Job | None) -> None:
        with self._lock:
            self._jobs.append(job)
            waiter = self._idle.pop() if self._idle else None
        if waiter:
            waiter.fire()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._do(job)
            del job

    def _next(self) -> _Job | None:
        while True:
            with self._lock:
                if self._jobs:
                    return self._jobs.popleft()
                self._idle.append(waiter := blocking_waiter())
            waiter.wait(threading.TIMEOUT_MAX)
