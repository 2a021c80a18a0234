"""The book: what a process does with the record when the state is lost, replaced or cannot be written."""

from __future__ import annotations

import random
import time

import pytest
from virtual_task import Commons, State

from protectwork import ProtectionManager, Settings
from protectwork._book import Book
from protectwork._governor import Governor
from protectwork._ledger import LoneState, StateError, kernel
from protectwork._record_text import decoded
from protectwork._standing import Standing
from protectwork._steps import Answered, Call, Demand, HoldBegan, Policy, Probe, Send
from protectwork._types import Answer, Outcome
from protectwork.testing import RecordingBackend

WORK = Demand(in_flight=1, oldest=100.0)
NOBODY = Demand(gated=False)


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


def opened(state, clock: Clock, *, policy: Policy | None = None) -> Book:
    book = Book(policy or Policy(), random.Random(1), now=lambda: clock.now)
    book.open(state, scope="task")
    return book


@pytest.fixture
def two(clock: Clock) -> tuple[Book, Full, Book, Full]:
    """Two processes of one task that release at once; the record can be written."""
    commons = Commons()
    states = Full(commons, "a" * 12), Full(commons, "b" * 12)
    for state in states:
        state.full = False
    one, other = (opened(state, clock, policy=Policy(linger_s=0.0)) for state in states)
    return one, states[0], other, states[1]


def work(clock: Clock) -> Demand:
    """Work that begins now."""
    return Demand(in_flight=1, oldest=clock.now)


def calls(book: Book, demand: Demand) -> list[Call]:
    """What it sends now, and waits for the answer to."""
    return [action.call for action in book.turn(demand) if isinstance(action, Send)]


def answer(book: Book, demand: Demand, clock: Clock, outcome: Outcome = Outcome.CONFIRMED, **said) -> None:
    said.setdefault("protected", demand.in_flight > 0)
    book.answer(demand, Answered(answer=Answer(outcome=outcome, sent_at=clock.now, task_arn="t", **said)))


def take_lease(book: Book, clock: Clock, demand: Demand = WORK) -> list[Call]:
    """Begin to work, and have ECS confirm whatever is asked."""
    book.arrive(demand, lambda demand: HoldBegan(demand=demand))
    made = []
    for _ in range(4):
        sends = calls(book, demand)
        made += sends
        if sends:
            answer(book, demand, clock, protected=sends == [Call.ENABLE])
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


def released_by(other: Book, clock: Clock) -> None:
    clock.now += 3.0
    assert calls(other, Demand()) == [Call.DISABLE]
    answer(other, Demand(), clock)
    clock.now += 1.0


def test_who_cannot_write_its_release_is_sure_of_nothing_when_work_comes_back(two, clock: Clock) -> None:
    one, disk, other, _ = two
    take_lease(one, clock)
    disk.full = True
    assert calls(one, Demand(idle_since=clock.now)) == []
    disk.full = False
    released_by(other, clock)
    one.arrive(work(clock), lambda demand: HoldBegan(demand=demand))
    assert not one.lease.sure(clock.now)


def test_the_very_turn_that_leaves_the_gate_with_a_record_in_memory_keeps_no_certainty(two, clock: Clock) -> None:
    one, disk, other, _ = two
    demand = work(clock)
    take_lease(one, clock, demand)
    disk.full = True
    clock.now += 3600.0
    assert calls(one, demand) == [Call.ENABLE]
    answer(one, demand, clock)
    assert one.lease.sure(clock.now)
    disk.full = False
    clock.now += 5.0
    assert calls(one, Demand(idle_since=clock.now)) == []
    released_by(other, clock)
    one.arrive(work(clock), lambda demand: HoldBegan(demand=demand))
    assert not one.lease.sure(clock.now)


def test_who_steps_into_the_gate_with_a_record_in_memory_sees_what_others_have_written(two, clock: Clock) -> None:
    one, disk, other, _ = two
    take_lease(one, clock)
    disk.full = True
    calls(one, Demand(idle_since=clock.now))
    clock.now += 2.0
    assert calls(other, Demand()) == [Call.DISABLE]
    answer(other, Demand(), clock, Outcome.AMBIGUOUS)
    clock.now += 1.0
    demand = work(clock)
    one.arrive(demand, lambda demand: HoldBegan(demand=demand))
    assert calls(one, demand) == [Call.ENABLE]
    answer(one, demand, clock)
    assert not one.lease.sure(clock.now), "the disable may still land"
    for _ in range(20):
        clock.now += 1.0
        if calls(one, demand):
            answer(one, demand, clock)
    assert one.lease.sure(clock.now)


