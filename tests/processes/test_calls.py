"""How many calls a task makes does not depend on how many processes it has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from processes.fast_clock import FastClock
from processes.soak import TIMES
from processes.workers import Task, Worker

CLOCK = FastClock(speed=10.0)  # a lease of a minute is renewed every three seconds
SIZES = (1, 8, 32)
MEANWHILE_S = 6.5 * TIMES
ALIKE = 2
START_UPS = {"at once": 0.0} | ({"one after the other": 2.0} if TIMES > 1 else {})
JOBS: dict[str, Any] = {"threads": 2, "jobs_s": (0.1, 0.3), "pauses_s": (0.0, 0.05)}  # one of the two is always busy

Crews = list[list[Worker]]


@pytest.fixture(scope="module")
def crews(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crews]:
    """The interpreters; one test after the other has them take part in tasks of its own."""
    directory = tmp_path_factory.mktemp("crews")
    found = [[Worker(directory, clock=CLOCK) for _ in range(size)] for size in SIZES]
    yield found
    for crew in found:
        for worker in crew:
            worker.kill()


@pytest.mark.parametrize("start_up_s", START_UPS.values(), ids=START_UPS)
def test_one_eight_and_thirty_two_busy_processes_make_the_same_number_of_calls(
    crews: Crews, start_up_s: float, tmp_path: Path
) -> None:
    everybody = [worker for crew in crews for worker in crew]
    assert len({worker.pid for worker in everybody}) == sum(SIZES)
    with ExitStack() as stack:
        tasks = [Task(tmp_path / str(size), clock=CLOCK, linger=5, acquire_timeout=120) for size in SIZES]
        for task, crew in zip(tasks, crews, strict=True):
            stack.enter_context(task).admit(*crew)
        begun = max(worker.ask("calm") for worker in everybody)  # all of them are up
        start(crews, within_s=start_up_s)
        time.sleep(MEANWHILE_S)
        for worker in everybody:
            worker.tell("calm")
        for task, crew in zip(tasks, crews, strict=True):
            assert task.released_after(max(worker.answer() for worker in crew)) > 0
            assert not task.exposed(stretch for worker in crew for stretch in worker.stretches(since=begun))
            assert sum(worker.unconfirmed() for worker in crew) == 0
            assert len(task.agent.enables) >= 3, "the lease was renewed"
        calls = {size: len(task.agent.calls) for size, task in zip(SIZES, tasks, strict=True)}
        print(f"calls by the number of processes: {calls}")
        assert max(calls.values()) - min(calls.values()) <= ALIKE


def start(crews: Crews, *, within_s: float) -> None:
    """Have all of them work: the first of each crew from now on, the others one after the other."""
    for number, workers in enumerate(zip_longest(*crews)):
        for worker in filter(None, workers):
            worker.tell("churn", seed=f"{number}", **JOBS)
        time.sleep(within_s / len(max(crews, key=len)))
