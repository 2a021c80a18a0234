"""The record as text: what was written is read back, nothing else is believed, and it fits into a symbolic link."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from protectwork._backoff import Backoff
from protectwork._governor import Governor
from protectwork._pace import Pace
from protectwork._record import Granted, Record, answered, entered
from protectwork._record_text import decoded, encoded
from protectwork._standing import Standing
from protectwork._types import Answer, Outcome

BOOT = "0123abcd-0123-4567-89ab-0123456789ab"
NOW = 1_234_567.891_234_567  # two weeks after the boot, as the clock says it
XFS, ELSEWHERE = 1023, 4095  # bytes that a symbolic link holds

TROUBLE = Answer(outcome=Outcome.THROTTLED, reason="ThrottlingException", detail="Rate exceeded " * 14)
BUSY = Pace(
    last_sent=NOW,
    caller="0123456789ab",
    call_ends=NOW + 7.0,
    enabling=Backoff(trouble=TROUBLE, retry_at=NOW + 1.234_567, tries=3),
    releasing=Backoff(trouble=TROUBLE, retry_at=NOW + 2.345_678, tries=1),
    asking=Backoff(trouble=TROUBLE, retry_at=NOW + 3.456_789, tries=2),
    governor=Governor(tokens=1.234_567_891, counted_at=NOW - 12.345_678, paid=True),
    linger_s=61.234_567_8,
    forbidden=(NOW - 100.0, NOW - 10.0),
)


def open_writes(count: int, *, containers: int = 1, pace: Pace = BUSY) -> Record:
    """A record with so many enables of processes that sleep, or whose answers were ambiguous."""
    record = Record(
        boot=BOOT,
        arn="f" * 32,
        containers=tuple(f"{number:016x}" for number in range(containers)),
        standing=Standing(asked_at=NOW - 123.456, superseded=True),
        settled_sure=NOW - 1234.567_891,
        settled_maybe=NOW + 1234.567_891,
        granted=Granted(sent_at=NOW - 3600.0, term_s=7200.0, asked_until=NOW + 3600.0),
        pace=pace,
    )
    for number in range(1, count + 1):
        at = NOW - count + number
        record = entered(record, number=number, now=at, term_s=7200.0, owner=f"{number:012x}")
        record = answered(record, number=number, now=at, outcome=Outcome.AMBIGUOUS, lands_by=min(at, NOW) + 12.0)
    return record


def read(text: str) -> Record | None:
    return decoded(text, now=NOW + 0.1, boot=BOOT)


def forged(**values: Any) -> Record | None:
    return read(json.dumps(json.loads(encoded(open_writes(1))) | values))


def test_what_makes_sure_is_read_back_to_the_last_digit() -> None:
    for record in (open_writes(0), open_writes(2), open_writes(3, containers=10)):
        again = read(encoded(record))
        assert again is not None
        assert again.sure_until == record.sure_until
        assert again.settled_sure == record.settled_sure
        assert [write.over_until for write in again.writes] == [write.over_until for write in record.writes]
        assert again.granted == record.granted


def test_all_else_is_read_back_to_the_millisecond() -> None:
    record = open_writes(2)
    again = read(encoded(record))
    assert again is not None
    assert abs(again.maybe_until - record.maybe_until) <= 0.001
    assert abs(again.pace.ready_at - record.pace.ready_at) <= 0.001
    assert abs(again.pace.enabling.retry_at - record.pace.enabling.retry_at) <= 0.001
    assert again.pace.enabling.outcome is Outcome.THROTTLED
    assert read(encoded(again)) == again


def test_a_pace_in_whose_way_nothing_stands_is_read_back() -> None:
    record = open_writes(0, pace=Pace())
    assert read(encoded(record)) == replace(record, settled_maybe=round(record.settled_maybe, 3))


def test_the_place_of_the_task_in_its_service_is_read_back() -> None:
    for standing in (Standing(), Standing(asked_at=NOW - 10.5), Standing(asked_at=NOW - 10.5, superseded=True)):
        again = read(encoded(replace(open_writes(1), standing=standing)))
        assert again is not None
        assert again.standing == standing


@pytest.mark.parametrize(
    "values",
    [
        {"sent": -(10**400)},
        {"sent": NOW + 5.0},
        {"sent": None},
        {"sure": NOW + 1e7},
        {"sure": True},
        {"maybe": "soon"},
        {"linger": -1},
        {"number": float("nan")},
        {"writes": [[1, "a"]]},
        {"writes": [[1, "a", 0.0, 60.0, 1, None, 0.0, 0.0]]},
        {"writes": {}},
        {"enabling": []},
        {"enabling": ["no such outcome", "", "", 0.0, 0]},
        {"enabling": [None, 5, "", 0.0, 0]},
        {"enabling": [None, "", "", NOW + 1e5, 0]},
        {"asking": False},
        {"governor": None},
        {"arn": "x" * 500},
        {"standing": [NOW + 5.0, True]},
        {"standing": [NOW, 1]},
        {"standing": [NOW]},
        {"standing": True},
        {"v": 2},
    ],
    ids=str,
)
def test_a_record_with_one_wrong_value_is_not_believed(values: dict[str, Any]) -> None:
    assert forged() is not None
    assert forged(**values) is None


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "5", "[" * 2000, '{"v":1}'])
def test_what_is_no_record_is_not_believed(text: str) -> None:
    assert read(text) is None


def test_a_storm_of_open_writes_fits_into_the_shortest_link_there_is() -> None:
    for count in range(6):
        text = encoded(open_writes(count))
        assert len(text) <= XFS
        assert read(text) is not None


def test_words_go_before_containers_and_the_oldest_of_those_first() -> None:
    few, many = json.loads(encoded(open_writes(0))), json.loads(encoded(open_writes(4, containers=20)))
    assert few["enabling"][1] == "ThrottlingException"
    assert many["enabling"][:3] == ["throttled", "", ""]
    assert 1 < len(many["containers"]) < 20
    assert many["containers"][-1] == f"{19:016x}"
    assert len(many["writes"]) == 4


def test_as_many_writes_as_are_read_fit_everywhere_but_on_xfs() -> None:
    text = encoded(open_writes(40, containers=50))
    assert len(text) <= ELSEWHERE
    assert read(text) is not None
