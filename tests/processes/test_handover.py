"""One process finishes in the same millisecond as another begins, in every order, and what has begun is protected."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from processes.leapfrog import SAME_MOMENT_S, TABLE_BYTES, Rhythm, Turn
from processes.soak import TIMES
from processes.workers import Stretch, Task, Worker

ROUNDS = 1000 * TIMES
TASKS, TURNS = 10, 5


def leapfrog(pair: list[Worker], tasks: list[Task], directory: Path, rhythm: Rhythm) -> list[list[Turn]]:
    """Have two workers take turns in all tasks at once; all turns of each task, oldest first."""
    tables = [directory / f"table-{number}" for number in range(len(tasks))]
    for table in tables:
        table.write_bytes(bytes(TABLE_BYTES))
    for me, worker in enumerate(pair):
        worker.tell("leapfrog", me, [str(table) for table in tables], rhythm)
    one, other = (worker.answer() for worker in pair)
    return [sorted([*mine, *others], key=lambda turn: turn.asked) for mine, others in zip(one, other, strict=True)]


def confirmed(turns: list[Turn]) -> list[Stretch]:
    return [Stretch(start=turn.since, end=turn.ended) for turn in turns if turn.since is not None]


def in_the_same_moment(turns: list[Turn]) -> int:
    return sum(abs(one.ended - next_one.asked) < SAME_MOMENT_S for one, next_one in pairwise(turns))


def test_a_thousand_times_one_ends_in_the_millisecond_in_which_another_begins(tmp_path: Path) -> None:
    with Task(tmp_path, linger=0) as task:
        rhythm = Rhythm(gap_s=0.001, spread_s=(-0.0005, 0.0005), near=ROUNDS)
        (turns,) = leapfrog(task.workers(2), [task], tmp_path, rhythm)
        assert in_the_same_moment(turns) >= ROUNDS
        assert len(confirmed(turns)) == len(turns)
        assert not task.exposed(confirmed(turns))


@pytest.mark.parametrize("_time", range(TIMES))
def test_who_begins_while_a_release_is_sent_is_protected_from_its_confirmation_on(_time: int, tmp_path: Path) -> None:
    """In several tasks at once: each may make three releases, one a second, and the edge is to be met often."""
    with ExitStack() as stack:
        tasks = [stack.enter_context(Task(tmp_path / str(number), linger=0)) for number in range(TASKS)]
        pair = tasks[0].workers(2)
        for task in tasks[1:]:
            task.admit(*pair)
        rhythm = Rhythm(gap_s=1.05, spread_s=(-0.001, 0.004), turns=TURNS)
        for task, turns in zip(tasks, leapfrog(pair, tasks, tmp_path, rhythm), strict=True):
            assert len(confirmed(turns)) == len(turns) == TURNS
            assert not task.exposed(confirmed(turns))
        assert sum(len(task.agent.disables) for task in tasks) >= TASKS, "releases were sent"
