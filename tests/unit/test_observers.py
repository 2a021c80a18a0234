"""Observers that raise, hang, or use the manager hurt nothing; the default one writes a line per change of state."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from programs import run

from protectwork import (
    AdmissionClosed,
    AdmissionOpened,
    Answer,
    CallFinished,
    Event,
    Hold,
    HoldOverran,
    LeaseAtRisk,
    LeaseConfirmed,
    LeaseLost,
    LeaseRecovered,
    LeaseRefused,
    LeaseReleased,
    LeaseRenewed,
    Outcome,
    ProtectionManager,
    Settings,
    SettingsError,
    State,
)
from protectwork._observers import LoggingObserver
from protectwork.testing import FakeAgent, FakeClock, RecordingBackend

UNAVAILABLE = Answer(outcome=Outcome.UNAVAILABLE, reason="connection refused")


class Heard:
    """An observer that keeps what it hears, and can be waited for."""

    def __init__(self, then: Callable[[Event], object] = lambda _: None) -> None:
        self.events: list[Event] = []
        self._then = then
        self._changed = threading.Condition()

    def on_event(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()
        self._then(event)

    def kinds(self, count: int) -> list[type]:
        """The kinds of the first events, as soon as there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.events) >= count, 10), self.events
            return [type(event) for event in self.events]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend(clock) -> RecordingBackend:
    return RecordingBackend(clock=clock)


@pytest.fixture
def manager(clock, backend) -> Iterator[ProtectionManager]:
    """A manager in fake time, which has asked its GET."""
    with ProtectionManager(backend, settings=Settings(), clock=clock) as manager:
        manager.start()
        clock.advance(10)
        yield manager
        clock.advance(60)


@pytest.fixture
def off() -> Iterator[ProtectionManager]:
    """A manager whose only events are those of its admission."""
    with ProtectionManager(settings=Settings(backend="off")) as manager:
        yield manager


@pytest.fixture
def hanging() -> Iterator[Callable[[Event], object]]:
    """Hangs until the test is over."""
    over = threading.Event()
    yield lambda _: over.wait(30)
    over.set()


CALLED = ["get", "enable", "enable", "enable", "enable"]
TOLD = [CallFinished, LeaseConfirmed, *[CallFinished, LeaseRenewed] * 3]


def three_hours(manager: ProtectionManager, clock: FakeClock, backend: RecordingBackend) -> None:
    """Three hours of work, and the calls that they cost whatever observers do."""
    with manager.protect() as hold:
        clock.advance(3 * 3600)
        assert hold.confirmed
    assert [call.name for call in backend.calls] == CALLED


def raising(error: type[BaseException]) -> Callable[[Event], object]:
    def raise_it(event: Event) -> None:
        raise error(f"at {type(event).__name__}")

    return raise_it


class OwnExit(BaseException):
    """As pytest and gevent have them."""


@pytest.mark.parametrize("error", [LookupError, SystemExit, KeyboardInterrupt, GeneratorExit, OwnExit])
def test_a_raising_observer_hears_every_event_and_disturbs_neither_calls_nor_others(
    manager, clock, backend, error
) -> None:
    bad, good = Heard(raising(error)), Heard()
    manager.subscribe(bad)
    manager.subscribe(good)
    three_hours(manager, clock, backend)
    assert bad.kinds(8) == good.kinds(8) == TOLD


def test_a_raising_observer_is_told_of_once(off, caplog) -> None:
    bad = Heard(raising(LookupError))
    off.subscribe(bad)
    for number in range(50):
        off.admission.close(f"{number}")
        off.admission.reopen(f"{number}")
    bad.kinds(100)
    good = Heard()
    off.subscribe(good)
    off.admission.close("the last")
    good.kinds(1)
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in told] == ["an observer of protectwork raised"]
    assert "LookupError: at AdmissionClosed" in caplog.text


def test_a_hanging_observer_delays_neither_calls_nor_others(manager, clock, backend, hanging) -> None:
    bad, good = Heard(hanging), Heard()
    manager.subscribe(bad)
    manager.subscribe(good)
    three_hours(manager, clock, backend)
    assert good.kinds(8) == TOLD
    assert bad.kinds(1) == [CallFinished]


