"""Whether a task is to go, and what is asked to find out: by rules alone, in virtual time."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from math import inf

import pytest

from protectwork._retirement import STOPPING, SUPERSEDED, Question, Retirement, Sight
from protectwork._standing import Standing

BLOCKED = "DEPLOYMENT_BLOCKED"
HOUR = 3600.0


@dataclass
class Process:
    """One process of a task whose other processes may ask too: what it sees, and what it asks when."""

    standing: Standing = field(default_factory=Standing)
    refused: str | None = None
    busy: bool = True
    seed: int = 1
    now: float = 1000.0
    busy_at: float = -inf
    primary: bool = True
    desired: str = "RUNNING"
    asked: list[tuple[float, Question]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.it = Retirement(random.Random(self.seed), now=self.now)

    def sight(self) -> Sight:
        self.busy_at = self.now if self.busy else self.busy_at
        return Sight(busy_at=self.busy_at, refused=self.refused, standing=self.standing)

    def look(self) -> None:
        question = self.it.question(self.now, self.sight())
        if question is None:
            return
        self.asked.append((self.now, question))
        if question is Question.TASK:
            self.it.stopping = self.desired == "STOPPED"
        elif claimed := self.standing.claimed(self.now):
            self.standing = claimed.answered(superseded=not self.primary)

    def run(self, seconds: float) -> None:
        ends = self.now + seconds
        while self.now < ends:
            self.look()
            self.now = min(max(self.it.due, self.now), ends, self.now + 30.0)

    def times(self, question: Question) -> list[float]:
        return [at for at, asked in self.asked if asked is question]

    @property
    def reasons(self) -> tuple[str, ...]:
        return self.it.reasons(self.sight())


# -- the metadata


@pytest.mark.parametrize("seed", range(5))
def test_the_metadata_is_asked_about_every_30_s_while_there_is_work_and_never_at_equal_distances(seed: int) -> None:
    process = Process(seed=seed)
    process.run(HOUR)
    asked = process.times(Question.TASK)
    between = [later - sooner for sooner, later in itertools.pairwise(asked)]
    assert 22.5 <= min(between) < max(between) <= 37.5
    assert len(set(between)) == len(between)
    assert asked[0] <= 1030.0


def test_without_work_nothing_is_asked_at_all() -> None:
    process = Process(busy=False, refused=BLOCKED)
    process.run(24 * HOUR)
    assert process.asked == []


def test_work_between_two_looks_counts_as_work() -> None:
    process = Process(busy=False)
    process.run(100.0)
    process.busy_at = process.now  # a job of a moment
    process.run(40.0)
    assert len(process.times(Question.TASK)) == 1
    process.run(HOUR)
    assert len(process.times(Question.TASK)) == 1


def test_a_stopping_task_takes_no_new_work_also_when_its_work_is_done() -> None:
    process = Process()
    process.run(60.0)
    assert process.reasons == ()
    process.desired = "STOPPED"
    process.run(40.0)
    assert process.reasons == (STOPPING,)
    process.busy = False
    process.run(HOUR)
    assert process.reasons == (STOPPING,)
    process.desired = "RUNNING"
    process.run(40.0)
    assert process.reasons == ()


# -- the deployment


def test_the_deployment_is_not_asked_about_before_a_refusal() -> None:
    process = Process()
    process.run(24 * HOUR)
    assert process.times(Question.DEPLOYMENT) == []


@pytest.mark.parametrize("refused", ["MISSING", "TASK_NOT_VALID", "SOMETHING_NEW"])
def test_another_refusal_says_nothing_about_deployments(refused: str) -> None:
    process = Process(refused=refused)
    process.run(HOUR)
    assert process.times(Question.DEPLOYMENT) == []


@pytest.mark.parametrize("refused", [BLOCKED, ""])
def test_a_blocked_deployment_is_asked_about_within_5_s_and_then_at_most_every_5_min(refused: str) -> None:
    process = Process(refused=refused)
    process.run(3 * HOUR)
    asked = process.times(Question.DEPLOYMENT)
    assert asked[0] <= 1005.0
    between = [later - sooner for sooner, later in itertools.pairwise(asked)]
    assert 300.0 <= min(between) <= max(between) <= 375.0 + 0.001


def test_a_refusal_does_not_mean_that_it_is_this_task_that_has_to_go() -> None:
    process = Process(refused=BLOCKED)
    process.run(HOUR)
    assert process.reasons == ()


def test_a_superseded_task_takes_no_new_work_until_the_newer_deployment_is_rolled_back() -> None:
    process = Process(refused=BLOCKED, primary=False)
    process.run(10.0)
    assert process.reasons == (SUPERSEDED,)
    process.busy = False  # the work is done, nothing comes, and yet it has to be noticed
    process.run(HOUR)
    assert process.reasons == (SUPERSEDED,)
    process.primary = True
    process.run(400.0)
    assert process.reasons == ()
    asked = len(process.times(Question.DEPLOYMENT))
    process.run(24 * HOUR)
    assert len(process.times(Question.DEPLOYMENT)) == asked, "idle again, and nothing to ask about"


def test_once_the_refusal_is_over_the_deployment_is_asked_about_no_more() -> None:
    process = Process(refused=BLOCKED)
    process.run(10.0)
    process.refused = None
    process.run(HOUR)
    assert len(process.times(Question.DEPLOYMENT)) == 1


@pytest.mark.parametrize("seed", range(10))
def test_the_processes_of_a_task_ask_together_no_more_often_than_one(seed: int) -> None:
    processes = [Process(refused=BLOCKED, seed=100 * seed + number) for number in range(8)]
    claimed: list[float] = []
    now = 1000.0
    while now < 1000.0 + HOUR:
        for process in processes:
            process.now, standing = now, max((each.standing for each in processes), key=lambda it: it.asked_at)
            process.standing = standing
            process.look()
            if process.standing.asked_at > standing.asked_at:
                claimed.append(now)
        now = min(max(process.it.due for process in processes), now + 1.0)
    assert min(later - sooner for sooner, later in itertools.pairwise(claimed)) >= 300.0
    assert 10 <= len(claimed) <= 12


def test_who_was_not_first_does_not_ask_again_and_again() -> None:
    process = Process(refused=BLOCKED)
    process.standing = Standing(asked_at=process.now)  # somebody else was, and what he found out is not here yet
    process.it._plan(process.now, Sight(busy_at=process.now, refused=BLOCKED, standing=Standing()))
    asked = 0
    for _ in range(1000):
        sight = Sight(busy_at=process.now, refused=BLOCKED, standing=Standing())
        asked += process.it.question(process.now, sight) is Question.DEPLOYMENT
        process.now += 0.1
    assert asked == 1


def test_what_another_process_found_out_counts_here() -> None:
    process = Process(busy=False, standing=Standing(asked_at=990.0, superseded=True))
    assert process.reasons == (SUPERSEDED,)


def test_what_cannot_be_asked_is_not_asked_any_more() -> None:
    process = Process(refused=BLOCKED)
    process.it.asks -= {Question.DEPLOYMENT}
    process.run(HOUR)
    assert {question for _, question in process.asked} == {Question.TASK}
    process.it.asks = frozenset()
    process.asked.clear()
    process.run(HOUR)
    assert process.asked == []
    assert process.it.due == inf


# -- the standing


def test_a_question_is_entered_once_in_5_min() -> None:
    standing = Standing().claimed(1000.0)
    assert standing == Standing(asked_at=1000.0)
    assert standing.claimed(1299.9) is None
    assert standing.answered(superseded=True).claimed(1300.0) == Standing(asked_at=1300.0, superseded=True)
