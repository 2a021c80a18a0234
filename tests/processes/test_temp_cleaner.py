"""A temp cleaner takes the files of the state away under running processes: it is noticed, and nobody is exposed."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from processes.actors import wait_until
from processes.workers import Stretch, Task, Worker

from protectwork._ledger import directory as ledger_directory
from protectwork.backends.agent import AgentBackend

LINGER_S = 0.2
WATCH_S = 2.0
QUIET_S = 2 * WATCH_S  # nobody disables before (rule 10)
SOON_ENOUGH_S = 1.25 * LINGER_S + 3.0


def everything(state: Path) -> None:
    shutil.rmtree(state)


def the_record(state: Path) -> None:
    shutil.rmtree(state / "record")


def who_lives(state: Path) -> None:
    shutil.rmtree(state / "alive")


def all_files_but_the_newest(state: Path) -> None:
    """By age, as cleaners do: the newest link of the record is the youngest of all."""
    *old, _ = sorted((path for path in (state / "record").iterdir()), key=lambda path: path.lstat().st_mtime_ns)
    for path in [*old, *(state / "alive").iterdir()]:
        path.unlink()


def all_files(state: Path) -> None:
    for path in [*(state / "record").iterdir(), *(state / "alive").iterdir()]:
        path.unlink()


CLEANERS: list[Callable[[Path], None]] = [everything, the_record, who_lives, all_files_but_the_newest, all_files]


class Cleaned(Task):
    """A task whose processes have found their directory themselves: one that the user has named is never made anew."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, linger=LINGER_S, state_dir=None)
        scope = AgentBackend(self.agent.uri).scope
        self.state = Path(ledger_directory.private_path("/dev/shm", endpoint=scope))

    def alive(self) -> int:
        """How many processes have a part in the state as it is to be found now."""
        return len(list((self.state / "alive").iterdir())) if (self.state / "alive").exists() else 0

    def clean(self, cleaner: Callable[[Path], None]) -> float:
        """Let a cleaner in; a moment before it came."""
        at = self.agent.now()
        cleaner(self.state)
        return at


@pytest.fixture
def tasks(tmp_path: Path) -> Iterator[list[Cleaned]]:
    """One for each cleaner; all of them at once, for they wait most of the time. Nothing of them stays."""
    with ExitStack() as stack:
        found = []
        for cleaner in CLEANERS:
            task = Cleaned(tmp_path / cleaner.__name__)
            stack.callback(shutil.rmtree, task.state, ignore_errors=True)
            found.append(stack.enter_context(task))
        yield found


def crew_of(number: int, tasks: list[Cleaned]) -> list[Worker]:
    """Workers that have a manager in each of the tasks."""
    crew = tasks[0].workers(number)
    for task in tasks[1:]:
        task.admit(*crew)
    return crew


def stays_protected(task: Cleaned, *, until: float) -> bool:
    """Whether nobody releases it, up to a moment by its agent's clock."""
    left_s = max(until - task.agent.now(), 0.0)
    return not task.agent.wait_until(lambda: not task.agent.protected, timeout_s=left_s)


def test_what_a_cleaner_takes_is_made_anew_by_all_and_no_confirmed_hold_is_exposed(tasks: list[Cleaned]) -> None:
    busy, other, idle, newcomer = crew_of(4, tasks)
    every = range(len(tasks))
    begun = {worker: [worker.ask("begin", number) for number in every] for worker in (busy, other, idle)}
    for number in every:
        idle.ask("end", number)
    assert [task.alive() for task in tasks] == [3] * len(tasks)

    cleaned = [task.clean(cleaner) for task, cleaner in zip(tasks, CLEANERS, strict=True)]
    for task in tasks:
        wait_until(lambda task=task: task.alive() == 3)  # type: ignore[misc]
    noticed = [task.agent.now() - at for task, at in zip(tasks, cleaned, strict=True)]
    print("all three processes in the new files after:", *(f"{seconds:.2f} s" for seconds in noticed))
    assert all(seconds < QUIET_S for seconds in noticed)
    begun[newcomer] = [newcomer.ask("begin", number) for number in every]
    assert [task.alive() for task in tasks] == [4] * len(tasks)
    assert None not in [since for times in begun.values() for since in times]

    ended = {worker: [worker.ask("end", number) for number in every] for worker in (busy, other)}
    for task, at in zip(tasks, cleaned, strict=True):
        assert stays_protected(task, until=max(at + QUIET_S, task.agent.now()) + 0.5)
    ended[newcomer] = [newcomer.ask("end", number) for number in every]
    for number, task in enumerate(tasks):
        assert 0 < task.released_after(ended[newcomer][number]) < SOON_ENOUGH_S
        held = [Stretch(start=begun[worker][number], end=times[number]) for worker, times in ended.items()]
        assert not task.exposed(held)
        assert len(task.agent.disables) == 1


def test_who_comes_to_new_files_releases_nothing_before_all_others_had_time_to_find_them(tasks: list[Cleaned]) -> None:
    task = tasks[CLEANERS.index(everything)]
    *busy, newcomer = task.workers(3)
    begun = [worker.ask("begin") for worker in busy]
    for worker in busy:
        os.kill(worker.pid, signal.SIGSTOP)  # they look as late as they may
    cleaned = task.clean(everything)
    assert newcomer.ask("begin") is not None
    newcomer.ask("end")  # it is alone in the new gate now
    assert stays_protected(task, until=cleaned + QUIET_S - WATCH_S / 2)
    for worker in busy:
        os.kill(worker.pid, signal.SIGCONT)
    assert stays_protected(task, until=cleaned + QUIET_S + SOON_ENOUGH_S)
    ended = [worker.ask("end") for worker in busy]
    assert 0 < task.released_after(ended[-1]) < SOON_ENOUGH_S
    assert not task.exposed(Stretch(start=start, end=end) for start, end in zip(begun, ended, strict=True))
    assert len(task.agent.disables) == 1
