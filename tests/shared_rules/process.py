"""What one process can do next, cut into steps that nobody can look into.

Such a step is one change of the record (its read and its compare-and-swap are one: a change whose read was stale starts
over), one system call on the gate, or one message. Between two of them anybody else may take any number of steps, and a
process may take none for ever: nothing is assumed about speed. It is free to do more than the keeper does, so that what
holds here holds there too; what it does not have to do is not `due`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shared_rules.coarse import after_answer, after_death, after_entry, maybe, sure
from shared_rules.state import LATE, RESTARTED, At, Process, Shared, Step

from protectwork._types import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a process finds: the gate as the other one has it, what both share, and which rule is dropped (0: none)."""

    held: bool  # shared, by the other one
    closed: bool  # exclusively, by the other one
    shared: Shared
    dropped: int


def steps(me: Process, around: Around) -> Iterator[Step]:
    """Every step that this process can take next."""
    shared, left = around.shared, around.shared.left
    if me.alive:
        yield from _work(me, around)
        yield from _keeper(me, around)
        if left.crashes:  # the kernel opens the gate; what was entered stays, and what was sent may land
            after = shared._replace(dead=me.name, left=left._replace(crashes=left.crashes - 1))
            yield Step("dies", Process(me.name, alive=False), after, due=False)
    elif left.restarts:
        after = shared._replace(left=left._replace(restarts=left.restarts - 1))
        yield Step("starts in its place", Process(RESTARTED), after, due=False)


# -- the threads that work


def _work(me: Process, around: Around) -> Iterator[Step]:
    """Holds begin, look and end at any moment, whatever the keeper is doing."""
    shared, left = around.shared, around.shared.left
    if left.holds:
        after = shared._replace(left=left._replace(holds=left.holds - 1))
        text = "begins a hold" + (", confirmed at once" if me.confirmed else "")
        yield Step(text, me._replace(holds=me.holds + 1), after, due=False)
    if me.holds:
        yield Step("ends a hold", me._replace(holds=me.holds - 1), shared, due=False)
        if me.at != "unlocking":  # whoever clears and unlocks has the process's own lock
            yield from _looks(me, around)


def _looks(me: Process, around: Around) -> Iterator[Step]:
    """Take the gate first, then read the record (rule 6)."""
    record_sure = sure(around.shared.record)
    if not me.gate and not me.exclusive and not around.closed:
        yield _joins(me, around.shared)
    if me.gate and not me.confirmed and record_sure:
        yield Step("reads the record: sure, so confirmed", me._replace(confirmed=True), around.shared)
    if around.dropped == 6 and not me.gate and not me.misled and record_sure:
        yield Step("reads the record, before it has the gate: sure", me._replace(misled=True), around.shared)


def _joins(me: Process, shared: Shared) -> Step:
    text = "takes the gate shared" + (", and is confirmed" if me.misled else "")
    return Step(text, me._replace(gate=True, confirmed=me.confirmed or me.misled, misled=False), shared)


# -- the keeper


def _keeper(me: Process, around: Around) -> Iterator[Step]:
    match me.at:
        case "idle":
            yield from _reconciles(me, around)
        case "unlocking":
            yield _unlocks(me, around)
        case "trying":
            yield _tries(me, around)
        case "turned away":
            yield _helps(me, around)
        case "exclusive":
            yield from _alone(me, around)
        case "sending":
            yield _sends(me, around)
        case "entering":
            yield _begins(me, around, "enters it only now", enabling=me.enabling)
        case "awaiting":
            yield from _answers(me, around)
        case "leaving":
            yield Step("lets go of exclusive", me._replace(exclusive=False, at="idle"), around.shared)


def _reconciles(me: Process, around: Around) -> Iterator[Step]:
    yield from _buries(me, around)
    if me.gate:
        yield from _inside(me, around)
    elif me.holds:
        yield from _outside(me, around)
    else:
        yield from _watches(me, around)


def _buries(me: Process, around: Around) -> Iterator[Step]:
    shared = around.shared
    write = shared.record.of(shared.dead)
    if write and write.awaited:
        record = after_death(shared.record, owner=shared.dead, dropped=around.dropped)
        yield Step("finds the owner of an open write dead", me, shared._replace(record=record))


def _inside(me: Process, around: Around) -> Iterator[Step]:
    """With the gate held: renew or enable, for itself or for others; without a hold, give up."""
    shared, left = around.shared, around.shared.left
    if not me.holds:
        yield _gives_up(me, around)
    if sure(shared.record):
        if left.renewals:
            step = _begins(me, around, "enters a renewal", enabling=True)
            left = left._replace(renewals=left.renewals - 1)
            yield step._replace(shared=step.shared._replace(left=left), due=False)
    elif not me.misled:
        yield _begins(me, around, "enters an enable", enabling=True)._replace(due=me.holds > 0)


def _outside(me: Process, around: Around) -> Iterator[Step]:
    """While somebody sits on the gate who may be stopped, enable without (rule 7)."""
    if around.closed or (around.dropped == 4 and not me.misled):
        yield _begins(me, around, "enters an enable, without the gate", enabling=True)._replace(due=False)