def test_who_steps_into_the_gate_with_a_record_in_memory_shares_the_lease_that_another_wrote(two, clock: Clock) -> None:
    one, disk, other, _ = two
    disk.full = True
    take_lease(one, clock)
    calls(one, Demand(idle_since=clock.now))
    clock.now += 2.0
    take_lease(other, clock, work(clock))
    one.arrive(work(clock), lambda demand: HoldBegan(demand=demand))
    assert one.lease.sure(clock.now)


def test_a_lease_that_others_cannot_read_of_counts_for_no_longer_than_their_shortest(two, clock: Clock) -> None:
    one, disk, *_ = two
    disk.full = True
    demand = work(clock)
    take_lease(one, clock, demand)
    began = clock.now - 3.0
    assert one.lease.sure(began + 57.9)
    assert not one.lease.sure(began + 58.0)
    assert calls(one, demand) == []
    clock.now = began + 31.0
    assert calls(one, demand) == [Call.ENABLE]


def test_an_enable_that_cannot_be_written_is_not_shorter_than_what_was_written_meanwhile(two, clock: Clock) -> None:
    one, disk, other, _ = two
    one.lease.policy, disk.full = Policy(lease_s=60.0), True
    demand = work(clock)
    take_lease(one, clock, demand)
    clock.now += 22.0
    theirs = work(clock)
    other.arrive(theirs, lambda demand: HoldBegan(demand=demand))
    while Call.ENABLE not in (made := calls(other, theirs)):
        answer(other, theirs, clock, protected=False) if made else None
        clock.now += 0.25
    answer(other, theirs, clock, Outcome.AMBIGUOUS)
    while not (sends := [action for action in one.turn(demand) if isinstance(action, Send)]):
        clock.now += 0.25
    assert clock.now < one._repair_at - 1.0, "before it looks anyway whether the record can be written again"
    assert [send.minutes for send in sends] == [120]


def test_what_is_sure_stays_so_while_it_is_tried_in_vain_to_write_it(two, clock: Clock) -> None:
    one, disk, other, _ = two
    take_lease(other, clock)
    assert calls(other, Demand(idle_since=clock.now)) == [Call.DISABLE]
    answer(other, Demand(), clock)
    disk.full = True
    clock.now += 1.0
    demand = work(clock)
    assert take_lease(one, clock, demand) == [Call.ENABLE]
    for _ in range(300):
        clock.now += 1.0
        if calls(one, demand):
            assert one.lease.sure(clock.now)
            answer(one, demand, clock)
        assert one.lease.sure(clock.now)


def test_the_answered_write_of_another_is_not_awaited_for_ever(two, clock: Clock) -> None:
    one, disk, other, _ = two
    take_lease(other, clock)
    idle = Demand(idle_since=clock.now)
    assert calls(other, idle) == [Call.DISABLE]
    disk.full = True
    demand = work(clock)
    one.arrive(demand, lambda demand: HoldBegan(demand=demand))  # the gate is taken
    assert calls(one, demand) == []
    assert one.lease.record.writes
    disk.full = False
    answer(other, idle, clock)
    one.arrive(demand, lambda demand: HoldBegan(demand=demand))
    asked = 0
    for _ in range(120):
        clock.now += 1.0
        if calls(one, demand):
            asked += 1
            answer(one, demand, clock)
    assert one.lease.sure(clock.now)
    assert asked <= 2, "once at once, and once when all has landed"


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


def test_of_two_processes_one_enters_the_question_about_the_deployment_and_both_learn_the_answer(clock: Clock) -> None:
    commons = Commons()
    one, other = (opened(State(commons, owner * 12), clock) for owner in "ab")
    assert one.stand(lambda standing: standing.claimed(clock.now))
    assert not other.stand(lambda standing: standing.claimed(clock.now + 299.0))
    assert one.stand(lambda standing: standing.answered(superseded=True))
    other.turn(Demand(gated=False))
    assert other.lease.record.standing == Standing(asked_at=clock.now, superseded=True)
    assert other.stand(lambda standing: standing.claimed(clock.now + 300.0))


