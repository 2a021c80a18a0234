"""A peer: a bootstep of the worker that looks every 60 s whether jobs are active, and has the task protected while so.

It does what this one says that it does, and no worse; only the jobs that it is to protect are ours:
https://github.com/prowler-cloud/prowler/pull/11584, `api/src/backend/config/ecs_task_protection.py`. It looks at once
when the worker starts, and then every so often ("Defaults to ``60``"); asks for 120 minutes, and again at half of them
while work goes on; counts every child, in the main process; and releases when a look finds the worker idle, and when
the worker stops.
"""

import logging
import os
import threading
import time
from typing import Any

from celery import bootsteps
from celery.worker import state
from integrations.celery_worker.proj import app
from worker_parts.agent import put

POLL_S = float(os.environ.get("PEER_POLL_SECONDS", "60"))
EXPIRES_MIN = 120
JOBS = frozenset({"work"})

logger = logging.getLogger(__name__)


class PollingStep(bootsteps.StartStopStep):
    """Polls in a chain of timers."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._stopped = threading.Event()
        self._timer: threading.Timer | None = None
        self._asked_at: float | None = None  # None while the task is not protected

    def start(self, _parent: Any) -> None:
        """Look now, and again and again."""
        self._tick()

    def stop(self, _parent: Any) -> None:
        """Look no more, and release."""
        self._stopped.set()
        if self._timer:
            self._timer.cancel()
        if self._asked_at is not None:
            self._release()

    def _tick(self) -> None:
        try:
            self._look()
        except OSError:
            logger.warning("not told to ECS; the next look tries again", exc_info=True)
        if not self._stopped.is_set():
            self._timer = threading.Timer(POLL_S, self._tick)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        busy = any(request.name in JOBS for request in list(state.active_requests))
        if busy and (self._asked_at is None or time.monotonic() - self._asked_at >= EXPIRES_MIN * 60 / 2):
            put(ProtectionEnabled=True, ExpiresInMinutes=EXPIRES_MIN)
            self._asked_at = time.monotonic()
        elif not busy and self._asked_at is not None:
            self._release()

    def _release(self) -> None:
        put(ProtectionEnabled=False)
        self._asked_at = None


app.steps["worker"].add(PollingStep)
