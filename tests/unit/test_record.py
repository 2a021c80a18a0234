"""The rules of the record, one by one: values in, values out."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from protectwork._record import Record, answered, closed, entered, seen
from protectwork._types import Outcome

HOUR = 3600.0
T = 2 * HOUR
NOTHING = Record(settled_maybe=0.0)
NO = [Outcome.REFUSED, Outcome.THROTTLED, Outcome.UNAVAILABLE, Outcome.MISCONFIGURED]


def enabled(record: Record, number: int, at: float, *, term_s: float = T, takes_s: float = 0.0) -> Record:
    record = entered(record, number=number, now=at, term_s=term_s)
    return answered(record, number=number, now=at + takes_s, outcome=Outcome.CONFIRMED, lands_by=at + 12.0)


def left_open(record: Record, number: int, at: float, *, term_s: float) -> Record:
    record = entered(record, number=number, now=at, term_s=term_s)
    return answered(record, number=number, now=at, outcome=Outcome.AMBIGUOUS, lands_by=at + 12.0)


def test_sure_counts_from_the_sending_and_maybe_from_the_answer() -> None:
    record = enabled(NOTHING, 1, 100.0, takes_s=5.0)
    assert record.sure_until == 100.0 + T - 2.0
    assert record.maybe_until == 105.0 + T


def test_an_enable_that_a_disable_was_entered_over_makes_nothing_sure() -> None:
    record = entered(NOTHING, number=1, now=0.0, term_s=T)
    record = entered(record, number=2, now=1.0, term_s=0.0)
    record = answered(record, number=1, now=2.0, outcome=Outcome.CONFIRMED, lands_by=12.0)
    record = answered(record, number=2, now=3.0, outcome=Outcome.REFUSED, lands_by=13.0)
    assert record.sure_until == -inf


def test_a_disable_that_an_enable_was_entered_over_ends_nothing() -> None:
    record = enabled(NOTHING, 1, 0.0)
    record = entered(record, number=2, now=100.0, term_s=0.0)
    record = entered(record, number=3, now=101.0, term_s=T)
    record = answered(record, number=2, now=102.0, outcome=Outcome.CONFIRMED, lands_by=112.0)
    record = answered(record, number=3, now=103.0, outcome=Outcome.REFUSED, lands_by=113.0)
    assert record.maybe_until == T


def test_a_disable_sent_over_an_open_enable_ends_nothing_even_if_that_closes_before_the_answer() -> None:
    record = left_open(NOTHING, 1, 0.0, term_s=T)
    record = entered(record, number=2, now=10.0, term_s=0.0)
    record = closed(record, 13.0)
    record = answered(record, number=2, now=13.0, outcome=Outcome.CONFIRMED, lands_by=22.0)
    assert record.maybe_until == 12.0 + T


@pytest.mark.parametrize("outcome", NO)
def test_a_definite_no_leaves_the_bounds_as_they_were(outcome: Outcome) -> None:
    before = enabled(NOTHING, 1, 0.0)
    for term_s in (0.0, T):
        record = entered(before, number=2, now=50.0, term_s=term_s)
        after = answered(record, number=2, now=51.0, outcome=outcome, lands_by=62.0)
        assert after == replace(before, number=2)


def test_a_definite_answer_closes_no_older_write() -> None:
    for term_s in (0.0, T):
        record = left_open(left_open(NOTHING, 1, 0.0, term_s=T), 2, 1.0, term_s=0.0)
        record = entered(record, number=3, now=2.0, term_s=term_s)
        record = answered(record, number=3, now=3.0, outcome=Outcome.CONFIRMED, lands_by=14.0)
        assert [write.number for write in record.writes] == [1, 2]


def test_an_ambiguous_renewal_takes_no_certainty_and_adds_a_maybe() -> None:
    before = enabled(NOTHING, 1, 0.0)
    record = left_open(before, 2, HOUR, term_s=T)
    assert record.sure_until == before.sure_until
    assert record.maybe_until == HOUR + 12.0 + T
    record = closed(record, HOUR + 12.0)
    assert record.writes == ()
    assert record.sure_until == before.sure_until
    assert record.maybe_until == HOUR + 12.0 + T


def test_an_ambiguous_enable_of_a_shorter_length_may_have_shortened_the_lease() -> None:
    record = left_open(enabled(NOTHING, 1, 0.0), 2, 10.0, term_s=60.0)
    assert record.sure_until == 68.0
    assert closed(record, 30.0).sure_until == 68.0


def test_an_ambiguous_disable_ends_all_certainty_for_good_and_no_maybe() -> None:
    record = left_open(enabled(NOTHING, 1, 0.0), 2, 10.0, term_s=0.0)
    for later in (record, closed(record, 22.0)):
        assert later.sure_until == -inf
        assert later.maybe_until == T


def test_an_open_enable_counts_with_its_whole_term_when_the_next_one_is_measured() -> None:
    record = left_open(enabled(NOTHING, 1, 0.0), 2, 10.0, term_s=5 * HOUR)
    assert record.left_s(11.0) == 5 * HOUR
    assert enabled(NOTHING, 1, 0.0).left_s(11.0) == T - 11.0


def test_what_a_get_saw_says_nothing_of_a_write_that_may_still_land() -> None:
    record = left_open(Record(), 1, 0.0, term_s=T)
    record = seen(record, now=5.0, left_s=0.0)
    assert not record.unknown
    assert record.maybe_until == 12.0 + T
    assert record.sure_until == -inf


def test_what_a_get_saw_is_never_sure() -> None:
    record = seen(Record(), now=5.0, left_s=HOUR)
    assert record.maybe_until == 5.0 + HOUR
    assert record.sure_until == -inf


def test_the_writes_of_one_kind_are_open_until_the_last_has_landed() -> None:
    record = left_open(left_open(NOTHING, 1, 0.0, term_s=0.0), 2, 3.0, term_s=0.0)
    assert record.open_until(enables=False) == 15.0
    assert record.open_until(enables=True) == -inf


def test_a_shorter_enable_that_was_open_may_have_landed_last_even_if_it_closes_before_the_answer() -> None:
    record = left_open(NOTHING, 1, 0.0, term_s=T)
    record = entered(record, number=2, now=7.0, term_s=6 * HOUR)
    record = closed(record, 13.0)
    record = answered(record, number=2, now=13.0, outcome=Outcome.CONFIRMED, lands_by=19.0)
    assert record.sure_until == T - 2.0
