"""The Celery project of the tests: `celery -A integrations.celery_worker.proj worker`; `workers.Worker` starts it.

Each body keeps the journal (`journal.py`). What a test wants otherwise comes in the environment that is named below.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from celery import Celery, Task, chord
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.signals import worker_ready
from integrations.celery_worker.journal import ENDLESS_S, LONG_S, SHORT_S, Body

BROKER = "TEST_BROKER"
"""The environment variable with the URL of the broker, which also keeps the results."""
CONF = "TEST_CONF"
"""The one with more of the Celery configuration, as JSON."""
ADAPTER = "TEST_ADAPTER"
"""The one that says whether the adapter is installed: `on`, which is the default, or `off`."""
READY = "TEST_READY"
"""The one that names a file, which is there as soon as the worker is ready."""

app = Celery("proj", broker=os.environ[BROKER], backend=os.environ[BROKER])
app.conf.update(json.loads(os.environ.get(CONF, "{}")), broker_connection_retry_on_startup=True)

if os.environ.get(ADAPTER, "on") == "on":
    import protectwork_celery

    protectwork_celery.install(app)


@worker_ready.connect
def tell(**_: object) -> None:
    Path(os.environ[READY]).touch()


class _Odd(BaseException):
    """Neither an Exception nor anything that Python or Celery know."""


_FAILURES = {
    "ValueError": ValueError("as asked"),
    "Ignore": Ignore(),
    "SystemExit": SystemExit(3),
    "BaseException": _Odd("as asked"),
}


def _body(task: Task) -> Body:
    return Body(task.name, task_id=task.request.id)


@app.task(bind=True, name="work")
def work(self: Task, seconds: float = SHORT_S) -> int:
    """Run for so long."""
    with _body(self) as body:
        body.busy(seconds)
    return os.getpid()


@app.task(bind=True, name="fail")
def fail(self: Task, kind: str) -> None:
    """Run, and raise one of the failures."""
    with _body(self) as body:
        body.busy(SHORT_S)
        raise _FAILURES[kind]


@app.task(bind=True, name="retry_once")
def retry_once(self: Task) -> None:
    """Run twice, by way of Celery's retry."""
    with _body(self) as body:
        body.busy(SHORT_S)
        if not self.request.retries:
            raise self.retry(countdown=0)


@app.task(bind=True, name="reject", acks_late=True)
def reject(self: Task) -> None:
    """Run twice, and be rejected each time: first back to the queue, then for good."""
    with _body(self) as body:
        body.busy(SHORT_S)
        raise Reject("as asked", requeue=not self.request.delivery_info["redelivered"])


@app.task(bind=True, name="leave")
def leave(self: Task) -> None:
    """End the process, without a word to anybody."""
    with _body(self) as body:
        body.busy(SHORT_S)
        os._exit(3)


@app.task(bind=True, name="unpicklable")
def unpicklable(self: Task) -> object:
    """Return what no process can send to another."""
    with _body(self) as body:
        body.busy(SHORT_S)
    return lambda: None


@app.task(bind=True, name="overrun_softly")
def overrun_softly(self: Task) -> None:
    """Run until the soft time limit, and on after that."""
    with _body(self) as body:
        try:
            body.busy(ENDLESS_S)
        except SoftTimeLimitExceeded:
            body.note("caught", "SoftTimeLimitExceeded")
            body.busy(LONG_S)


@app.task(bind=True, name="tidy_up")
def tidy_up(self: Task, seconds: float = ENDLESS_S) -> None:
    """Run for so long; when told to stop before that, by whatever exception, tidy up at leisure."""
    with _body(self) as body:
        try:
            body.busy(seconds)
        except BaseException as error:
            body.note("caught", type(error).__name__)
            body.busy(LONG_S)
            raise


@app.task(bind=True, name="limited", rate_limit="2/s")
def limited(self: Task) -> None:
    """Run; twice a second at most."""
    with _body(self) as body:
        body.busy(SHORT_S)


@app.task(bind=True, name="fan_out")
def fan_out(self: Task) -> None:
    """Run, and start a chord of three."""
    with _body(self) as body:
        chord([work.s()] * 3)(gather.s())
        body.busy(SHORT_S)


@app.task(bind=True, name="gather")
def gather(self: Task, results: list[int]) -> int:
    """The body of a chord."""
    with _body(self) as body:
        body.busy(SHORT_S)
    return len(results)
