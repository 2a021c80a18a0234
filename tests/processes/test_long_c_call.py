"""A C call that keeps the GIL stops the keeper of its process; another process of the task renews for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from processes.fast_clock import FastClock
from processes.soak import TIMES
from processes.workers import Stretch, Task, Worker

CLOCK = FastClock(speed=15.0 / TIMES)
CALL_S = 75.0 / CLOCK.speed  # longer than the lease, which is a minute


@pytest.fixture
def task(tmp_path: Path) -> Iterator[Task]:
    with Task(tmp_path, clock=CLOCK, acquire_timeout=120) as task:
        yield task


def gripped(worker: Worker) -> Stretch:
    """When it worked: its work is one such call."""
    start, end = worker.ask("grip", CALL_S)
    assert end - start >= CALL_S * CLOCK.speed
    return Stretch(start=start, end=end)


def test_an_idle_process_renews_for_one_that_is_in_a_long_c_call(task: Task) -> None:
    caller, idle = task.workers(2)
    caller.ask("begin")
    idle.ask("begin")
    idle.ask("end")  # it has worked before, while the other did
    assert not task.exposed([gripped(caller)])
    assert task.released_after(caller.ask("end")) > 0


def test_a_busy_process_renews_for_one_that_is_in_a_long_c_call(task: Task) -> None:
    caller, busy = task.workers(2)
    busy.ask("churn", seed="1", threads=2, jobs_s=(0.05, 0.2), pauses_s=(0.0, 0.1))
    assert not task.exposed([gripped(caller)])
    assert task.released_after(busy.ask("calm")) > 0


def test_without_another_process_the_lease_runs_out_under_a_long_c_call(task: Task) -> None:
    """What the two above are worth: without a sibling the same work is not protected."""
    (alone,) = task.workers(1)
    work = gripped(alone)
    assert task.exposed([work]) == [work]
