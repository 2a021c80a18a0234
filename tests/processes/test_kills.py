"""SIGKILL of busy processes never costs the others their protection."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from processes.fast_clock import FastClock
from processes.soak import TIMES
from processes.workers import Stretch, Task, Worker

from protectwork.testing.faults import Hang

LINGER_S = 2.0
AT_WORK = 3
SOON_ENOUGH_S = 1.25 * LINGER_S + 3.0
STORM_S = 20.0 * TIMES
BOUND_S = 90.0
KILLS = 25 * TIMES
KILL_EVERY_S = 0.4
# With so many at work when one is killed the task never lingers to its end: a task that flaps would have no release
# left when the storm is over.
JOBS: dict[str, Any] = {"threads": 2, "jobs_s": (0.05, 0.8), "pauses_s": (0.02, 0.6)}
FAST = 10.0
LATE_S, LATEST_S = 9.0, 12.0  # a call may take effect until twelve seconds after it was sent


def wait_until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Storm:
    """Eight workers of a task with random jobs; busy ones are killed, and others take their places."""

    def __init__(self, task: Task, *, seed: int) -> None:
        self._task, self._seed, self._random = task, seed, Random(seed)
        self.living: list[Worker] = []
        self.dead: list[Worker] = []
        for _ in range(8):
            self._start()
        for worker in self.living:
            worker.answer()

    def rage(self, seconds: float, *, kills: int) -> None:
        """For so long, and until so many were killed, however slow the machine is."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends or len(self.dead) < kills:
            time.sleep(self._random.uniform(0.5, 1.5) * KILL_EVERY_S)
            self._kill(self._a_busy_one())
            self._start()

    def end(self) -> float:
        """Kill all but one, which has nothing to do any more; the last moment at which one of them lived."""
        idle, *others = self.living
        idle.ask("calm")
        return max(self._kill(worker) for worker in others)

    def _start(self) -> None:
        (worker,) = self._task.workers(1)
        worker.tell("churn", seed=f"{self._seed} {len(self.living) + len(self.dead)}", **JOBS)
        self.living.append(worker)

    def _a_busy_one(self) -> Worker:
        wait_until(lambda: sum(worker.busy for worker in self.living) >= AT_WORK)
        return self._random.choice([worker for worker in self.living if worker.busy])

    def _kill(self, worker: Worker) -> float:
        self.living.remove(worker)
        self.dead.append(worker)
        return worker.kill()


def test_confirmed_work_is_protected_throughout_while_busy_processes_are_killed(tmp_path: Path) -> None:
    with Task(tmp_path, linger=LINGER_S) as task:
        storm = Storm(task, seed=1)
        storm.rage(STORM_S, kills=KILLS)
        died_at = storm.end()
        assert 0 < task.released_after(died_at) < SOON_ENOUGH_S
        workers = [*storm.living, *storm.dead]
        stretches = [stretch for worker in workers for stretch in worker.stretches()]
        print(f"{len(storm.dead)} kills, {len(stretches)} jobs, {len(task.agent.calls)} calls")
        assert not task.exposed(stretches)
        assert len(stretches) > len(storm.dead) >= KILLS
        assert sum(worker.unconfirmed() for worker in workers) == 0


def test_who_waits_for_the_enable_of_a_process_that_is_killed_enables_by_itself(tmp_path: Path) -> None:
    with Task(tmp_path, clock=FastClock(speed=FAST), acquire_timeout=120) as task:
        task.agent.fail(Hang(), only="enable")
        victim, other = task.workers(2)
        victim.tell("begin")
        assert task.agent.wait_until(lambda: len(task.agent.enables) == 1, timeout_s=BOUND_S)
        other.tell("begin")
        victim.kill()
        begun, ended = other.answer(), other.ask("end")
        assert not task.exposed([Stretch(start=begun, end=ended)])
        assert task.released_after(ended) > 0


def test_nothing_is_confirmed_while_the_release_of_a_killed_process_may_still_land(tmp_path: Path) -> None:
    with Task(tmp_path, clock=FastClock(speed=FAST), acquire_timeout=120) as task:
        task.agent.fail(Hang(), only="disable")
        victim, other = task.workers(2)
        for what in ("begin", "end"):
            victim.ask(what)
        assert task.agent.wait_until(lambda: len(task.agent.disables) == 1, timeout_s=BOUND_S)
        killed_at = victim.kill()
        other.tell("begin")
        assert task.agent.wait_until(lambda: len(task.agent.enables) == 2, timeout_s=BOUND_S), (
            "it asks for protection at once"
        )
        wait_until(lambda: task.agent.now() > killed_at + LATE_S)
        task.agent.task.disable()  # the release lands
        begun = other.answer()
        assert begun > killed_at + LATEST_S
        assert not task.exposed([Stretch(start=begun, end=other.ask("end"))])
        assert len(task.agent.enables) == 3
