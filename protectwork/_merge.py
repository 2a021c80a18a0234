"""How two records of one task become one: what a process knew that could not write, or had other files (PURE)."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from protectwork._record import (
    DRIFT_S,
    LANDING_S,
    MOST_CONTAINERS,
    SHORTEST_S,
    Record,
    Write,
    beside,
    unanswered,
)

__all__ = ["merged"]


def merged(
    record: Record, mine: Record, *, owner: str, now: float, held: bool = False, shortest_s: float = SHORTEST_S
) -> Record:
    """Bring into the shared record what a process knew while it could not write there, or in other files (rule 10).

    Args:
        record: The shared record as it stands.
        mine: What the process knows.
        owner: The process.
        now: The time.
        held: As long as `mine` was sure, the process held the gate of the shared record: nobody could disable.
        shortest_s: How long the shortest lease lasts.
    """
    standing = max(record.standing, mine.standing, key=lambda standing: standing.asked_at)
    if record.unknown and not record.writes:
        return replace(mine, boot=record.boot, quiet_until=record.quiet_until, standing=standing)
    awaited = {write.number for write in mine.writes if write.owner == owner and write.lands_by is None}
    # Its writes that await no answer any more were answered to nobody but itself: they may have done anything.
    answered_writes = {w.number for w in record.writes if w.owner == owner and w.lands_by is None} - awaited
    record = unanswered(record, [w for w in record.writes if w.owner == owner and w.number in answered_writes], now)
    present = {(write.owner, write.number) for write in record.writes}
    news = tuple(_news(w, owner, now, shortest_s) for w in mine.writes if (w.owner, w.number) not in present)
    disabling = any(not write.is_enable for write in record.writes)
    surer = mine if held and not disabling and mine.settled_sure > record.settled_sure else record
    strangers = (name for name in mine.containers if mine.arn == record.arn and name not in record.containers)
    return replace(
        record,
        settled_sure=surer.settled_sure,
        settled_maybe=record.settled_maybe if mine.unknown else max(record.settled_maybe, mine.settled_maybe),
        granted=surer.granted,
        # Neither side knew of the other's: which lands first, nobody can tell.
        writes=(*(reduce(beside, news, w) for w in record.writes), *(reduce(beside, record.writes, w) for w in news)),
        number=max(record.number, mine.number),
        containers=(*record.containers, *strangers)[-MOST_CONTAINERS:],
        pace=max(record.pace, mine.pace, key=lambda pace: pace.last_sent),
        standing=standing,
    )


def _news(write: Write, owner: str, now: float, shortest_s: float) -> Write:
    """A write that the shared record has not, as it is brought in by `owner`.

    Of an enable that others did not know of, only as much is sure as an enable of theirs leaves, however short. And the
    write of another may have been answered since: it must not be awaited for ever.
    """
    if write.is_enable:
        write = replace(write, over_until=min(write.over_until, write.sent_at + shortest_s - DRIFT_S))
    if write.owner == owner or write.lands_by is not None:
        return write
    return replace(write, lands_by=now + LANDING_S)