def _watches(me: Process, around: Around) -> Iterator[Step]:
    """Without a hold: nobody holds the gate and maybe protected, so disable; somebody does and not sure, so help."""
    shared = around.shared
    if not maybe(shared.record) and not shared.record.writes:
        return
    if around.held and (shared.left.renewals or not sure(shared.record)):
        yield Step("finds that somebody holds the gate", me._replace(at="turned away"), shared, due=False)
    if not around.held and not around.closed and maybe(shared.record):
        yield _tries(me, around)


# -- the gate


def _gives_up(me: Process, around: Around) -> Step:
    if around.dropped == 5:
        return Step("has no hold: unlocks the gate", me._replace(gate=False, at="unlocking"), around.shared)
    given_up = me._replace(confirmed=False, misled=False, at="unlocking")
    return Step("has no hold: clears `confirmed`", given_up, around.shared)


def _unlocks(me: Process, around: Around) -> Step:
    if around.dropped == 5:
        return Step("clears `confirmed`", me._replace(confirmed=False, at="trying"), around.shared)
    return Step("unlocks the gate", me._replace(gate=False, at="trying"), around.shared)


def _tries(me: Process, around: Around) -> Step:
    if me.gate or around.held or around.closed:  # its own hold may have arrived meanwhile
        return Step("does not get the gate exclusively", me._replace(at="idle"), around.shared)
    return Step("takes the gate exclusively", me._replace(exclusive=True, at="exclusive"), around.shared)


def _helps(me: Process, around: Around) -> Step:
    if around.dropped == 4:
        return _begins(me, around, "enters an enable for them, without the gate", enabling=True)
    if me.gate or around.closed:
        return Step("looks no further", me._replace(at="idle"), around.shared)
    return _joins(me._replace(at="idle"), around.shared)


def _alone(me: Process, around: Around) -> Iterator[Step]:
    """With exclusive: disable what may be protected. A hold that arrived meanwhile may be noticed, or not yet."""
    needed = maybe(around.shared.record)
    if needed:
        yield _begins(me, around, "enters a disable", enabling=False)
    if me.holds or not needed:
        yield Step("lets go of exclusive", me._replace(exclusive=False, at="idle"), around.shared)


# -- a call


def _begins(me: Process, around: Around, text: str, *, enabling: bool) -> Step:
    shared, late = around.shared, me.at == "entering"
    if around.dropped == 1 and not late:
        return Step("decides to send first", me._replace(at="sending", enabling=enabling), shared)
    record = after_entry(shared.record, number=me.name, is_enable=enabling, dropped=around.dropped)
    at: At = "awaiting" if late else "sending"
    return Step(text, me._replace(at=at, enabling=enabling), shared._replace(record=record))


def _sends(me: Process, around: Around) -> Step:
    air = tuple(sorted((*around.shared.air, (me.name, me.enabling))))
    at: At = "entering" if around.dropped == 1 else "awaiting"
    return Step("sends it", me._replace(at=at), around.shared._replace(air=air))


def _answers(me: Process, around: Around) -> Iterator[Step]:
    """ECS says yes to what has landed and no to what never will; and now and then nobody knows."""
    shared, left = around.shared, around.shared.left
    if shared.flying(me.name):
        yield _resolves(me, around, shared.without(me.name), outcome=Outcome.REFUSED)
    else:
        yield _resolves(me, around, shared, outcome=Outcome.CONFIRMED)
    if left.ambiguous:
        late = LATE + left.ambiguous
        air = tuple(sorted((late if number == me.name else number, kind) for number, kind in shared.air))
        after = shared._replace(air=air, left=left._replace(ambiguous=left.ambiguous - 1))
        yield _resolves(me, around, after, outcome=Outcome.AMBIGUOUS, late=late)


def _resolves(me: Process, around: Around, after: Shared, *, outcome: Outcome, late: int = 0) -> Step:
    """Note the answer; what came of it is believed if the gate is held, and the record says sure."""
    record = after_answer(after.record, number=me.name, outcome=outcome, late=late, dropped=around.dropped)
    confirms, now_sure = me.enabling and outcome is Outcome.CONFIRMED, sure(record)
    me, after = me._replace(at="idle" if me.enabling else "leaving", enabling=False), after._replace(record=record)
    if confirms and now_sure and (me.gate or around.dropped == 7):
        return Step("is answered: confirmed, and believes it", me._replace(confirmed=True), after)
    misled = me.misled or (confirms and _misled(me, around, now_sure=now_sure))
    return Step(f"is answered: {outcome}", me._replace(misled=misled), after)


def _misled(me: Process, around: Around, *, now_sure: bool) -> bool:
    """What the dropped rule would have kept this process from believing.

    Rule 4 is what lets an own clean enable count. Who trusts nothing but the record, read after the gate is held, might
    enable without the gate: a record that says sure is true in every state, whoever holds what.
    """
    if around.dropped == 4:  # its own enable was clean: that will do, once it has the gate
        return now_sure
    write = around.shared.record.of(around.shared.dead)
    over_a_disable = write is not None and not write.is_enable
    return around.dropped == 8 and me.gate and over_a_disable and not now_sure  # ECS said yes: why ask again?
