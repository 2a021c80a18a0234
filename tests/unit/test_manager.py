"""The manager with its keeper, in fake time or with a backend in memory: what a user sees, and what it costs."""

from __future__ import annotations

import signal
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from types import FrameType
from typing import NoReturn

import pytest

from protectwork import (
    Answer,
    Hold,
    HoldError,
    Outcome,
    ProtectionManager,
    ProtectionRefusedError,
    ProtectionUnavailableError,
    Settings,
    SettingsError,
    State,
)
from protectwork._exit import EXIT_S
from protectwork.testing import FakeClock, RecordingBackend

REFUSED = Answer(outcome=Outcome.REFUSED, reason="DEPLOYMENT_BLOCKED", detail="one too many")


def names(backend: RecordingBackend) -> list[str]:
    return [call.name for call in backend.calls]


def started(manager: ProtectionManager, clock: FakeClock) -> ProtectionManager:
    """Let the first GET pass, and the second that has to be between two calls."""
    manager.start()
    clock.advance(10)
    return manager


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend(clock: FakeClock) -> RecordingBackend:
    return RecordingBackend(clock=clock)


@pytest.fixture
def manager(clock: FakeClock, backend: RecordingBackend) -> Iterator[ProtectionManager]:
    """A manager in fake time that has asked its GET."""
    with ProtectionManager(backend, settings=Settings(), clock=clock) as manager:
        yield started(manager, clock)
        clock.advance(60)  # what is still to be released needs time to pass


# -- one lease for all


def test_the_task_is_protected_exactly_while_work_is_in_flight(manager, backend, clock) -> None:
    assert not backend.protected
    with manager.protect("batch-17") as hold:
        assert backend.protected
        assert hold.confirmed
        assert not hold.lost
        assert hold.expires_at is not None
        assert timedelta(hours=1, minutes=59) < hold.expires_at - datetime.fromtimestamp(clock.wall(), UTC)
        assert manager.status().state is State.PROTECTED
    assert not hold.confirmed
    assert hold.expires_at is None
    assert manager.status().state is State.LINGERING
    clock.advance(1.25 * 30)
    assert not backend.protected
    assert manager.status().state is State.IDLE
    assert names(backend) == ["get", "enable", "disable"]


def test_the_first_of_two_overlapping_jobs_to_end_takes_nothing_from_the_other(manager, backend, clock) -> None:
    first, second = manager.acquire("first"), manager.acquire("second")
    first.release()
    clock.advance(3600)
    assert backend.protected
    assert second.confirmed
    second.release()
    clock.advance(40)
    assert names(backend) == ["get", "enable", "enable", "disable"]


