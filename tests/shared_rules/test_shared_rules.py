"""The rules of the shared state, searched through: they keep I1 and I4, and without any one of them one is broken.

The suite leaves out restarts. All kinds of events together: `__main__.py`, which `.ci/run` runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement, permutations, product

import pytest
from processes.soak import TIMES
from shared_rules import coarse
from shared_rules.coarse import Coarse, Open, after_answer, after_death, after_entry, after_window
from shared_rules.model import Model, Move, State
from shared_rules.search import LIES, RESTLESS, UNWANTED, search
from shared_rules.state import LATE, RULES, Left

from protectwork._types import Outcome

DIFFERENT = (Outcome.CONFIRMED, Outcome.AMBIGUOUS, Outcome.REFUSED)
BREAKS = {1: UNWANTED, 2: LIES, 3: UNWANTED, 4: LIES, 5: LIES, 6: LIES, 7: LIES, 8: UNWANTED}


def test_no_order_of_events_breaks_i1_or_i4() -> None:
    found = search(Model(), Left(restarts=0))
    print(found)
    assert not found.broken, str(found)
    assert found.states > 100_000


@pytest.mark.parametrize("rule", RULES)
def test_without_any_one_rule_a_promise_is_broken(rule: int) -> None:
    found = search(Model(dropped=rule), Left(restarts=0))
    print(f"without rule {rule} ({RULES[rule]}): {found}")
    assert found.broken == BREAKS[rule]
    assert 5 < len(found.script) < 20


def test_nobody_is_misled_while_all_rules_hold() -> None:
    model = Model()
    search(model, Left(restarts=0, ambiguous=0))
    assert not any(process.misled for process in model.processes)
    assert any(process.confirmed and process.holds == 2 for process in model.processes)


class Sleepless(Model):
    """Somebody always has something left to do."""

    def moves(self, state: State) -> list[Move]:
        return [*super().moves(state), ("B    looks", state, True)]


def test_a_way_that_never_comes_to_rest_is_found() -> None:
    assert search(Sleepless(), Left(holds=1, crashes=0, ambiguous=0, renewals=0)).broken == RESTLESS


def records() -> Iterator[Coarse]:
    """All records with two open writes; in the gate with three, up to the order of the last two."""
    kinds = list(product((False, True), repeat=3))
    for first, others in product(kinds, combinations_with_replacement(kinds, 2 if TIMES > 1 else 1)):
        writes = tuple(Open(number, *kind) for number, kind in enumerate((first, *others), start=1))
        yield from (Coarse(sure, maybe, writes) for sure, maybe in product((False, True), repeat=2))


def outcomes(record: Coarse) -> list[object]:
    """What the rules make of it."""
    late = LATE + 1
    return [
        coarse.sure(record),
        coarse.maybe(record),
        *(after_entry(record, number=late, is_enable=is_enable, dropped=0) for is_enable in (False, True)),
        *(after_answer(record, number=1, outcome=outcome, late=late, dropped=0) for outcome in DIFFERENT),
        after_death(record, owner=1, dropped=0),
        after_window(record, number=1, dropped=0),
    ]


def test_the_order_of_the_open_writes_makes_no_difference() -> None:
    for record in records():
        expected = outcomes(record)
        for writes in permutations(record.writes):
            assert outcomes(record._replace(writes=writes)) == expected
