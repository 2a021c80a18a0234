"""What of Celery this adapter stands on, in one place; the rest of the adapter sees only these names and types."""

# pyright: reportMissingTypeStubs=false
# Celery has no types: what of it is used is given one here.

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from logging import getLogger
from typing import Any, Protocol, cast

try:
    import celery
except ImportError as error:
    raise ImportError("protectwork_celery needs Celery: pip install 'protectwork[celery]'") from error

__all__ = [
    "App",
    "Bootstep",
    "Consumer",
    "Job",
    "Limits",
    "Request",
    "State",
    "app_of",
    "child_of",
    "inspect_command",
    "is_closing",
    "keep_running_jobs",
    "limits_of",
    "logger",
    "require_version",
    "runs_in_children",
    "signals",
    "worker_state",
]

logger = getLogger("protectwork")

signals: Any = import_module("celery.signals")
Bootstep: Any = import_module("celery.bootsteps").StartStopStep

_OLDEST = (5, 4)


Limits = tuple[float | None, float | None]
"""For how long a job may run at most, in seconds: the hard limit and the soft one."""


class App(Protocol):
    """A Celery application."""

    conf: Any
    namespace: str | None
    tasks: Mapping[str, Job]
    steps: Mapping[str, set[Any]]


class Job(Protocol):
    """What Celery calls a task: a registered function."""

    name: str
    acks_late: bool
    time_limit: float | None
    soft_time_limit: float | None
    request: Any


class Request(Protocol):
    """One message that a worker has taken, on its way to the pool and until its end."""

    id: str
    name: str
    task: Job
    time_limits: Limits
    worker_pid: int | None
    time_start: float | None
    acknowledged: bool

    def reject(self, requeue: bool = ...) -> None:  # noqa: FBT001 - Celery's own
        """Give the message back."""
        ...


class Consumer(Protocol):
    """The part of a worker that takes messages."""

    app: App
    blueprint: Any
    connection: Any
    controller: Any
    hub: Any
    pool: Any
    on_task_request: Callable[[Request], object]
    task_consumer: Any

    def call_soon(self, act: Callable[..., object], *arguments: object) -> object:
        """Have it done on the consumer's own thread."""
        ...


class State(Protocol):
    """Which requests a worker has; only their number and whether one is among them can be asked from any thread."""

    reserved_requests: Collection[Request]
    active_requests: Collection[Request]
    task_ready: Callable[[Request], None]


def require_version() -> None:
    """Refuse a Celery whose hooks differ.

    Raises:
        ImportError: It is too old.
    """
    if _version() < _OLDEST:
        found = celery.__version__
        raise ImportError(f"protectwork_celery needs Celery 5.4 or later, got {found}: pip install -U 'celery>=5.4,<6'")


def _version() -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", celery.__version__)[:2])


def worker_state() -> State:
    """What this worker knows of its requests."""
    return cast("State", import_module("celery.worker.state"))  # half of Celery, and only a worker needs it


def limits_of(consumer: Consumer) -> Limits:
    """The time limits of the whole worker."""
    worker = consumer.controller
    return getattr(worker, "time_limit", None), getattr(worker, "soft_time_limit", None)


def runs_in_children(consumer: Consumer) -> bool:
    """Whether the worker's pool is one of processes."""
    prefork = sys.modules.get("celery.concurrency.prefork")
    return prefork is not None and isinstance(consumer.pool, prefork.TaskPool)


def keep_running_jobs(consumer: Consumer) -> None:
    """Have the worker hear of the end of every job that runs.

    A prefork pool is flushed after a lost connection and at the worker's end. Before Celery 5.6 it then forgets all its
    jobs: their results are dropped, and the worker takes those that run for running for ever. Since then it forgets
    those alone that have gone to a child which has not yet said that it runs them: it runs them all the same.
    """
    pool = consumer.pool
    jobs: dict[int, Any] | None = getattr(getattr(pool, "_pool", None), "_cache", None)
    if jobs is not None and not isinstance(pool.flush, _Flush):
        pool.flush = _Flush(pool.flush, jobs)


class _Flush:
    """Flushes a pool, save the jobs that run, or are about to."""

    def __init__(self, flush: Callable[[], None], jobs: dict[int, Any]) -> None:
        self._flush, self._jobs = flush, jobs

    def __call__(self) -> None:
        running = {number: job for number, job in self._jobs.items() if job.accepted() or _is_with_a_child(job)}
        self._flush()
        self._jobs.update((number, job) for number, job in running.items() if not job.ready())


def child_of(job: Any) -> int | None:
    """The process to which a job of a prefork pool has gone, which may not have begun it, or be dead; None before."""
    return getattr(getattr(job, "_write_to", None), "pid", None)


def _is_with_a_child(job: Any) -> bool:
    """Whether it has gone to one that lives. On the pool's own thread alone: who looks may have to reap it."""
    process = getattr(job, "_write_to", None)
    return process is not None and process._is_alive()  # noqa: SLF001 - as the pool itself does


def inspect_command() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The decorator of a command of ``celery inspect``."""
    decorator: Callable[[Callable[..., Any]], Callable[..., Any]] = import_module(
        "celery.worker.control"
    ).inspect_command()
    return decorator


def is_closing(consumer: Consumer) -> bool:
    """Whether the worker is going down, rather than connecting again."""
    return bool(consumer.blueprint.state != import_module("celery.bootsteps").RUN)


def app_of(app: object) -> App | None:
    """The application itself, also behind `celery.current_app`; None if it is none."""
    found = getattr(app, "_get_current_object", lambda: app)()
    return cast("App", found) if isinstance(found, celery.Celery) else None
