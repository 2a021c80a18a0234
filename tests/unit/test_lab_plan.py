"""The rules of a lab's service: who is started, who is told to stop, and that no protected task ever is."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protectwork.lab._plan import Plan, Restarts, View, plan


def tasks(text: str) -> list[View]:
    """``n`` is a new task and ``o`` an old one; capitals are protected."""
    return [
        View(name=f"{number}", primary=letter in "nN", protected=letter.isupper()) for number, letter in enumerate(text)
    ]


def planned(text: Sequence[View] | str, desired: int, *, most: int = 200, least: int = 100, seed: int = 0) -> Plan:
    views = tasks(text) if isinstance(text, str) else text
    return plan(views, desired=desired, maximum_percent=most, minimum_healthy_percent=least, random=random.Random(seed))


@pytest.mark.parametrize(
    ("there", "desired", "percents", "decided"),
    [
        ("", 3, (200, 100), (3, 0, 0)),
        ("nn", 3, (200, 100), (1, 0, 0)),
        ("nnn", 3, (200, 100), (0, 0, 0)),
        ("nnnnn", 3, (200, 100), (0, 2, 0)),
        ("NNNNn", 3, (200, 100), (0, 1, 0)),
        ("NNNNN", 3, (200, 100), (0, 0, 0)),
        ("nn", 0, (200, 100), (0, 2, 0)),
        ("oooo", 4, (200, 100), (4, 0, 0)),
        ("oooonn", 4, (200, 100), (2, 0, 2)),
        ("oooonnnn", 4, (200, 100), (0, 0, 4)),
        ("OOoonnnn", 4, (200, 100), (0, 0, 2)),
        ("OOOOnnnn", 4, (200, 100), (0, 0, 0)),
        ("oooo", 4, (150, 100), (2, 0, 0)),
        ("oooonn", 4, (150, 100), (0, 0, 2)),
        ("oooo", 4, (100, 50), (0, 0, 2)),
        ("oonn", 4, (100, 50), (0, 0, 2)),
        ("OOOO", 4, (100, 50), (0, 0, 0)),
        ("oooo", 2, (200, 100), (0, 0, 2)),
        ("OOOO", 2, (200, 100), (0, 0, 0)),
        ("ooonn", 3, (150, 100), (0, 0, 2)),
        ("ooo", 3, (110, 100), (0, 0, 0)),
        ("nnnnoo", 2, (200, 100), (0, 2, 2)),
    ],
)
def test_ecs_starts_within_the_maximum_and_stops_what_is_unprotected_and_spare(
    there: str, desired: int, percents: tuple[int, int], decided: tuple[int, int, int]
):
    found = planned(there, desired, most=percents[0], least=percents[1])

    assert (found.start, len(found.scale_in), len(found.replaced)) == decided


def test_victims_are_chosen_at_random_from_a_seed():
    chosen = [planned("nnnnnnnn", 6, seed=seed).scale_in for seed in range(100)]

    assert chosen == [planned("nnnnnnnn", 6, seed=seed).scale_in for seed in range(100)]
    assert {name for names in chosen for name in names} == set("01234567")


@given(
    there=st.text(alphabet="nNoO", max_size=20),
    desired=st.integers(min_value=0, max_value=10),
    most=st.integers(min_value=100, max_value=300),
    least=st.integers(min_value=0, max_value=100),
    seed=st.integers(min_value=0, max_value=9),
)
def test_no_protected_task_is_ever_told_to_stop(there: str, desired: int, most: int, least: int, seed: int):
    decided = planned(there, desired, most=most, least=least, seed=seed)

    told = {*decided.scale_in, *decided.replaced}
    assert not any(view.protected for view in tasks(there) if view.name in told)
    assert len(told) == len(decided.scale_in) + len(decided.replaced)


@given(
    there=st.text(alphabet="no", max_size=12),
    desired=st.integers(min_value=0, max_value=8),
    most=st.integers(min_value=100, max_value=300),
    least=st.integers(min_value=0, max_value=99),
)
def test_unprotected_tasks_are_replaced_in_the_end_within_the_bounds(there: str, desired: int, most: int, least: int):
    views = tasks(there)
    room, needed = desired * most // 100, math.ceil(desired * least / 100)
    for turn in range(60):
        decided = planned(views, desired, most=most, least=least)
        if decided.start:
            assert len(views) + decided.start <= room
        left = [view for view in views if view.name not in {*decided.scale_in, *decided.replaced}]
        if decided.replaced:
            assert len(left) >= needed
        new = [View(name=f"new {turn} {one}", primary=True, protected=False) for one in range(decided.start)]
        if not new and left == views:
            break
        views = [*left, *new]
    blocked = room == needed  # no task more may run, and none less
    assert blocked or [view.primary for view in views] == [True] * desired


def test_what_keeps_ending_soon_is_restarted_ever_more_slowly():
    restarts, waits = Restarts(), list[float]()
    for _ in range(8):
        restarts = restarts.ended(100.0, lived_s=0.1)
        waits.append(restarts.not_before - 100.0)

    assert waits == [0.25, 0.5, 1, 2, 4, 8, 10, 10]
    assert restarts.ended(100.0, lived_s=10.0) == Restarts()
