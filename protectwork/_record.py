"""What is known of the lease: two bounds, and every write that may still land (PURE: values in, values out).

Never a boolean: `sure_until` is until when the task is certainly protected, `maybe_until` until when it might be.
Both are derived. What stands in the record is what the definite answers settled, and the open writes on top of it:
an open disable may have ended protection already, an open enable may yet begin it. So a definite "no" needs no undo:
it closes its write, and the bounds are back to what they were.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from protectwork._types import Outcome

__all__ = ["LANDING_S", "Record", "Write", "answered", "closed", "entered", "seen"]

LANDING_S = 12.0
"""An ambiguous write may land until that long after it was sent (contract §1)."""

DRIFT_S = 2.0
"""What `sure_until` gives away for the drift of two clocks (design §4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One PUT that was entered and whose outcome is not definite.

    Attributes:
        number: Its place in the order of all writes of the task.
        sent_at: The stamp taken before it was sent: ECS counts the lease from no earlier moment.
        term_s: The length of the lease asked for; 0 of a disable.
        clean: No opposite write was open when it was entered, and none has been entered since. An unclean write
            proves nothing: the opposite one may land after it.
        lands_by: When it has landed if ever; None while its answer is awaited.
        over_until: Of an enable: until when the task is protected at least, should one that was open when it was
            entered land after it, and be the shorter one.
    """

    number: int
    sent_at: float
    term_s: float
    clean: bool
    lands_by: float | None = None
    over_until: float = inf

    @property
    def is_enable(self) -> bool:
        """Whether it asks for protection."""
        return self.term_s > 0

    @property
    def maybe_until(self) -> float:
        """Until when the task may be protected by this write: it lands as late as it can."""
        if not self.is_enable:
            return -inf
        return (self.sent_at + LANDING_S if self.lands_by is None else self.lands_by) + self.term_s

    @property
    def sure_until(self) -> float:
        """Until when the task is protected at least, should this write be the last to land."""
        return self.sent_at + self.term_s - DRIFT_S if self.is_enable else -inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The last known lease. The first record of a task knows nothing: it may be protected for ever."""

    settled_sure: float = -inf
    settled_maybe: float = inf
    writes: tuple[Write, ...] = ()

    @property
    def unknown(self) -> bool:
        """No answer has told yet whether the task is protected."""
        return self.settled_maybe == inf

    @property
    def sure_until(self) -> float:
        """Until when the task is certainly protected; -inf while a disable may land."""
        return min((self.settled_sure, *(write.sure_until for write in self.writes)))

    @property
    def maybe_until(self) -> float:
        """Until when the task might be protected."""
        return max((self.settled_maybe, *(write.maybe_until for write in self.writes)))

    def open_until(self, *, enables: bool) -> float:
        """When the last open write of one kind has landed if ever; -inf when none is open."""
        ends = (
            inf if write.lands_by is None else write.lands_by for write in self.writes if write.is_enable == enables
        )
        return max(ends, default=-inf)

    def left_s(self, now: float) -> float:
        """The longest that a lease now in force can last. A shorter enable would take something away (I7).

        An open enable that has landed already ends its full term from now at the latest; one that has not yet landed
        will replace whatever is sent now, and is not shortened by it.
        """
        settled = 0.0 if self.unknown else self.settled_maybe - now
        return max((settled, *(write.term_s for write in self.writes)))


def entered(record: Record, *, number: int, now: float, term_s: float) -> Record:
    """Write down a PUT before it is sent; a disable has `term_s` 0. From now on it may land at any moment."""
    opposite = [write for write in record.writes if write.is_enable != (term_s > 0)]
    writes = tuple(replace(write, clean=False) if write in opposite else write for write in record.writes)
    over_until = min((write.sure_until for write in record.writes if write.is_enable), default=inf)
    write = Write(number=number, sent_at=now, term_s=term_s, clean=not opposite, over_until=over_until)
    return replace(record, writes=(*writes, write))


def answered(record: Record, *, number: int, now: float, outcome: Outcome, lands_by: float) -> Record:
    """Note the answer to a write: a definite one closes it and no older one, an ambiguous one leaves it open.

    Args:
        record: The record that the write was entered in.
        number: Which write.
        now: When the answer came.
        outcome: What it came to.
        lands_by: Until when the write may land if the answer is ambiguous.
    """
    write = next((write for write in record.writes if write.number == number), None)
    if write is None:  # the record was replaced under the call: what is in force, the next answer tells
        return record
    others = tuple(other for other in record.writes if other is not write)
    match outcome:
        case Outcome.AMBIGUOUS:
            # A disable that may have landed ends all certainty, even after its window has closed.
            sure = record.settled_sure if write.is_enable else -inf
            return replace(record, settled_sure=sure, writes=(*others, replace(write, lands_by=lands_by)))
        case Outcome.CONFIRMED if write.is_enable:
            sure = min(write.sure_until, write.over_until) if write.clean else record.settled_sure
            return Record(settled_sure=sure, settled_maybe=now + write.term_s, writes=others)
        case Outcome.CONFIRMED:
            maybe = now if write.clean else record.settled_maybe
            return Record(settled_sure=-inf, settled_maybe=maybe, writes=others)
        case _:
            return replace(record, writes=others)


def seen(record: Record, *, now: float, left_s: float) -> Record:
    """Note what a GET told: protection that lasts `left_s` more seconds; 0 for none."""
    return replace(record, settled_maybe=now + left_s)


def shortened(record: Record, *, until: float) -> Record:
    """Believe ECS when it says that the lease ends earlier than what was asked for; never when it says later."""
    return replace(record, settled_sure=min(record.settled_sure, until))


def closed(record: Record, now: float) -> Record:
    """Close the writes that can no longer land; what each may have done becomes part of what is settled."""
    late = [write for write in record.writes if write.lands_by is not None and write.lands_by <= now]
    if not late:
        return record
    enables = [write for write in late if write.is_enable]
    return Record(
        settled_sure=min((record.settled_sure, *(write.sure_until for write in enables))),
        settled_maybe=max((record.settled_maybe, *(write.maybe_until for write in enables))),
        writes=tuple(write for write in record.writes if write not in late),
    )