def test_events_that_a_hanging_observer_leaves_waiting_are_bounded(off, hanging) -> None:
    bad = Heard(hanging)
    off.subscribe(bad)
    for number in range(600):
        off.admission.close(f"{number}")
        off.admission.reopen(f"{number}")
    [subscriber] = [one for one in off._observers._subscribers.values() if one.observer is bad]
    assert len(subscriber._letters) == 1000
    assert bad.kinds(1) == [AdmissionClosed]


def test_an_observer_may_use_the_manager(manager, clock, backend) -> None:
    states: list[State] = []

    def use(event: Event) -> None:
        if isinstance(event, LeaseRenewed):
            with manager.protect("by an observer") as hold:
                states.append(manager.status().state)
                assert hold.confirmed
        manager.admission.close("again")
        manager.subscribe(third)

    first, third = Heard(use), Heard()
    manager.subscribe(first)
    three_hours(manager, clock, backend)
    manager.admission.reopen("again")
    first.kinds(8)
    assert third.kinds(3)
    assert states == [State.PROTECTED] * len(states)
    assert states


def test_an_observer_that_drains_and_closes_the_manager_ends_only_itself(off) -> None:
    observer = Heard(lambda _: (off.drain(0), off.close()))
    off.subscribe(observer)
    off.admission.close("for a moment")
    assert observer.kinds(1) == [AdmissionClosed]
    with off.protect():
        assert off.status().in_flight == 1


def test_every_observer_hears_in_order(off) -> None:
    observers = [Heard() for _ in range(5)]
    for observer in observers:
        off.subscribe(observer)
    reasons = [f"{number}" for number in range(100)]
    for reason in reasons:
        off.admission.close(reason)
        off.admission.reopen(reason)
    for observer in observers:
        observer.kinds(200)
        assert [event.reason for event in observer.events if isinstance(event, AdmissionClosed)] == reasons
        assert observer.events[1::2] == [AdmissionOpened()] * 100


def test_an_observer_hears_once_however_often_it_subscribes(off) -> None:
    observer, last = Heard(), Heard()
    ends = [off.subscribe(observer) for _ in range(3)]
    off.subscribe(last)
    off.admission.close("a reason")
    last.kinds(1)
    assert observer.kinds(1) == [AdmissionClosed]
    ends[0]()
    off.admission.reopen("a reason")
    last.kinds(2)
    assert observer.kinds(1) == [AdmissionClosed]


def test_observers_that_compare_equal_are_two(off) -> None:
    class Same(Heard):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Same)

        __hash__ = None

    one, other = Same(), Same()
    off.subscribe(one)
    off.subscribe(other)
    off.admission.close("a reason")
    assert one.kinds(1) == other.kinds(1) == [AdmissionClosed]


def test_after_unsubscribing_nothing_more_is_delivered_not_even_what_waits(off) -> None:
    ends: list[Callable[[], object]] = []
    entered, go_on = threading.Event(), threading.Event()

    def wait(_: Event) -> None:
        entered.set()
        go_on.wait(10)

    observer, last = Heard(wait), Heard()
    ends.append(off.subscribe(observer))
    off.subscribe(last)
    off.admission.close("a reason")
    entered.wait(10)
    off.admission.reopen("a reason")
    ends[0]()
    again = Heard()
    off.subscribe(again)
    go_on.set()
    off.admission.close("another")
    again.kinds(1)
    last.kinds(3)
    assert observer.kinds(1) == [AdmissionClosed]


def test_an_observer_may_unsubscribe_itself_and_subscribe_again(off) -> None:
    ends: list[Callable[[], object]] = []
    observer, last = Heard(lambda _: ends[0]()), Heard()
    ends.append(off.subscribe(observer))
    off.subscribe(last)
    for number in range(3):
        off.admission.close(f"{number}")
        observer.kinds(1)
        last.kinds(2 * number + 1)
        off.admission.reopen(f"{number}")
        last.kinds(2 * number + 2)
    assert observer.kinds(1) == [AdmissionClosed]
    off.subscribe(observer)
    ends[0]()  # has ended already: it ends nothing that began later
    off.admission.close("again")
    assert observer.kinds(2) == [AdmissionClosed] * 2


