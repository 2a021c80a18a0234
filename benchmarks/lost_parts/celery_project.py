"""Ours in a Celery worker, prefork: what cannot be protected is left to others."""

import os
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tests"))

import protectwork_celery
from celery import Celery
from lab.job_queue import seconds_of

from protectwork.lab import journal

app = Celery("lost", broker=os.environ["LOST_BROKER"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 15},  # what a worker that is killed has not begun comes back soon
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
)
protectwork_celery.install(app, when_refused="pause")


@app.task(name="job")
def job(name: str) -> None:
    with journal.job(name):
        time.sleep(seconds_of(name))
