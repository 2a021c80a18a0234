"""What a worker has beside its project in the tests of admission; it is loaded with `-I integrations.admission_worker`.

Time may run faster for its manager than for everybody else: an ECS that refuses is asked again after half a minute.
"""

from __future__ import annotations

import os
from typing import Any

import protectwork_celery
from celery import current_app
from celery.worker.control import control_command, inspect_command
from integrations.celery_worker.journal import Body
from processes.fast_clock import FastClock

from protectwork import ProtectionManager, get_manager

SPEED = "TEST_SPEED"
"""The environment variable that says how fast the manager's time runs; without it, it is an ordinary one."""

speed = os.environ.get(SPEED)
manager = ProtectionManager(clock=FastClock(speed=float(speed))) if speed else None
protectwork_celery.install(current_app, manager=manager)


@control_command(args=[("reason", str)])
def close_admission(_: object, reason: str) -> dict[str, str]:
    """Close admission from the worker's main process, as a user's code may."""
    (manager or get_manager()).admission.close(reason)
    return {"ok": "closed"}


@control_command(args=[("reason", str)])
def reopen_admission(_: object, reason: str) -> dict[str, str]:
    """Take it back."""
    (manager or get_manager()).admission.reopen(reason)
    return {"ok": "reopened"}


@inspect_command()
def consumes(state: Any) -> dict[str, bool]:
    """Whether messages are taken now."""
    return {"ok": bool(state.consumer.task_consumer._active_tags)}


def _run(self: Any, seconds: float) -> None:
    with Body(self.name, task_id=self.request.id) as body:
        body.busy(seconds)


current_app.task(_run, bind=True, name="early")
current_app.task(_run, bind=True, name="late", acks_late=True)
current_app.task(_run, bind=True, name="unguarded")