def test_observers_that_subscribe_at_the_same_time_are_all_heard(off) -> None:
    observers = [Heard() for _ in range(200)]
    barrier = threading.Barrier(8)

    def subscribe(number: int) -> None:
        barrier.wait(10)
        for observer in observers[number::8]:
            off.subscribe(observer)

    threads = [threading.Thread(target=subscribe, args=(number,)) for number in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    finally:
        sys.setswitchinterval(interval)
    off.admission.close("a reason")
    assert [observer.kinds(1) for observer in observers] == [[AdmissionClosed]] * 200


@pytest.mark.parametrize("observer", [None, 5, print, Heard])
def test_what_is_no_observer_cannot_subscribe(off, observer) -> None:
    with pytest.raises(SettingsError, match=r"^observer must be an object with on_event\(event\), got "):
        off.subscribe(observer)


def test_no_thread_stands_idle_between_events(off) -> None:
    observer = Heard()
    off.subscribe(observer)
    for number in range(50):
        off.admission.close(f"{number}")
        observer.kinds(2 * number + 1)
        off.admission.reopen(f"{number}")
        observer.kinds(2 * number + 2)
    for thread in threading.enumerate():
        if thread.name == "protectwork-observer":
            thread.join(10)
            assert not thread.is_alive()


# --- on_lost


@pytest.mark.parametrize("error", [LookupError, SystemExit])
def test_an_on_lost_callback_that_raises_or_hangs_hurts_nothing(manager, clock, backend, hanging, error) -> None:
    called = [threading.Event() for _ in range(3)]

    def note(number: int, then: Callable[[], object]) -> Callable[[object], object]:
        return lambda _: (called[number].set(), then())

    with contextlib.ExitStack() as stack:
        stack.enter_context(manager.protect(on_lost=note(0, lambda: raising(error)(LeaseReleased()))))
        stack.enter_context(manager.protect(on_lost=note(1, lambda: hanging(LeaseReleased()))))
        third = stack.enter_context(manager.protect(on_lost=note(2, lambda: None)))
        backend.answer_next(UNAVAILABLE, times=10_000)
        clock.advance(7300)
        assert third.lost
        assert all(event.wait(10) for event in called)
        backend._script.clear()
        clock.advance(66)
        assert third.confirmed
        assert backend.protected
    assert manager.status().in_flight == 0


def lose(manager: ProtectionManager, clock: FakeClock, backend: RecordingBackend) -> None:
    """Let the lease run out under what is in flight."""
    backend.answer_next(UNAVAILABLE, times=10_000)
    clock.advance(7300)
    assert manager.status().state is State.LOST


def test_a_hundred_holds_that_are_lost_at_once_start_few_threads(manager, clock, backend) -> None:
    before, seen, lost = threading.active_count(), [], []
    all_lost, working = threading.Event(), threading.Event()

    def note(hold: Hold) -> None:
        seen.append(threading.active_count() - before)
        working.wait(0.005)  # as work does; so that threads that are started all at once are seen together
        lost.append(hold)
        if len(lost) == 100:
            all_lost.set()

    with contextlib.ExitStack() as stack:
        holds = [stack.enter_context(manager.protect(on_lost=note)) for _ in range(100)]
        lose(manager, clock, backend)
        assert all_lost.wait(10)
        assert set(lost) == set(holds)
        assert max(seen) < 20


def test_on_lost_callbacks_that_hang_keep_no_other_waiting_for_long(manager, clock, backend, hanging) -> None:
    called = threading.Event()
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(manager.protect(on_lost=hanging))
        stack.enter_context(manager.protect(on_lost=lambda _: called.set()))
        lose(manager, clock, backend)
        assert called.wait(10)


def test_each_on_lost_callback_that_raises_is_told_of(manager, clock, backend, caplog) -> None:
    called = threading.Event()
    with contextlib.ExitStack() as stack:
        for error in (LookupError, SystemExit, OwnExit):
            stack.enter_context(manager.protect(on_lost=raising(error)))
        stack.enter_context(manager.protect(on_lost=lambda _: called.set()))
        lose(manager, clock, backend)
        assert called.wait(10)
    told = [record for record in caplog.records if "on_lost" in record.getMessage()]
    assert [record.levelname for record in told] == ["ERROR"] * 3
    assert [record.exc_info[0] for record in told] == [LookupError, SystemExit, OwnExit]


def test_where_no_more_threads_can_be_started_on_lost_is_called_all_the_same(
    manager, clock, backend, monkeypatch
) -> None:
    called = threading.Event()
    with manager.protect(on_lost=lambda _: called.set()):
        monkeypatch.setattr(threading.Thread, "start", no_more("protectwork-on-lost"))
        lose(manager, clock, backend)
        assert called.wait(10)


# --- no more threads


def no_more(name: str) -> Callable[[threading.Thread], None]:
    """A `Thread.start` that meets the limit at every thread of that name."""
    start = threading.Thread.start

    def start_or_not(thread: threading.Thread) -> None:
        if thread.name == name:
            raise RuntimeError("can't start new thread")
        start(thread)

    return start_or_not


def test_without_threads_a_hanging_observer_does_not_stop_the_renewals(hanging, monkeypatch) -> None:
    clock = FakeClock(patience_s=2)
    backend = RecordingBackend(clock=clock)
    monkeypatch.setattr(threading.Thread, "start", no_more("protectwork-observer"))
    with ProtectionManager(backend, settings=Settings(), clock=clock) as manager:
        bad = Heard(hanging)
        manager.subscribe(bad)
        manager.start()
        clock.advance(10)
        three_hours(manager, clock, backend)
        assert bad.events == []


def test_what_no_thread_could_deliver_is_delivered_with_the_next_event(manager, clock, backend, monkeypatch) -> None:
    observer = Heard()
    manager.subscribe(observer)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more("protectwork-observer"))
        three_hours(manager, clock, backend)
        assert observer.events == []
    manager.admission.close("a reason")
    assert observer.kinds(9) == [*TOLD, AdmissionClosed]