def test_before_it_is_known_who_shares_the_state_nothing_is_entered(clock: Clock) -> None:
    book = Book(Policy(), random.Random(1), now=lambda: clock.now)
    assert not book.stand(lambda standing: standing.claimed(clock.now))


def test_the_record_is_still_needed_while_nobody_may_ask_about_the_deployment_again(clock: Clock) -> None:
    class Closing(State):
        spent = None

        def close(self, *, spent=False):
            self.spent = spent

    for later_s, spent in ((299.0, False), (300.0, True)):
        state = Closing(Commons(), "a" * 12)
        book = opened(state, clock)
        assert book.stand(lambda standing: standing.claimed(clock.now))
        clock.now += later_s
        book.close()
        assert state.spent is spent


def probing(clock: Clock, commons: Commons) -> Book:
    """A process that does nothing but to ask whether it may change the protection; it knows that there is none."""
    book = opened(State(commons, "d" * 12), clock, policy=Policy(linger_s=900.0))
    book.lease.step(clock.now, Probe())
    assert calls(book, NOBODY) == [Call.GET]
    book.answer(NOBODY, Answered(answer=Answer(outcome=Outcome.CONFIRMED, protected=False)))
    clock.now += 1.0
    return book


def test_a_probe_disables_what_nothing_protects_once_and_costs_no_release(clock: Clock) -> None:
    book = probing(clock, Commons())
    assert calls(book, NOBODY) == [Call.DISABLE]
    book.answer(NOBODY, Answered(answer=Answer(outcome=Outcome.CONFIRMED, protected=False)))
    clock.now += 100.0
    assert calls(book, NOBODY) == []
    assert book.lease.record.pace.governor == Governor()


def test_a_probe_sends_nothing_while_somebody_holds(clock: Clock) -> None:
    commons = Commons()
    book = probing(clock, commons)
    other = opened(State(commons, "a" * 12), clock)
    other.arrive(work(clock), lambda demand: HoldBegan(demand=demand))
    assert calls(book, NOBODY) == []
    other.state.leave()
    assert calls(book, NOBODY) == [Call.DISABLE]


def test_a_probe_leaves_alone_what_somebody_has_protected(clock: Clock) -> None:
    book = opened(State(Commons(), "d" * 12), clock, policy=Policy(linger_s=900.0))
    book.lease.step(clock.now, Probe())
    assert calls(book, NOBODY) == [Call.GET]
    book.answer(NOBODY, Answered(answer=Answer(outcome=Outcome.CONFIRMED, protected=True), left_s=3600.0))
    clock.now += 10.0
    assert calls(book, NOBODY) == []
    assert not book.lease.acts_by(clock.now + 60.0)


def test_work_that_begins_after_a_probe_without_an_answer_is_sure_only_when_that_has_landed(clock: Clock) -> None:
    commons = Commons()
    book = probing(clock, commons)
    assert calls(book, NOBODY) == [Call.DISABLE]
    book.answer(NOBODY, Answered(answer=Answer(outcome=Outcome.AMBIGUOUS, sent_at=clock.now)))
    landed_at = clock.now + 12.0
    other = opened(State(commons, "a" * 12), clock)
    demand = work(clock)
    other.arrive(demand, lambda demand: HoldBegan(demand=demand))
    while not other.lease.sure(clock.now):
        assert clock.now < landed_at + 5.0
        if calls(other, demand):
            other.answer(demand, Answered(answer=Answer(outcome=Outcome.CONFIRMED, protected=True)))
        clock.now += 0.5
    assert clock.now >= landed_at


def test_a_fault_as_the_keeper_ends_makes_nobody_wait(tmp_path, monkeypatch) -> None:
    tmp_path.chmod(0o700)
    backend = RecordingBackend()
    manager = ProtectionManager(backend, settings=Settings(state_dir=str(tmp_path), linger=0))
    with manager.protect():
        pass
    assert manager.drain(5)

    def fault(name: str) -> None:
        raise ZeroDivisionError(name)

    monkeypatch.setattr(kernel, "hook", fault)
    began = time.monotonic()
    manager._keeper.close(60.0)
    assert time.monotonic() - began < 30.0
