"""The record as text and back: what another process wrote is checked value by value before it is believed (PURE)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Any

from protectwork._backoff import Backoff
from protectwork._governor import MOST_RELEASES, Governor
from protectwork._pace import CALL_S, LINGER_MOST_S, Pace
from protectwork._record import LANDING_S, LONGEST_S, MOST_CONTAINERS, Granted, Record, Write
from protectwork._standing import Standing
from protectwork._types import Answer, Outcome

__all__ = ["decoded", "encoded"]

_VERSION = 1
_AHEAD_S = 1.0  # two processors may disagree by less than that on what time it is
_FURTHEST_S = LONGEST_S + _AHEAD_S  # no bound lies further ahead than the longest lease
_SLOWEST_S = 1.25 * LINGER_MOST_S + 60.0  # longer than any wait between two calls
_WRITES, _WORDS, _TEXT = 40, 60, 200
_FITS = 1023  # bytes that the target of a symbolic link may have everywhere (on XFS; elsewhere it is 4095)


def encoded(record: Record) -> str:
    """The record as one line of JSON; where that would not fit everywhere, without what matters least.

    Without words, others know of a trouble only what kind it is. A container that is left out asks ECS once more of
    which task it is, and the oldest are likely to be gone.
    """
    text = _text(record, words=_WORDS)
    if len(text) > _FITS:
        text = _text(record, words=0)
    while len(text) > _FITS and len(record.containers) > 1:
        record = replace(record, containers=record.containers[1:])
        text = _text(record, words=0)
    return text


def _text(record: Record, *, words: int) -> str:
    pace = record.pace
    values = {
        "v": _VERSION,
        "boot": record.boot,
        "arn": record.arn,
        "containers": record.containers,
        "number": record.number,
        "sure": record.settled_sure,
        "maybe": _ms(record.settled_maybe),
        "asked": record.asked,
        "off": record.off,
        "quiet": _ms(record.quiet_until),
        "writes": [
            (w.number, w.owner, w.sent_at, w.term_s, w.clean, _ms(w.lands_by), w.over_until, _ms(w.under_until))
            for w in record.writes
        ],
        "granted": (g := record.granted) and (g.sent_at, g.term_s, g.asked_until, g.again_at),
        "sent": _ms(pace.last_sent),
        "caller": pace.caller,
        "ends": _ms(pace.call_ends),
        "enabling": _backoff_values(pace.enabling, words),
        "releasing": _backoff_values(pace.releasing, words),
        "asking": _backoff_values(pace.asking, words),
        "governor": (_ms(pace.governor.tokens), _ms(pace.governor.counted_at), pace.governor.paid),
        "linger": _ms(pace.linger_s),
        "forbidden": pace.forbidden and tuple(map(_ms, pace.forbidden)),
        "standing": None if record.standing == Standing() else (record.standing.asked_at, record.standing.superseded),
    }
    return json.dumps(values, separators=(",", ":"))


def _ms(value: float | None) -> float | None:
    """As many digits as matter. What makes sure is written as it is: the same loss, read back, is not told again."""
    return None if value is None else round(value, 3)


def decoded(text: str, *, now: float, boot: str) -> Record | None:
    """The record that `text` holds; None if it is no record of ours, or speaks of another boot's times.

    A lease that lies further ahead than ECS grants, a stamp of tomorrow, a number that is none: whoever wrote that,
    nothing of it is believed.
    """
    try:
        record = _record(json.loads(text), _Checks(now))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return record if record.boot == boot else None


class _Checks:
    """What a value must be; each raises ValueError where it is not."""

    def __init__(self, now: float) -> None:
        self._now = now

    def number(self, value: object, low: float, high: float) -> float:
        # To Python a bool is a number, and what is not a number is in no range.
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(value)
        return float(value)

    def past(self, value: object) -> float:
        """A stamp."""
        return self.number(value, -inf, self._now + _AHEAD_S)

    def ahead(self, value: object, most_s: float) -> float:
        """A moment to come, or gone."""
        return self.number(value, -inf, self._now + most_s)

    def ahead_or_never(self, value: object, most_s: float) -> float:
        return inf if value == inf else self.ahead(value, most_s)

    def text(self, value: object) -> str:
        if not isinstance(value, str) or len(value) > _TEXT:
            raise ValueError(value)
        return value

    def flag(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise TypeError(value)
        return value

    def many(self, value: Any, most: int) -> list[Any]:
        """Values in a row, each to be looked at by itself."""
        if not isinstance(value, list) or len(value) > most:  # pyright: ignore[reportUnknownArgumentType] - out of JSON
            raise ValueError("not so many values")
        return value  # pyright: ignore[reportUnknownVariableType]


def _record(values: Mapping[str, Any], check: _Checks) -> Record:
    if values["v"] != _VERSION:
        raise ValueError(values["v"])
    return Record(
        settled_sure=check.ahead(values["sure"], _FURTHEST_S),
        settled_maybe=check.ahead_or_never(values["maybe"], _FURTHEST_S + LANDING_S),
        writes=tuple(_write(check.many(row, 8), check) for row in check.many(values["writes"], _WRITES)),
        number=int(check.number(values["number"], 0, 2**53)),
        granted=None if values["granted"] is None else _granted(check.many(values["granted"], 4), check),
        pace=_pace(values, check),
        asked=check.flag(values["asked"]),
        off=check.flag(values["off"]),
        quiet_until=check.ahead(values["quiet"], 60.0),
        boot=check.text(values["boot"]),
        arn=None if values["arn"] is None else check.text(values["arn"]),
        containers=tuple(check.text(name) for name in check.many(values["containers"], MOST_CONTAINERS)),
        standing=Standing() if values["standing"] is None else _standing(check.many(values["standing"], 2), check),
    )


def _standing(row: list[Any], check: _Checks) -> Standing:
    asked_at, superseded = row
    return Standing(asked_at=check.past(asked_at), superseded=check.flag(superseded))


def _write(row: list[Any], check: _Checks) -> Write:
    number, owner, sent_at, term_s, clean, lands_by, over_until, under_until = row
    return Write(
        number=int(check.number(number, 0, 2**53)),
        owner=check.text(owner),
        sent_at=check.past(sent_at),
        term_s=check.number(term_s, 0, _FURTHEST_S),
        clean=check.flag(clean),
        lands_by=None if lands_by is None else check.ahead(lands_by, LANDING_S + _AHEAD_S),
        over_until=check.ahead_or_never(over_until, _FURTHEST_S),
        under_until=check.ahead(under_until, _FURTHEST_S),
    )


def _granted(row: list[Any], check: _Checks) -> Granted:
    sent_at, term_s, asked_until, again_at = row
    return Granted(
        sent_at=check.past(sent_at),
        term_s=check.number(term_s, -inf, _FURTHEST_S),
        asked_until=check.ahead(asked_until, _FURTHEST_S),
        again_at=check.ahead_or_never(again_at, _FURTHEST_S),
    )


def _pace(values: Mapping[str, Any], check: _Checks) -> Pace:
    tokens, counted_at, paid = check.many(values["governor"], 3)
    forbidden = None if values["forbidden"] is None else check.many(values["forbidden"], 2)
    return Pace(
        last_sent=check.past(values["sent"]),
        caller=check.text(values["caller"]),
        call_ends=check.ahead(values["ends"], CALL_S + _AHEAD_S),
        enabling=_backoff(values["enabling"], check),
        releasing=_backoff(values["releasing"], check),
        asking=_backoff(values["asking"], check),
        governor=Governor(
            tokens=check.number(tokens, 0, MOST_RELEASES),
            counted_at=inf if counted_at == inf else check.past(counted_at),
            paid=check.flag(paid),
        ),
        linger_s=check.number(values["linger"], 0, LINGER_MOST_S),
        forbidden=None if forbidden is None else (check.past(forbidden[0]), check.past(forbidden[1])),
    )


def _backoff_values(backoff: Backoff, words: int) -> tuple[Any, ...] | None:
    """Nothing where nothing stands in the way, as almost always."""
    if backoff == Backoff():
        return None
    trouble = backoff.trouble
    outcome, reason, detail = (trouble.outcome, trouble.reason, trouble.detail) if trouble else (None, None, None)
    return outcome, (reason or "")[:words], (detail or "")[:words], _ms(backoff.retry_at), backoff.tries


def _backoff(values: object, check: _Checks) -> Backoff:
    if values is None:
        return Backoff()
    outcome, reason, detail, retry_at, tries = check.many(values, 5)
    words = check.text(reason) or None, check.text(detail) or None
    trouble = None if outcome is None else Answer(outcome=Outcome(outcome), reason=words[0], detail=words[1])
    return Backoff(trouble=trouble, retry_at=check.ahead(retry_at, _SLOWEST_S), tries=int(check.number(tries, 0, 1000)))
