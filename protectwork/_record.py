"""What the processes of a task know of their lease: two bounds, and every write that may still land (PURE).

Never a boolean: `sure_until` is until when the task is certainly protected, `maybe_until` until when it might be.
Both are derived. What stands in the record is what the definite answers settled, and the open writes on top of it:
an open disable may have ended protection already, an open enable may yet begin it. So a definite "no" needs no undo:
it closes its write, and the bounds are back to what they were.

Every rule is a function of record, time and event, so that a test can explore them all, in every order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf

from protectwork._pace import Pace
from protectwork._standing import Standing
from protectwork._types import Outcome

__all__ = [
    "DRIFT_S",
    "LANDING_S",
    "LONGEST_S",
    "MOST_CONTAINERS",
    "SHORTEST_S",
    "Granted",
    "Record",
    "Write",
    "answered",
    "beside",
    "closed",
    "died",
    "entered",
    "introduced",
    "seen",
    "shortened",
    "unanswered",
]

LANDING_S = 12.0
"""An ambiguous write may land until that long after it was sent (contract §1)."""

SHORTEST_S, LONGEST_S = 60.0, 2880 * 60.0
"""The shortest and the longest lease that ECS grants (contract §4)."""

MOST_CONTAINERS = 50

DRIFT_S = 2.0
"""What `sure_until` gives away for the drift of two clocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One PUT that was entered and whose outcome is not definite.

    Attributes:
        number: Its place in the order of all writes of the task.
        owner: The process that makes it.
        sent_at: A stamp taken before it was sent: ECS counts the lease from no earlier moment.
        term_s: The length of the lease asked for; 0 of a disable.
        clean: No opposite write was open when it was entered, and none has been entered since. An unclean write
            proves nothing: the opposite one may land after it.
        lands_by: When it has landed if ever; None while its answer is awaited, however long its owner sleeps.
        over_until: Of an enable: until when the task is protected at least, should another one that was open beside it
            land after it, and be the shorter one.
        under_until: Until when the task may be protected, should another one that was confirmed beside it land after
            it, and be the longer one.
    """

    number: int
    owner: str = ""
    sent_at: float
    term_s: float
    clean: bool
    lands_by: float | None = None
    over_until: float = inf
    under_until: float = -inf

    @property
    def is_enable(self) -> bool:
        """Whether it asks for protection."""
        return self.term_s > 0

    @property
    def maybe_until(self) -> float:
        """Until when the task may be protected by this write: it lands as late as it can."""
        if not self.is_enable:
            return -inf
        return inf if self.lands_by is None else self.lands_by + self.term_s

    @property
    def sure_until(self) -> float:
        """Until when the task is protected at least, should this write be the last to land."""
        return self.sent_at + self.term_s - DRIFT_S if self.is_enable else -inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """The last lease that was confirmed, and for sure.

    Attributes:
        sent_at: When it was asked for.
        term_s: How long it can be counted on.
        asked_until: Until when it was asked to last.
        again_at: When a much shorter enable that was open beside it has landed: to be asked for once more then.
    """

    sent_at: float
    term_s: float
    asked_until: float
    again_at: float = inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The last known lease. The first record of a task knows nothing: it may be protected for ever.

    Attributes:
        settled_sure: Until when the definite answers alone make the task protected.
        settled_maybe: Until when it might be, by them alone; inf while nothing is known.
        writes: Those that may still land, oldest first.
        number: How many writes were ever entered.
        granted: The lease in force, for when to renew it; None without one.
        pace: What was spent on calls.
        asked: A GET was tried since nothing is known.
        off: The task belongs to no service: there is nothing to protect it from, ever.
        quiet_until: Nobody disables before: there may be processes that have not found these files yet (rule 10).
        boot: The boot of the machine that all times here count from.
        arn: The ECS task that this is about, by the last segment of its ARN; None before an answer named it.
        containers: The containers of which an answer has shown that they are of that task.
        standing: The place of the task in its service.
    """

    settled_sure: float = -inf
    settled_maybe: float = inf
    writes: tuple[Write, ...] = ()
    number: int = 0
    granted: Granted | None = None
    pace: Pace = field(default_factory=Pace)
    asked: bool = False
    off: bool = False
    quiet_until: float = -inf
    boot: str = ""
    arn: str | None = None
    containers: tuple[str, ...] = ()
    standing: Standing = field(default_factory=Standing)

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

    def awaited(self) -> set[str]:
        """Whose answers are awaited: the processes whose death would matter."""
        callers = {write.owner for write in self.writes if write.lands_by is None}
        return callers | {self.pace.caller} if self.pace.caller else callers


