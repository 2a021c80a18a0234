"""SIGKILL of the last holder: what it leaves behind is ended by any other process of the task, now or later."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from processes.soak import TIMES
from processes.workers import Stretch, Task

LINGER_S = 1.0
SOON_ENOUGH_S = 1.25 * LINGER_S + 3.0
TASKS, KILLS_OF_EACH = 7, 3  # as many releases as a task may make at once


@pytest.mark.parametrize("_time", range(TIMES))
def test_after_the_death_of_the_last_holder_an_idle_process_releases_the_task(_time: int, tmp_path: Path) -> None:
    with ExitStack() as stack:
        tasks = [stack.enter_context(Task(tmp_path / str(number), linger=LINGER_S)) for number in range(TASKS)]
        idle, *doomed = zip(*(task.workers(1 + KILLS_OF_EACH) for task in tasks), strict=True)
        for victims in doomed:
            begun = [worker.ask("begin") for worker in victims]
            for worker in idle:  # they hold for a moment, at the same time: so they know of the lease
                worker.ask("begin")
                worker.ask("end")
            killed = [worker.kill() for worker in victims]
            after = [task.released_after(at) for task, at in zip(tasks, killed, strict=True)]
            print("released after:", *(f"{seconds:.2f} s" for seconds in after))
            assert all(0 < seconds < SOON_ENOUGH_S for seconds in after)
            for task, start, end in zip(tasks, begun, killed, strict=True):
                assert not task.exposed([Stretch(start=start, end=end)])
        assert [len(task.agent.disables) for task in tasks] == [KILLS_OF_EACH] * TASKS


def test_when_all_processes_are_dead_the_next_one_to_start_releases_the_task(tmp_path: Path) -> None:
    with Task(tmp_path, linger=LINGER_S) as task:
        victims = task.workers(2)
        for worker in victims:
            worker.ask("begin")
        for worker in victims:
            worker.kill()
        assert not task.agent.wait_until(lambda: not task.agent.protected, timeout_s=1.5)
        (newcomer,) = task.workers(1)
        newcomer.ask("start")
        assert task.released_after(task.agent.now()) < SOON_ENOUGH_S
