"""A record without its times: the real rules, between values so small that every one of them can be visited.

A lease never runs out here, so each bound of a record is one of two: far away, or over. And a window ends when the
search says so. What is left of a record is a few booleans for each write that may still land. Each function below
makes a real record of them, lets the real rule change it, and takes the times off again.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import inf
from typing import NamedTuple

from protectwork._record import Record, Write, answered, closed, died, entered
from protectwork._types import Outcome

NOW = 0.0
TERM_S = 1e9
FAR = TERM_S / 2
"""Whatever lies beyond is never reached: a difference of some seconds there makes no difference."""
FLIGHT_S = 12.0
"""How long a message can be under way (contract §1). No constant of the rules: they are to know it too."""


class Open(NamedTuple):
    """A write that may still land."""

    number: int
    is_enable: bool
    clean: bool
    awaited: bool  # its answer, by an owner that lives or was not yet seen dead


class Coarse(NamedTuple):
    """A record without its times: what is settled, and the open writes. Their order makes no difference."""

    sure: bool = False
    maybe: bool = False
    writes: tuple[Open, ...] = ()

    def of(self, number: int) -> Open | None:
        """One open write."""
        return next((write for write in self.writes if write.number == number), None)


@cache
def sure(coarse: Coarse) -> bool:
    """The task is certainly protected."""
    return _fine(coarse).sure_until > NOW


@cache
def maybe(coarse: Coarse) -> bool:
    """The task might be protected."""
    return _fine(coarse).maybe_until > NOW


@cache
def after_entry(coarse: Coarse, *, number: int, is_enable: bool, dropped: int) -> Coarse:
    """A call was written down. Its number is its owner's: nobody makes two calls at once."""
    term_s = TERM_S if is_enable else 0.0
    return _coarse(entered(_fine(coarse), number=number, now=NOW, term_s=term_s, owner=str(number)), dropped=dropped)


@cache
def after_answer(coarse: Coarse, *, number: int, outcome: Outcome, late: int, dropped: int) -> Coarse:
    """A call was answered. A write that stays open is called `late` from now on: its owner may make another call."""
    record = answered(_fine(coarse), number=number, now=NOW, outcome=outcome, lands_by=NOW + FLIGHT_S)
    writes = tuple(replace(write, number=late) if write.number == number else write for write in record.writes)
    return _coarse(replace(record, writes=writes), dropped=dropped)


@cache
def after_death(coarse: Coarse, *, owner: int, dropped: int) -> Coarse:
    """A process was seen dead."""
    return _coarse(died(_fine(coarse), str(owner), NOW), dropped=dropped)


@cache
def after_window(coarse: Coarse, *, number: int, dropped: int) -> Coarse:
    """The time is over in which one write could land.

    The search lets the windows end in any order, also in one that the clock would forbid: a promise that holds in all
    of them holds in those that happen.
    """
    record = _fine(coarse)
    writes = tuple(replace(write, lands_by=NOW) if write.number == number else write for write in record.writes)
    return _coarse(closed(replace(record, writes=writes), NOW), dropped=dropped)


def _fine(coarse: Coarse) -> Record:
    writes = tuple(
        Write(
            number=write.number,
            owner=str(write.number),
            sent_at=NOW,
            term_s=TERM_S if write.is_enable else 0.0,
            clean=write.clean,
            lands_by=None if write.awaited else NOW + FLIGHT_S,
        )
        for write in coarse.writes
    )
    settled_sure, settled_maybe = (TERM_S if coarse.sure else -inf), (TERM_S if coarse.maybe else NOW)
    return Record(settled_sure=settled_sure, settled_maybe=settled_maybe, writes=writes)


def _coarse(record: Record, *, dropped: int) -> Coarse:
    """Take the times off. Without rule 2 (or 3) every enable (or disable) proves something, whatever was beside it."""
    writes = (
        Open(
            number=write.number,
            is_enable=write.is_enable,
            clean=write.clean or dropped == (2 if write.is_enable else 3),
            awaited=write.lands_by is None,
        )
        for write in record.writes
    )
    bounds = [bound for write in record.writes for bound in (write.over_until, write.under_until)]
    assert all(abs(bound) > FAR for bound in bounds), f"not only far bounds: {record}"
    ends = [write.lands_by for write in record.writes if write.lands_by is not None]
    assert all(end >= NOW + FLIGHT_S for end in ends), f"closes before what was sent just now has landed: {record}"
    return Coarse(sure=_far(record.settled_sure), maybe=_far(record.settled_maybe), writes=tuple(sorted(writes)))


def _far(bound: float) -> bool:
    assert bound <= NOW or bound > FAR, f"a bound that is neither over nor far away: {bound}"
    return bound > FAR