def test_three_busy_hours_cost_five_calls(clock, backend) -> None:
    with ProtectionManager(backend, settings=Settings(), clock=clock) as manager:
        started(manager, clock)
        for _ in range(3 * 3600 // 25):
            with manager.protect():
                clock.advance(20)
                assert backend.protected
            clock.advance(5)
        assert names(backend) == ["get", *["enable"] * 4]
        clock.advance(40)


def test_a_busy_day_costs_at_most_thirty_calls(clock, backend) -> None:
    with ProtectionManager(backend, settings=Settings(), clock=clock) as manager:
        started(manager, clock)
        for _ in range(24 * 3600 // 25):
            with manager.protect():
                clock.advance(20)
            clock.advance(5)
        clock.advance(40)
        assert not backend.protected
        assert len(backend.calls) <= 30


def test_an_idle_loop_makes_no_calls(manager, backend, clock) -> None:
    clock.advance(24 * 3600)
    assert names(backend) == ["get"]


def test_release_in_another_thread_and_twice_ends_the_hold_once(manager, backend, clock) -> None:
    other = manager.acquire("other")
    hold = manager.acquire("one")
    thread = threading.Thread(target=hold.release)
    thread.start()
    thread.join()
    hold.release()
    assert [entry.label for entry in manager.status().holds] == ["other"]
    other.release()
    assert manager.status().in_flight == 0


def test_a_hold_in_flight_cannot_be_entered_again(manager) -> None:
    with manager.protect("twice") as hold:
        with pytest.raises(HoldError, match="'twice' is already in flight; call protect\\(\\) once for each"), hold:
            pytest.fail("entered twice")
        assert manager.status().in_flight == 1
    with hold:
        assert manager.status().in_flight == 1, "one after the other is well"
    assert manager.status().in_flight == 0


def test_an_exception_of_the_work_passes_through_and_ends_the_hold(manager) -> None:
    with pytest.raises(ZeroDivisionError), manager.protect():
        _ = 1 / 0
    assert manager.status().in_flight == 0


def test_many_threads_share_one_lease(manager, backend) -> None:
    barrier = threading.Barrier(16)

    def work() -> None:
        for _ in range(200):
            with manager.protect() as hold:
                assert hold.confirmed
        barrier.wait(10)

    with manager.protect():
        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert not barrier.broken
    assert manager.status().in_flight == 0
    assert names(backend) == ["get", "enable"]


def test_a_signal_handler_may_hold_and_release_while_the_main_thread_does(manager) -> None:
    handled = 0

    def handler(*_: object) -> None:
        nonlocal handled
        with manager.protect("in a signal handler"):
            handled += 1

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        with manager.protect():
            for _ in range(100_000):
                with manager.protect():
                    pass
                if handled > 50:
                    break
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handled > 50
    assert manager.status().in_flight == 0


# -- overruns, labels, arguments


def test_work_that_overruns_its_max_duration_is_told_once_and_stays_protected(manager, backend, clock) -> None:
    overran: list[str] = []
    heard = threading.Event()

    class Listener:
        def on_event(self, event: object) -> None:
            if type(event).__name__ == "HoldOverran":
                overran.append(event.label)  # type: ignore[attr-defined]
                heard.set()

    manager.subscribe(Listener())
    with manager.protect("long", max_duration=timedelta(hours=3)):
        clock.advance(5 * 3600)
        assert heard.wait(5)
        assert backend.protected
    assert overran == ["long"]


def test_the_lease_covers_the_declared_work(manager, backend) -> None:
    with manager.protect(max_duration=6 * 3600):
        assert backend.calls[-1].minutes is not None
        assert backend.calls[-1].minutes >= 360


@pytest.mark.parametrize(
    ("label", "shown"),
    [("a\nb\x1b[2J", "a\\nb\\x1b[2J"), ("x" * 10_000, "x" * 199 + "…"), ("", ""), ("späte Schicht", "späte Schicht")],
)
def test_a_strange_label_is_made_printable_and_never_breaks_the_job(manager, label: str, shown: str) -> None:
    with manager.protect(label):
        assert manager.status().holds[0].label == shown


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"label": 7}, "label must be a string, got 7"),
        ({"label": b"x" * 10_000}, "label must be a string, got b'xxx"),
        ({"max_duration": -1}, "max_duration must be "),
        ({"max_duration": timedelta(hours=49)}, "max_duration must be "),
        ({"max_duration": float("nan")}, "max_duration must be "),
        ({"max_duration": "2h"}, "max_duration must be "),
        ({"on_unprotected": "explode"}, "on_unprotected must be 'run' or 'raise', got 'explode'"),
        ({"on_lost": 5}, "on_lost must be a function that takes the hold, got 5"),
    ],
)
def test_a_bad_argument_is_named_with_its_rule(manager, arguments: dict, text: str) -> None:
    for use in (manager.protect, manager.acquire, manager.protected):
        with pytest.raises(SettingsError, match=f"^{text}") as caught:
            use(**arguments)
        assert len(str(caught.value)) < 300
    assert manager.status().in_flight == 0


