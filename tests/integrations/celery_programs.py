"""A Celery project on a broker in memory, for programs: `run(PROJECT + "...", loaded=CELERY)`.

It has the tasks `reports.make` and `ping`, which print their names, and what a program may want of a worker:
`consumer()` is that of one that has not started yet, `step_of(consumer)` ours in it, `work()` a worker that runs until
`stop()` is called, which a task does whose argument says so.
"""

from __future__ import annotations

from pathlib import Path

from programs import Done

from protectwork.testing import FakeAgent

__all__ = ["PROJECT", "environ_of", "outcome"]

PROJECT = """
import json, logging, os, threading, warnings
logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
warnings.simplefilter("ignore")  # Celery dislikes root

import protectwork, protectwork_celery
from celery import Celery

app = Celery("proj", broker="memory://localhost/")
app.conf.worker_hijack_root_logger = app.conf.worker_redirect_stdouts = app.conf.worker_enable_remote_control = False

@app.task(name="reports.make")
def make(last=False):
    done("reports.make", last)

@app.task(name="ping")
def ping(last=False):
    done("ping", last)

def done(name, last):
    print(name, flush=True)
    if last:
        stop()

def stop():
    from celery.worker import state
    state.should_stop = 0

def worker(**options):
    return app.Worker(
        pool="solo", quiet=True, without_mingle=True, without_gossip=True, without_heartbeat=True, **options
    )

def consumer():
    return worker().consumer

def step_of(consumer):
    return next((step for step in consumer.steps if step.name == "protectwork"), None)

def work(**options):
    worker(**options).start()
"""


def environ_of(agent: FakeAgent, directory: Path) -> dict[str, str]:
    """That of a container of the agent's task, which keeps its state in this directory."""
    state = directory / "state"
    state.mkdir(mode=0o700)
    return {**agent.environ(), "PROTECTWORK_STATE_DIR": str(state), "PROTECTWORK_LINGER": "0"}


def outcome(done: Done) -> Done:
    """A program that has ended well."""
    assert done.code == 0, done.err
    return done