def entered(record: Record, *, number: int, now: float, term_s: float, owner: str = "") -> Record:
    """Write down a PUT before it is sent (rule 1); a disable has `term_s` 0. From now on it may land at any moment."""
    # To the millisecond, for the bounds that follow from it are written down digit by digit.
    write = Write(number=number, owner=owner, sent_at=round(now, 3), term_s=term_s, clean=True)
    # Those that were sent longer ago than a write can take have landed, and what is sent now lands after them.
    bounds = (other.term_s + max(other.sent_at, now - LANDING_S) for other in record.writes if other.is_enable)
    write = replace(write, over_until=min(bounds, default=inf) - DRIFT_S)
    writes = tuple(beside(other, write) for other in record.writes)
    clean = all(other.is_enable == write.is_enable for other in record.writes)
    return replace(record, writes=(*writes, replace(write, clean=clean)), number=max(record.number, number))


def beside(open_write: Write, new: Write) -> Write:
    """What an open write is worth once another is entered, which may land before or after it (rules 2, 3 and 9)."""
    if open_write.is_enable != new.is_enable:
        return replace(open_write, clean=False)
    return replace(open_write, over_until=min(open_write.over_until, new.sure_until))


def answered(
    record: Record, *, number: int, now: float, outcome: Outcome, lands_by: float, owner: str | None = None
) -> Record:
    """Note the answer to a write: a definite one closes it and no older one, an ambiguous one leaves it open.

    Args:
        record: The record that the write was entered in.
        number: Which write.
        now: When the answer came.
        outcome: What it came to.
        lands_by: Until when the write may land if the answer is ambiguous.
        owner: Whose write it is; numbers begin anew where files were replaced. None takes the number's word.
    """
    mine = (write for write in record.writes if write.number == number and owner in {None, write.owner})
    write = next(mine, None)
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
            maybe = now + write.term_s
            others = tuple(_overtaken(other, write, maybe) for other in others)
            return replace(record, settled_sure=sure, settled_maybe=max(maybe, write.under_until), writes=others)
        case Outcome.CONFIRMED:
            maybe = now if write.clean else record.settled_maybe
            return replace(record, settled_sure=-inf, settled_maybe=maybe, writes=others)
        case _:
            return replace(record, writes=others)


def _overtaken(other: Write, confirmed: Write, maybe_until: float) -> Write:
    """What an open write is worth once an enable beside it is confirmed.

    Should it land after that one, it was sent no longer before it than a write takes to land: an enable whose owner
    was stopped for an hour does not make everybody doubt what was confirmed since.
    """
    since = max(other.sent_at, confirmed.sent_at - LANDING_S) if other.is_enable else other.sent_at
    return replace(other, sent_at=since, under_until=max(other.under_until, maybe_until))


def died(record: Record, owner: str, now: float) -> Record:
    """Note that a process was found dead: what it had sent and nobody can answer has landed 12 s from now."""
    lost = [write for write in record.writes if write.owner == owner and write.lands_by is None]
    return replace(unanswered(record, lost, now), pace=record.pace.over(owner))


def unanswered(record: Record, lost: list[Write], now: float) -> Record:
    """Await no answer to these writes any more: whatever they do, they have done 12 s from now."""
    ended = any(not write.is_enable for write in lost)  # a disable that may have landed ends all certainty
    return replace(
        record,
        settled_sure=-inf if ended else record.settled_sure,
        writes=tuple(replace(w, lands_by=now + LANDING_S) if w in lost else w for w in record.writes),
    )


def seen(record: Record, *, now: float, left_s: float) -> Record:
    """Note what a GET told: protection that lasts `left_s` more seconds; 0 for none."""
    # Where ECS protects nothing, nobody who has not found these files yet can be sure of a lease.
    quiet_until = record.quiet_until if left_s else -inf
    return replace(record, settled_maybe=now + left_s, quiet_until=quiet_until)


def introduced(record: Record, *, arn: str, container: str) -> Record:
    """Note that `container` is of the task `arn`. A record of another task is no knowledge of this one."""
    if record.arn not in (None, arn):
        fresh = Record(boot=record.boot, quiet_until=record.quiet_until, pace=record.pace, number=record.number)
        return replace(fresh, arn=arn, containers=(container,))
    if record.arn == arn and container in record.containers:
        return record
    return replace(record, arn=arn, containers=(*record.containers, container)[-MOST_CONTAINERS:])


def shortened(record: Record, *, until: float) -> Record:
    """Believe ECS when it says that the lease ends earlier than what was asked for; never when it says later."""
    return replace(record, settled_sure=min(record.settled_sure, until))


def closed(record: Record, now: float) -> Record:
    """Close the writes that can no longer land; what each may have done becomes part of what is settled."""
    late = [write for write in record.writes if write.lands_by is not None and write.lands_by <= now]
    if not late:
        return record
    enables = [write for write in late if write.is_enable]
    return replace(
        record,
        settled_sure=min((record.settled_sure, *(write.sure_until for write in enables))),
        settled_maybe=max((record.settled_maybe, *(write.maybe_until for write in enables))),
        writes=tuple(write for write in record.writes if write not in late),
    )
