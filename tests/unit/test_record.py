"""The rules of the record, one by one: values in, values out."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from protectwork._merge import merged
from protectwork._pace import Pace
from protectwork._record import Record, answered, closed, entered, seen
from protectwork._standing import Standing
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


def test_a_write_of_another_that_is_brought_in_is_awaited_no_longer_than_it_may_take_to_land() -> None:
    mine = entered(entered(NOTHING, number=1, now=0.0, term_s=0.0, owner="b"), number=2, now=1.0, term_s=T, owner="a")
    record = merged(replace(NOTHING, number=1), mine, owner="a", now=5.0)
    assert [(write.owner, write.lands_by) for write in record.writes] == [("b", 17.0), ("a", None)]


def test_an_enable_that_is_brought_in_beside_an_open_disable_makes_nothing_sure() -> None:
    mine = entered(NOTHING, number=1, now=1.0, term_s=T, owner="a")
    theirs = entered(NOTHING, number=1, now=0.0, term_s=0.0, owner="b")
    theirs = answered(theirs, number=1, now=0.5, outcome=Outcome.AMBIGUOUS, lands_by=12.0, owner="b")
    record = merged(theirs, mine, owner="a", now=2.0)
    record = answered(record, number=1, now=3.0, outcome=Outcome.CONFIRMED, lands_by=13.0, owner="a")
    assert closed(record, 12.0).sure_until == -inf


def test_an_enable_that_others_did_not_know_of_is_sure_for_no_longer_than_their_shortest() -> None:
    mine = entered(NOTHING, number=1, now=1.0, term_s=T, owner="a")
    record = merged(NOTHING, mine, owner="a", now=2.0)
    record = answered(record, number=1, now=3.0, outcome=Outcome.CONFIRMED, lands_by=13.0, owner="a")
    assert record.sure_until == 59.0


def test_of_two_enables_that_knew_nothing_of_each_other_the_shorter_one_counts() -> None:
    mine = entered(NOTHING, number=1, now=1.0, term_s=60.0, owner="a")
    theirs = entered(NOTHING, number=1, now=0.0, term_s=HOUR, owner="b")
    record = merged(theirs, mine, owner="a", now=2.0)
    record = answered(record, number=1, now=3.0, outcome=Outcome.CONFIRMED, lands_by=13.0, owner="b")
    assert record.settled_sure == 59.0, "mine may land last"


def test_what_is_sure_is_brought_in_only_by_who_held_the_gate_and_only_where_no_disable_is_open() -> None:
    mine = enabled(NOTHING, 1, 0.0)
    disabling = entered(replace(NOTHING, number=1), number=2, now=0.0, term_s=0.0, owner="b")
    assert merged(NOTHING, mine, owner="a", now=2.0, held=True).sure_until == T - 2.0
    assert merged(NOTHING, mine, owner="a", now=2.0).sure_until == -inf
    landed = closed(merged(disabling, mine, owner="a", now=2.0, held=True), 14.0)
    assert (landed.settled_sure, landed.settled_maybe) == (-inf, T)


def test_a_container_that_was_shown_to_be_of_the_task_stays_so() -> None:
    record, mine = (replace(NOTHING, arn="t", containers=(name,)) for name in ("one", "other"))
    assert merged(record, mine, owner="a", now=0.0).containers == ("one", "other")
    assert merged(replace(record, arn="another"), mine, owner="a", now=0.0).containers == ("one",)


def test_whoever_called_last_knows_what_stands_in_the_way_of_the_next_call() -> None:
    earlier, later = (replace(NOTHING, pace=Pace().called(at, "a")) for at in (1.0, 2.0))
    for record, mine in ((earlier, later), (later, earlier)):
        assert merged(record, mine, owner="a", now=3.0).pace.ready_at == 9.0


def test_whoever_asked_last_about_the_deployment_knows_whether_the_task_is_superseded() -> None:
    earlier = replace(NOTHING, standing=Standing(asked_at=1.0, superseded=True))
    later = replace(NOTHING, standing=Standing(asked_at=2.0))
    for record, mine in ((earlier, later), (later, earlier)):
        for known in (record, entered(record, number=1, now=0.0, term_s=T)):
            assert merged(known, mine, owner="a", now=3.0).standing == later.standing