AT_EXIT = """
import atexit, logging, threading
from protectwork import protect

logging.basicConfig(format="%(message)s", level=logging.INFO)
with protect():
    pass

@atexit.register
def as_later_pythons_do():
    threading.Thread.start = lambda thread: refuse()

def refuse():
    raise RuntimeError("can't create new thread at interpreter shutdown")
"""


def test_the_last_line_is_logged_at_an_exit_that_starts_no_thread_any_more() -> None:
    with FakeAgent() as agent:
        done = run(AT_EXIT, **agent.environ())
    assert done.code == 0
    assert done.err.splitlines()[-1] == "no longer protected: nothing is in flight"


# --- the default observer


class Lines(logging.Handler):
    """Keeps what is logged, and can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[tuple[str, str]] = []
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self._lines.append((record.levelname, record.getMessage()))
            self._changed.notify_all()

    def until(self, line: tuple[str, str]) -> list[tuple[str, str]]:
        """All lines, as soon as `line` is the last."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._lines[-1:] == [line], 10), self._lines
            return self._lines


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What protectwork logs from INFO on."""
    logger, lines = logging.getLogger("protectwork"), Lines()
    logger.addHandler(lines)
    before = logger.level
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(lines)
    logger.setLevel(before)


def test_a_busy_day_is_logged_by_its_changes_of_state_alone(manager, clock, lines) -> None:
    for _ in range(1000):
        with manager.protect():
            clock.advance(60)
        clock.advance(5)
    clock.advance(60)
    ended = ("INFO", "no longer protected: nothing is in flight")
    assert lines.until(ended) == [("INFO", "protected for 7198 s"), ended]


REMOTE = Answer(outcome=Outcome.REFUSED, reason="BLOCKED\nERROR all is lost", detail="\x1b[31mred")
REMEDY = (
    "; this will not mend itself: the task role needs ecs:UpdateTaskProtection and ecs:GetTaskProtection,"
    " and ECS's variables must be as ECS set them"
)
LINES: list[tuple[Event, str, str]] = [
    (LeaseConfirmed(slack_s=7198, minutes=120), "INFO", "protected for 7198 s"),
    (LeaseRenewed(slack_s=7198, minutes=120), "DEBUG", "protection renewed for 7198 s"),
    (LeaseReleased(), "INFO", "no longer protected: nothing is in flight"),
    (LeaseLost(in_flight=2), "ERROR", "protection ran out with 2 in flight: ECS may stop this task at any moment"),
    (
        LeaseRecovered(slack_s=7198, minutes=120),
        "WARNING",
        "protected again for 7198 s, after the lease had been lost",
    ),
    (
        LeaseRefused(answer=REMOTE, in_flight=1, slack_s=0),
        "WARNING",
        "cannot be protected (refused: BLOCKED\\nERROR all is lost: \\x1b[31mred); 1 in flight, trying on",
    ),
    (
        LeaseAtRisk(answer=UNAVAILABLE, in_flight=1, slack_s=3500),
        "INFO",
        "cannot renew protection, which lasts 3500 s more (unavailable: connection refused); 1 in flight, trying on",
    ),
    (
        LeaseAtRisk(answer=UNAVAILABLE, in_flight=1, slack_s=500),
        "WARNING",
        "cannot renew protection, which lasts 500 s more (unavailable: connection refused); 1 in flight, trying on",
    ),
    (
        LeaseAtRisk(answer=Answer(outcome=Outcome.MISCONFIGURED, reason="AccessDenied"), in_flight=1, slack_s=0),
        "WARNING",
        "cannot be protected (misconfigured: AccessDenied); 1 in flight, trying on" + REMEDY,
    ),
    (
        LeaseRefused(answer=Answer(outcome=Outcome.NOT_A_SERVICE_TASK), in_flight=1, slack_s=0),
        "WARNING",
        "this task belongs to no service, so it needs no protection; protectwork is off",
    ),
    (
        HoldOverran(label="nightly", max_duration_s=60),
        "WARNING",
        "'nightly' runs longer than its max_duration of 60 s; it stays protected",
    ),
    (
        CallFinished(call="enable", answer=REMOTE, seconds=0.25),
        "DEBUG",
        "enable refused: BLOCKED\\nERROR all is lost: \\x1b[31mred after 0.250 s",
    ),
    (AdmissionClosed(reason="draining\r\n"), "INFO", "admission closed: draining\\r\\n"),
    (AdmissionOpened(), "INFO", "admission open"),
]


@pytest.mark.parametrize(("event", "level", "line"), LINES, ids=[type(event).__name__ for event, _, _ in LINES])
def test_an_event_is_one_printable_line_at_its_level(caplog, event, level, line) -> None:
    caplog.set_level(logging.DEBUG, "protectwork")
    LoggingObserver().on_event(event)
    ours = [record for record in caplog.records if record.thread == threading.get_ident()]  # not of an earlier manager
    assert [(record.levelname, record.getMessage()) for record in ours] == [(level, line)]


def test_a_percent_sign_in_remote_text_is_no_format(caplog) -> None:
    LoggingObserver().on_event(
        LeaseRefused(answer=Answer(outcome=Outcome.REFUSED, reason="100%s"), in_flight=1, slack_s=0)
    )
    assert "100%s" in caplog.messages[0]


@pytest.fixture
def raising_filter() -> Iterator[list[str]]:
    """A filter of the user's logging that raises at every record of protectwork."""
    tried: list[str] = []

    class Raising(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            tried.append(record.getMessage())
            raise LookupError("in a filter of the user's logging")

    logger, filter_ = logging.getLogger("protectwork"), Raising()
    logger.addFilter(filter_)
    yield tried
    logger.removeFilter(filter_)


def test_logging_that_raises_keeps_no_observer_from_the_next_event(off, raising_filter) -> None:
    observer = Heard(raising(LookupError))
    off.subscribe(observer)
    for number in range(3):
        off.admission.close(f"{number}")
        off.admission.reopen(f"{number}")
        observer.kinds(2 * number + 2)
    assert raising_filter


def test_logging_that_raises_does_not_end_the_keeper(manager, clock, backend, raising_filter) -> None:
    with manager.protect() as hold:
        clock.advance(5)
        backend.answer_next(LookupError("a fault of the backend"))
        clock.advance(3 * 3600)
        assert hold.confirmed
        assert backend.protected
    assert any("backend raised" in line for line in raising_filter)


def test_logging_that_hangs_does_not_stop_the_keeper(hanging) -> None:
    handler = logging.Handler()
    handler.emit = hanging  # type: ignore[method-assign]
    logger = logging.getLogger("protectwork")
    clock = FakeClock(patience_s=2)
    backend = RecordingBackend(clock=clock)
    with ProtectionManager(backend, settings=Settings(), clock=clock) as manager:
        manager.start()
        clock.advance(10)
        logger.addHandler(handler)
        try:
            with manager.protect() as hold:
                clock.advance(5)
                backend.answer_next(LookupError("a fault of the backend"))
                clock.advance(3 * 3600)
                assert hold.confirmed
        finally:
            logger.removeHandler(handler)