class Evil:
    """What raises at every question."""

    def __raise(self, *_: object) -> NoReturn:
        raise LookupError("at a question")

    __repr__ = __str__ = __eq__ = __hash__ = __bool__ = __len__ = __getattr__ = __raise  # type: ignore[assignment]


class EvilText(Evil, str):
    """A string that raises at every question."""

    __slots__ = ()


@pytest.mark.parametrize("argument", ["label", "max_duration", "on_unprotected", "on_lost"])
def test_an_argument_that_raises_at_every_question_is_refused_all_the_same(manager, argument: str) -> None:
    with pytest.raises(SettingsError, match=f"^{argument} must be .*Evil"):
        manager.protect(**{argument: Evil()})
    assert manager.status().in_flight == 0


def test_a_string_that_raises_at_every_question_breaks_no_label_and_is_no_word(manager) -> None:
    with manager.protect(EvilText("batch-17")):
        assert manager.status().holds[0].label == "batch-17"
    with pytest.raises(SettingsError, match=r"^on_unprotected must be 'run' or 'raise', got "):
        manager.protect(on_unprotected=EvilText("raise"))


def test_a_huge_label_costs_no_more_than_it_shows(manager) -> None:
    tracemalloc.start()
    try:
        hold = manager.protect("\0" * 50_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert hold.label == "\\x00" * 49 + "\\x0…"
    assert peak < 60_000_000, "the label itself, and no escaped copy of it"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"settings": {}}, r"settings must be a Settings, got {}; make one: Settings\(lease=3600\), say"),
        ({"settings": 5}, "settings must be a Settings, got 5"),
        ({"settings": Evil()}, "settings must be a Settings, got <.*Evil"),
        ({"backend": 5}, r"backend must be an object with enable\(\), disable\(\), get\(\) and a name, got 5$"),
        ({"backend": RecordingBackend}, "backend must be an object with .*, got <class .*Backend'>"),
        ({"backend": Evil()}, "backend must be an object with .*, got <.*Evil"),
        (
            {"backend": "agent"},
            r"backend must be an object with .*, got 'agent'; by its name choose it with Settings\(backend='agent'\)",
        ),
        ({"clock": 5}, r"clock must be an object with now\(\), wall\(\) and alarm\(\), got 5"),
        ({"random": 5}, r"random must be an object with uniform\(a, b\), got 5; random\.Random\(\) is one"),
    ],
)
def test_a_manager_of_wrong_parts_is_refused_at_once(arguments: dict, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{text}"):
        ProtectionManager(**{"backend": RecordingBackend(), **arguments})


@pytest.mark.parametrize("reason", [None, 5, Evil()], ids=["None", "5", "evil"])
def test_admission_takes_only_words_for_a_reason(manager, reason: object) -> None:
    for use in (manager.admission.close, manager.admission.reopen):
        with pytest.raises(SettingsError, match=r"^reason must be a string, got "):
            use(reason)
    assert manager.admission.is_open


# -- refusal and outage


def test_work_that_insists_is_refused_with_the_reason_of_ecs() -> None:
    backend = RecordingBackend()
    backend.answer_next(Outcome.CONFIRMED)
    backend.answer_next(REFUSED)
    settings = Settings(on_unprotected="raise")
    with ProtectionManager(backend, settings=settings) as manager:
        with pytest.raises(ProtectionRefusedError) as raised, manager.protect("nightly"):
            pytest.fail("the work started")
        assert (raised.value.label, raised.value.reason, raised.value.detail) == (
            "nightly",
            "DEPLOYMENT_BLOCKED",
            "one too many",
        )
        assert manager.status().in_flight == 0
        began = time.monotonic()
        with pytest.raises(ProtectionRefusedError), manager.protect():
            pytest.fail("the work started")
        assert time.monotonic() - began < 8, "the second one does not wait for the acquire timeout"
        with manager.protect(on_unprotected="run") as hold:
            assert not hold.confirmed
        assert names(backend) == ["get", "enable"]


def test_only_the_first_hold_of_an_outage_waits_and_no_longer_than_acquire_timeout() -> None:
    backend = RecordingBackend()
    backend.answer_next(Outcome.UNAVAILABLE, times=1000)
    with ProtectionManager(backend, settings=Settings(acquire_timeout=1.5)) as manager:
        began = time.monotonic()
        with manager.protect() as hold:
            waited = time.monotonic() - began
            assert not hold.confirmed
            for _ in range(100):
                with manager.protect():
                    pass
        assert 1.4 <= waited <= 10
        assert time.monotonic() - began - waited < 20
        with pytest.raises(ProtectionUnavailableError), manager.protect(on_unprotected="raise"):
            pytest.fail("the work started")


def test_acquire_ends_in_time_even_if_a_call_never_does() -> None:
    backend = RecordingBackend()
    with ProtectionManager(backend, settings=Settings(acquire_timeout=0.3)) as manager, backend.paused():
        began = time.monotonic()
        with manager.protect() as hold:
            assert not hold.confirmed
        assert time.monotonic() - began < 10
        assert manager.status().in_flight == 0


def test_a_backend_that_raises_counts_as_no_answer_and_one_exception_never_ends_the_keeper(caplog) -> None:
    backend = RecordingBackend()
    backend.answer_next(RuntimeError("boom"), times=2)
    with ProtectionManager(backend, settings=Settings()) as manager, manager.protect() as hold:
        assert hold.confirmed
        assert names(backend) == ["get", "enable", "enable"]
    assert [record.levelname for record in caplog.records if "backend raised" in record.message] == ["ERROR"]


def test_a_wall_clock_that_jumps_changes_nothing(manager, backend, clock) -> None:
    with manager.protect() as hold:
        clock.jump_wall(-10 * 3600)
        clock.advance(3600)
        clock.jump_wall(20 * 3600)
        clock.advance(3600)
        assert backend.protected
        assert hold.confirmed
    assert names(backend) == ["get", "enable", "enable", "enable"]


def test_on_lost_is_called_once_with_the_hold(manager, backend, clock) -> None:
    lost: list[object] = []
    heard = threading.Event()

    def on_lost(hold: object) -> None:
        lost.append(hold)
        heard.set()

    with manager.protect(on_lost=on_lost) as hold, manager.protect() as other:
        backend.answer_next(REFUSED, times=10_000)
        clock.advance(2 * 3600 + 60)
        assert heard.wait(5)
        assert hold.lost
        assert other.lost
        assert not hold.confirmed
        assert manager.status().state is State.LOST
    assert lost == [hold]


# -- the end


def test_drain_closes_admission_waits_for_the_work_and_releases(manager, backend, clock) -> None:
    hold = manager.acquire()
    assert manager.drain(timeout=0.05) is False
    assert not manager.admission.is_open
    assert manager.status().admission == "closed"
    assert hold.confirmed, "the work in flight is protected to its end"
    clock.advance(10)
    hold.release()
    assert manager.drain(timeout=timedelta(seconds=10)) is True
    assert not backend.protected
    assert names(backend) == ["get", "enable", "disable"]


def test_drain_outside_ecs_waits_for_the_work_all_the_same() -> None:
    manager = ProtectionManager(settings=Settings(backend="off"))
    hold = manager.acquire()
    assert manager.drain(timeout=0.05) is False
    threading.Timer(0.2, hold.release).start()
    assert manager.drain(timeout=10) is True


def test_after_close_everything_is_a_no_op_that_runs_the_work(manager, backend, clock) -> None:
    with manager.protect():
        pass
    clock.advance(10)
    manager.close()
    assert names(backend) == ["get", "enable", "disable"], "idle at the end: released without lingering"
    manager.close()
    with manager.protect() as hold:
        assert not hold.confirmed
    manager.start()
    with pytest.raises(ProtectionUnavailableError, match="closed"), manager.protect(on_unprotected="raise"):
        pytest.fail("the work started")
    assert manager.status().state is State.CLOSED
    assert names(backend) == ["get", "enable", "disable"]


def test_close_takes_nothing_from_work_in_flight(manager, backend, caplog) -> None:
    hold = manager.acquire()
    manager.close()
    assert backend.protected
    hold.release()
    assert names(backend) == ["get", "enable"]
    assert "closed with 1 in flight" in caplog.text
    assert not [thread for thread in threading.enumerate() if thread.name == "protectwork-keeper"]


class JustInTime(Random):
    """Jitter after which the end of the time for closing is a moment away."""

    def uniform(self, a: float, b: float) -> float:
        return min(b, EXIT_S - 0.001)


def test_close_leaves_the_shared_state_however_late_its_last_call_may_come(tmp_path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    settings = Settings(state_dir=str(tmp_path / "state"))
    manager = ProtectionManager(RecordingBackend(), settings=settings, random=JustInTime())
    manager.start()
    manager.close()
    assert list((tmp_path / "state" / "alive").iterdir()) == []


def test_a_thread_that_cannot_be_started_does_not_break_the_work(backend, clock, monkeypatch, caplog) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    manager = ProtectionManager(backend, settings=Settings(), clock=clock)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with manager.protect() as hold:
        assert not hold.confirmed
    monkeypatch.undo()
    assert "no thread could be started" in caplog.text
    manager.start()
    clock.advance(10)
    assert names(backend) == ["get"], "the next hold or start tries again"
    manager.close()


def test_a_backend_that_answers_nonsense_does_not_stop_the_renewals(caplog) -> None:
    class Nonsense(RecordingBackend):
        def get(self) -> Answer:
            super().get()
            return "yes"  # type: ignore[return-value]

    backend = Nonsense()
    with ProtectionManager(backend, settings=Settings()) as manager, manager.protect() as hold:
        assert hold.confirmed
        assert names(backend) == ["get", "enable"]
    assert "a fault in the keeper" in caplog.text


def test_to_ask_for_the_status_does_not_hide_from_the_keeper_that_the_work_has_ended(clock, backend) -> None:
    with ProtectionManager(backend, settings=Settings(linger=2), clock=clock) as manager:
        started(manager, clock)
        hold = manager.acquire()
        with backend.paused():  # the keeper is awake, in a call
            clock.advance(3600)
            hold.release()
            manager.status()
        clock.advance(5)
        assert not backend.protected
        assert names(backend) == ["get", "enable", "enable", "disable"]


class TimeIsUpError(Exception):
    """What a soft time limit raises, wherever the work happens to be."""


@pytest.mark.parametrize("method", [Hold.begin, Hold.release])
def test_a_signal_handler_that_raises_inside_a_hold_leaves_the_count_right(manager, method) -> None:
    """At every line of the method; what raises between two functions no Python code can catch."""
    code = method.__code__

    def interrupting(at: int) -> Callable[[FrameType, str, object], object]:
        def trace(frame: FrameType, event: str, _: object) -> object:
            if frame.f_code is code and event == "line" and frame.f_lineno == at:
                sys.settrace(None)
                raise TimeIsUpError
            return trace

        return trace

    lines = sorted({line for *_, line in code.co_lines() if line})[2:]  # from inside the try
    hits, before = 0, sys.gettrace()
    for line in lines:
        sys.settrace(interrupting(line))
        try:
            with manager.protect(max_duration=60):
                pass
        except TimeIsUpError:
            hits += 1
        finally:
            sys.settrace(before)
        assert manager.status().in_flight == 0, f"line {line}"
    assert hits >= 6


def test_drain_hears_of_the_end_of_a_hold_that_a_finaliser_dropped() -> None:
    manager = ProtectionManager(settings=Settings(backend="off"))
    hold = manager.acquire()
    threading.Timer(0.2, hold.drop).start()
    assert manager.drain(timeout=10) is True
