"""More tasks for the project of the tests; a worker has them with the option `-I integrations.celery_jobs`."""

from __future__ import annotations

import threading

from celery import Task, shared_task
from integrations.celery_worker.journal import SHORT_S, Body

from protectwork import protect

INCLUDED = ("-I", __name__)
"""The options of a worker that is to have them."""


@shared_task(bind=True, name="comes_back", acks_late=True, reject_on_worker_lost=True)
def comes_back(self: Task, seconds: float) -> None:
    """Run for so long; when the child is lost meanwhile, again in another."""
    with Body(self.name, task_id=self.request.id) as body:
        body.busy(seconds)


@shared_task(bind=True, name="leave_work_behind")
def leave_work_behind(self: Task, seconds: float) -> None:
    """Return soon, and leave a thread behind whose work protects itself and runs for so long."""
    job, begun = self.request.id, threading.Event()

    def work() -> None:
        with protect("left behind"), Body(f"{self.name}.behind", task_id=job) as body:
            begun.set()
            body.busy(seconds)

    threading.Thread(target=work, daemon=True).start()
    with Body(self.name, task_id=job) as body:
        begun.wait()
        body.busy(SHORT_S)
