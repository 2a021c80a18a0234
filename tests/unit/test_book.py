"""The book: what a process does with the record when the state is lost, replaced or cannot be written."""

from __future__ import annotations

import random

import pytest
from virtual_task import Commons, State

from protectwork._book import Book
from protectwork._ledger import LoneState, StateError
from protectwork._record_text import decoded
from protectwork._steps import Answered, Call, Demand, HoldBegan, Policy, Send
from protectwork._types import Answer, Outcome

WORK = Demand(in_flight=1, oldest=100.0)


class Clock:
    now = 100.0


class Full(State):
    """A state whose record cannot be written while `full`."""

    full = True

    def commit(self, after, text):
        if self.full:
            raise StateError("No space left on device (ENOSPC)")
        return super().commit(after, text)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(state, clock: Clock) -> Book:
    book = Book(Policy(), random.Random(1), now=lambda: clock.now)
    book.open(state, scope="task")
    return book


def take_lease(book: Book, clock: Clock) -> list[Call]:
    """Begin to work, and have ECS confirm whatever is asked."""
    book.arrive(WORK, lambda demand: HoldBegan(demand=demand))
    made = []
    for _ in range(4):
        sends = [action.call for action in book.turn(WORK) if isinstance(action, Send)]
        made += sends
        if sends:
            answer = Answer(
                outcome=Outcome.CONFIRMED, protected=sends == [Call.ENABLE], sent_at=clock.now, task_arn="t"
            )
            book.answer(WORK, Answered(answer=answer))
        clock.now += 1.0
    return made


def test_who_has_lost_sight_of_the_others_never_ends_protection_and_looks_for_them_again(clock: Clock) -> None:
    book = opened(State(Commons(), "a" * 12), clock)
    book.open(LoneState(trouble="gone"), scope="task")
    assert not book.lease.identity.releases
    assert book.look(), "not at once"
    clock.now += 31.0
    assert not book.look()
    book.open(State(Commons(), "b" * 12), scope="task")
    assert book.lease.identity.releases


def test_who_was_always_alone_ends_its_own_protection_and_tries_to_share_again(clock: Clock) -> None:
    book = opened(LoneState(trouble="no directory"), clock)
    assert book.lease.identity.releases
    assert book.look(), "not at once"
    clock.now += 31.0
    assert not book.look()


def test_who_wants_to_be_alone_stays_alone(clock: Clock) -> None:
    book = opened(LoneState(), clock)
    clock.now += 31.0
    assert book.look()


def test_what_cannot_be_written_down_is_no_reason_to_release(clock: Clock) -> None:
    commons = Commons()
    state = Full(commons, "a" * 12)
    state.full = False
    book = opened(state, clock)
    take_lease(book, clock)
    state.full = True
    idle = Demand(idle_since=clock.now)
    for _ in range(5):
        clock.now += 10.0
        assert not [action for action in book.turn(idle) if isinstance(action, Send)]
    state.full = False
    clock.now += 31.0
    assert [action.call for action in book.turn(idle) if isinstance(action, Send)] == [Call.DISABLE]


def test_a_record_that_cannot_be_written_is_kept_in_memory_and_brought_in_later(clock: Clock) -> None:
    commons = Commons()
    state = Full(commons, "a" * 12)
    book = opened(state, clock)
    assert take_lease(book, clock) == [Call.GET, Call.ENABLE]
    assert book.lease.sure(clock.now), "the gate still tells who is busy"
    assert book.trouble == "No space left on device (ENOSPC)"
    assert commons.head.number == -1
    state.full = False
    clock.now += 31.0
    book.turn(WORK)
    assert book.trouble is None
    record = decoded(commons.head.text or "", now=clock.now, boot=book.lease.identity.boot)
    assert record is not None
    assert record.maybe_until > clock.now + 3600.0


def test_who_leaves_the_gate_while_the_record_is_in_memory_is_sure_of_nothing_afterwards(clock: Clock) -> None:
    book = opened(Full(Commons(), "a" * 12), clock)
    take_lease(book, clock)
    idle = Demand(idle_since=clock.now)
    for _ in range(3):
        clock.now += 40.0
        book.turn(idle)
    book.arrive(Demand(in_flight=1, oldest=clock.now), lambda demand: HoldBegan(demand=demand))
    assert not book.lease.sure(clock.now), "another process may have disabled meanwhile, and could not write it either"


def test_what_others_wrote_while_this_process_was_stopped_is_believed(clock: Clock) -> None:
    commons = Commons()
    first, second = opened(State(commons, "a" * 12), clock), opened(State(commons, "b" * 12), clock)
    now = clock.now

    class Stopped(State):
        def read(self):
            take_lease(first, clock)  # all of it passes between the clock's last reading and the record's
            return super().read()

    second.state = second._record_state = Stopped(commons, "b" * 12)
    second.arrive(WORK, lambda demand: HoldBegan(demand=demand))
    assert clock.now > now + 3.0
    assert second.lease.record.granted is not None
