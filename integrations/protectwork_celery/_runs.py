"""The holds of a worker's requests: each lasts from the door until nothing of the request can run any more."""

from __future__ import annotations

import os
import weakref
from _thread import RLock
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from protectwork import Hold, ProtectionManager
from protectwork_celery._celery import Job, Limits, Request, State, child_of

__all__ = ["Run", "Runs"]

_LONGEST_WORK_S = 48 * 3600.0  # no lease is longer; longer work is renewed
_SHORTEST_WORK_S = 0.001
_SOME = 128  # so many holds may stand before a look whether some are over is worth its time


class Run:
    """One request and its hold.

    Attributes:
        request: Celery counts by weak references, so this must not keep the request alive; None once it is gone.
        handed: It has been handed to the pool; before that it cannot be over.
        running: Its body runs in this process, and `task_postrun` will tell of its end.
        limit_s: For how long its body may run; None without a limit.
        begun: Its body is known to run, here or in a child.
    """

    __slots__ = ("begun", "handed", "hold", "id", "limit_s", "request", "running")

    def __init__(self, request: Request, hold: Hold) -> None:
        self.id = request.id
        self.request = weakref.ref(request)
        self.hold = hold
        self.limit_s = hold.max_duration_s
        self.handed = self.running = self.begun = False

    def is_over(self, state: State, *, in_children: bool) -> bool:
        """Whether nothing of it can run any more.

        The worker's own state is right through every death of a child, where events would be counted twice or never;
        but it may hear of one only five seconds later, and forgets what it has handed over when its connection is gone.
        """
        request = self.request()
        if self.running or not self.handed:
            return False
        if request is None:
            return True
        if in_children and request.worker_pid and not _lives(request.worker_pid):
            return True
        if request in state.reserved_requests or request in state.active_requests:
            return False
        if in_children:
            return not _child_works_on(request)
        return bool(request.time_start or request.acknowledged)  # else it stands in the pool's own queue


class Runs:
    """All that the worker has been handed and that is not over. Every method is safe in any thread.

    Args:
        manager: Whose holds they are.
        state: What the worker knows of its requests.
        deserves: Whether runs of the Celery task of that name are to be protected.
        in_children: Bodies run in children of this process.
        limits: The worker's own time limits.
    """

    def __init__(
        self,
        manager: ProtectionManager,
        state: State,
        *,
        deserves: Callable[[str], bool],
        in_children: bool,
        limits: Limits,
    ) -> None:
        self._manager, self._state, self._deserves = manager, state, deserves
        self._in_children, self._limits = in_children, limits
        self._pid = os.getpid()
        self._lock = RLock()  # guards what follows; native, so that the thread that watches can take it under gevent
        self._runs: dict[Run, None] = {}
        self._waiting: dict[str, list[Run]] = {}  # by the id of the request: no body runs yet
        self._running: dict[int, Run] = {}  # by the context of the run: one id may run twice at once
        self._enough = _SOME

    def begin(self, request: Request, *, timeout_s: float) -> Run | None:
        """Have the task protected for this request, if it deserves that; blocks for at most `timeout_s`."""
        if not self._deserves(request.task.name):
            return None
        hold = self._manager.acquire(
            f"{request.name}[{request.id}]", max_duration=_max_duration_s(request, self._limits), timeout=timeout_s
        )
        run = Run(request, hold)
        with self._lock:
            self._runs[run] = None
            if not self._in_children:
                self._waiting.setdefault(request.id, []).append(run)
            crowded = len(self._runs) > self._enough
        if crowded:
            self.sweep()
            self._enough = _SOME + 2 * len(self._runs)
        return run

    def end(self, run: Run) -> None:
        """Nothing of it runs any more, or it never will. Idempotent."""
        with self._lock:
            self._forget(run)
        run.hold.release()

    def sweep(self) -> bool:
        """End what is over; return whether nothing is left."""
        with self._lock:  # else a body might begin here in between
            over = [run for run in self._runs if run.is_over(self._state, in_children=self._in_children)]
            for run in over:
                self._forget(run)
        for run in over:
            run.hold.release()
        for run in self._all():
            if not run.begun and (request := run.request()) and request.time_start:
                self._body_begins(run)
        return not self._runs

    def end_all(self) -> None:
        """This process ends, and with it whatever it runs; only children may outlive it."""
        if os.getpid() != self._pid:  # a child inherits what is to be done at the exit, and perhaps a lock that is held
            return
        for run in self._all():
            request = run.request()
            if request is None or not _lives(request.worker_pid):
                self.end(run)

    def on_prerun(self, *, task_id: str, task: Job, **_: Any) -> None:
        """A body is about to start in this process; in prefork pools that is not where it starts."""
        if os.getpid() != self._pid or task.request.is_eager:
            return
        with self._lock:
            # Another message with the same id may stand aside.
            run = next((run for run in self._waiting.get(task_id, ()) if run.handed), None)
            if run:
                run.running = True
                self._running[id(task.request)] = run
                self._forget_waiting(run)
        if run:
            self._body_begins(run)

    def on_postrun(self, *, task: Job, **_: Any) -> None:
        """A body has ended in this process, however it did."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            run = self._running.pop(id(task.request), None)
        if run:
            self.end(run)

    def _body_begins(self, run: Run) -> None:
        """Its limit counts from now on, however long it has waited for a place in the pool."""
        run.begun = True
        if run.limit_s is None:
            return
        spare = self._manager.acquire(run.hold.label, max_duration=run.limit_s, timeout=0)
        with self._lock:
            if run in self._runs:  # it has not ended meanwhile
                spare, run.hold = run.hold, spare
        spare.release()

    def _all(self) -> list[Run]:
        with self._lock:
            return list(self._runs)

    def _forget(self, run: Run) -> None:
        self._runs.pop(run, None)
        self._forget_waiting(run)

    def _forget_waiting(self, run: Run) -> None:
        waiting = self._waiting.get(run.id, [])
        if run in waiting:
            waiting.remove(run)
        if not waiting:
            self._waiting.pop(run.id, None)


def _max_duration_s(request: Request, of_worker: Limits) -> float | None:
    """Its time limit: the hard one, else the soft one; its own, else that of its Celery task or of the worker."""
    job = request.task
    (hard, soft), (most, soft_most) = request.time_limits, of_worker
    limit = hard or job.time_limit or most or soft or job.soft_time_limit or soft_most
    return min(max(float(limit), _SHORTEST_WORK_S), _LONGEST_WORK_S) if limit else None


def _child_works_on(request: Request) -> bool:
    """Whether the child still works on a request that its worker has written off: one that was revoked, say."""
    result = getattr(request, "_apply_result", None)
    result = result and result()
    ready = getattr(result, "ready", None)
    return ready is not None and not ready() and _lives(request.worker_pid or child_of(result))


def _lives(pid: int | None) -> bool:
    """Whether that process lives, other than this one; a zombie does not."""
    if pid is None or pid == os.getpid():
        return False
    try:
        with suppress(ChildProcessError):  # it has been waited for, or is the child of a fork server
            return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # a greenlet has a number too
        return False
    except PermissionError:
        return True
    return True
