"""Plays a scenario on a service to which jobs come, and waits until they are over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from lab.job_queue import Job

from protectwork.lab import Report, Service
from protectwork.lab.scenarios import Stage, find

STUCK_S = 30.0  # nothing begins and nothing ends for so long: what has not begun never will
LOOK_S = 0.2


def play(
    service: Service, scenario: str, stage: Stage, *, jobs: Sequence[Job], put: Callable[[Iterable[Job]], None]
) -> Report:
    """Play it to its end, and to that of the jobs; what came of it. The service runs on.

    Args:
        service: The service; it has been started.
        scenario: Which script.
        stage: What it is played on.
        jobs: What there is to do, one at least; they come when it is their time.
        put: Hands them to the workers.
    """
    with ThreadPoolExecutor(1) as thread:
        script = thread.submit(find(scenario).play, stage)
        _feed(service, stage, jobs, put)
        script.result()
    _finish(service, len(jobs))
    return service.report()


def _feed(service: Service, stage: Stage, jobs: Sequence[Job], put: Callable[[Iterable[Job]], None]) -> None:
    """Hand out the first ones at once, and the others counted from when all tasks are at work, as the script does."""
    first, *others = sorted({job.at_s for job in jobs})
    put([job for job in jobs if job.at_s == first])
    stage.begin()
    began = service.now()
    for at_s in others:
        service.wait_until(lambda: False, timeout_s=max(began + at_s - service.now(), 0.0))
        put([job for job in jobs if job.at_s == at_s])


def _finish(service: Service, jobs: int) -> None:
    """Wait until every job is over, or nothing happens any more."""
    seen, since = (-1, -1), time.monotonic()
    while time.monotonic() - since < STUCK_S:
        report = service.report()
        if report.started >= jobs and not report.in_flight:
            return
        if seen != (now := (report.started, report.in_flight)):
            seen, since = now, time.monotonic()
        time.sleep(LOOK_S)
