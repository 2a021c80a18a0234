"""What the lab is for: the same jobs under the same scale-in and deployment, with protection and without."""

from __future__ import annotations

import sys
from pathlib import Path

from protectwork import lab
from protectwork.lab import Cause

from .services import service, settle, until

WORKER = Path(__file__).with_name("worker.py")
SETTINGS = {"PROTECTWORK_LEASE": "1m", "PROTECTWORK_LINGER": "0"}
JOB_S, PAUSE_S = 1.0, 0.4  # a task whose jobs follow each other at once is never free to go


def workers(how: str, *, pause_s: float = PAUSE_S) -> lab.Service:
    command = [sys.executable, str(WORKER), how, str(JOB_S), str(pause_s)]
    return service(command, desired=2, environ=SETTINGS, time_scale=10, stop_timeout=0.1)


def busy(one: lab.Service) -> int:
    return sum(bool(row.jobs) for row in one.snapshot().tasks)


def scaled_in_while_busy(one: lab.Service) -> lab.Report:
    until(one, lambda: busy(one) == 2)
    one.scale(1)
    settle(one)
    until(one, lambda: busy(one) == 1)
    one.deploy()
    settle(one)
    return one.report()


def test_without_protection_jobs_are_killed_in_flight():
    with workers("naked", pause_s=0) as one:
        told = scaled_in_while_busy(one)

    assert told.stops == {Cause.SCALE_IN: 1, Cause.DEPLOYMENT: 1}
    assert told.killed, "all were busy when they had to go, and few of them ended just then"
    assert not any(job.protected or job.begun_after for job in told.killed)
    assert (told.calls.made, told.idle_protected_s) == (0, 0)


def test_with_protection_none_is():
    with workers("protected") as one:
        told = scaled_in_while_busy(one)

    assert told.stops == {Cause.SCALE_IN: 1, Cause.DEPLOYMENT: 1}
    assert (told.killed, told.killed_otherwise) == ((), ())
    assert told.finished >= 2
    assert told.calls.enables >= 2
    assert told.deployments[-1].completed is not None


def test_what_protection_does_not_cover_is_told_apart():
    with workers("protected") as one:
        until(one, lambda: busy(one) == 2 and all(row.protected for row in one.snapshot().tasks))
        victim = next(row.name for row in one.snapshot().tasks)
        assert one.stop_task(victim)
        until(one, lambda: victim not in [row.name for row in one.snapshot().tasks])
        told = one.report()
        one.close(0)

    assert told.killed == ()
    assert [(job.task, job.cause, job.protected) for job in told.killed_otherwise] == [(victim, Cause.STOP_TASK, True)]
    assert told.killed_though_protected == told.killed_otherwise
    after = one.report()
    assert {job.cause for job in after.killed_otherwise} <= {Cause.STOP_TASK, Cause.CLOSE}
    assert after.in_flight == 0
