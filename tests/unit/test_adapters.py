"""What adapters stand on: holds that do not wait, the thread that looks, the pause, and a framework's settings."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator

import programs
import pytest

from protectwork import (
    Answer,
    Outcome,
    ProtectionManager,
    ProtectionRefusedError,
    ProtectionUnavailableError,
    Settings,
    SettingsError,
    State,
)
from protectwork.adapters import Pause, Watch
from protectwork.testing import FakeClock, RecordingBackend

REFUSED = Answer(outcome=Outcome.REFUSED, reason="DEPLOYMENT_BLOCKED")
BOUND_S = 20.0


def until(fact: Callable[[], bool]) -> None:
    ends = time.monotonic() + BOUND_S
    while not fact():
        assert time.monotonic() < ends
        time.sleep(0.005)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend(clock: FakeClock) -> RecordingBackend:
    return RecordingBackend(clock=clock)


@pytest.fixture
def manager(clock: FakeClock, backend: RecordingBackend) -> Iterator[ProtectionManager]:
    with ProtectionManager(backend, settings=Settings(linger=1), clock=clock) as manager:
        manager.start()
        clock.advance(10)
        yield manager
        clock.advance(60)


# -- holds that do not wait


def test_a_hold_that_does_not_wait_is_waiting_until_ecs_has_said() -> None:
    backend = RecordingBackend()
    with ProtectionManager(backend, settings=Settings(linger=0)) as manager:
        with backend.paused():
            hold = manager.acquire("job", timeout=0)
            assert hold.waiting
            assert not hold.confirmed
            with pytest.raises(ProtectionUnavailableError, match="has not answered"):
                manager.acquire("job", on_unprotected="raise", timeout=0).require()
        until(lambda: hold.confirmed)
        assert not hold.waiting
        hold.require()
        hold.release()
        assert not hold.waiting


def test_a_hold_waits_for_its_timeout_at_most() -> None:
    backend = RecordingBackend()
    with ProtectionManager(backend, settings=Settings(linger=0)) as manager, backend.paused():
        began = time.monotonic()
        hold = manager.acquire("job", timeout=0.2)
        assert 0.2 <= time.monotonic() - began < 10
        assert hold.waiting
        hold.release()


def test_a_hold_with_a_timeout_returns_as_soon_as_it_is_confirmed() -> None:
    with ProtectionManager(RecordingBackend(), settings=Settings(linger=0)) as manager:
        hold = manager.acquire("job", timeout=60)
        assert hold.confirmed
        hold.release()


def test_a_hold_waits_no_longer_than_acquire_timeout_whatever_its_timeout() -> None:
    backend = RecordingBackend()
    settings = Settings(linger=0, acquire_timeout=0.2)
    with ProtectionManager(backend, settings=settings) as manager, backend.paused():
        hold = manager.acquire("job", timeout=0)
        until(lambda: not hold.waiting)
        assert not hold.confirmed
        hold.release()


def test_what_is_refused_waits_no_longer_and_raises_only_when_it_is_asked(manager, backend, clock) -> None:
    backend.answer_next(REFUSED, times=10)
    hold = manager.acquire("job", on_unprotected="raise", timeout=0)
    clock.advance(1)
    assert not hold.waiting
    assert manager.status().in_flight == 1
    with pytest.raises(ProtectionRefusedError, match="DEPLOYMENT_BLOCKED"):
        hold.require()
    assert manager.status().in_flight == 1
    assert manager.trouble == REFUSED
    assert not manager.confirmed
    hold.release()


def test_once_protected_there_is_no_trouble(manager, backend, clock) -> None:
    backend.answer_next(REFUSED)
    hold = manager.acquire("job", timeout=0)
    clock.advance(60)
    assert hold.confirmed
    assert manager.confirmed
    assert manager.trouble is None
    hold.release()


@pytest.mark.parametrize("timeout", [-1, "soon", float("nan")])
def test_a_bad_timeout_is_told_and_leaves_nothing_in_flight(manager, timeout) -> None:
    with pytest.raises(SettingsError, match="timeout must be"):
        manager.acquire("job", timeout=timeout)
    assert manager.status().in_flight == 0


# -- the thread that looks


def test_a_watch_looks_again_and_again_until_its_look_says_otherwise() -> None:
    looks: list[str] = []

    def look() -> float | None:
        looks.append(threading.current_thread().name)
        return 0.001 if len(looks) < 3 else None

    Watch(look, name="adapter").start()
    until(lambda: len(looks) == 3)
    until(lambda: "protectwork-adapter" not in {thread.name for thread in threading.enumerate()})
    assert set(looks) == {"protectwork-adapter"}
    assert len(looks) == 3


def test_a_watch_looks_at_once_when_it_is_rung() -> None:
    looked = threading.Semaphore(0)
    over = False

    def look() -> float | None:
        looked.release()
        return None if over else 3600.0

    watch = Watch(look, name="adapter")
    watch.start()
    watch.start()  # a no-op: one thread
    assert looked.acquire(timeout=BOUND_S)
    over = True
    watch.ring()
    assert looked.acquire(timeout=BOUND_S)
    assert not looked.acquire(blocking=False)


def test_a_look_that_raises_is_told_once_and_the_next_one_comes(caplog) -> None:
    looks = 0

    def look() -> float | None:
        nonlocal looks
        looks += 1
        if looks < 3:
            raise ValueError(looks)
        return None

    Watch(look, name="adapter").start()
    until(lambda: looks == 3)
    until(lambda: bool(caplog.records))
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "protectwork-adapter" in caplog.text


FORKS = """
import os, threading, time
from protectwork.adapters import Watch
looks = 0
def look():
    global looks
    looks += 1
    return 0.01
watch = Watch(look, name="adapter")
watch.start()
while not looks:
    time.sleep(0.001)
if os.fork() == 0:
    names = [thread.name for thread in threading.enumerate()]
    print("child", names.count("protectwork-adapter"), flush=True)
    watch.start()
    before = looks
    while looks == before:
        time.sleep(0.001)
    print("child looks", flush=True)
    os._exit(0)
os.wait()
"""


def test_a_forked_child_has_no_watch_and_may_start_one() -> None:
    assert programs.run(FORKS).lines == ["child 0", "child looks"]


# -- the pause


def pause(manager: ProtectionManager, *, when_refused: bool = False, when_unprotected: bool = False) -> Pause:
    return Pause(manager, when_refused=when_refused, when_unprotected=when_unprotected)


def refuse(manager: ProtectionManager, clock: FakeClock) -> None:
    hold = manager.acquire("job", timeout=0)
    clock.advance(2)
    hold.release()


def looked_at(paused: Pause, clock: FakeClock, *, seconds: int) -> None:
    for _ in range(seconds):
        paused.look()
        clock.advance(1)


@pytest.mark.parametrize("reason", ["DEPLOYMENT_BLOCKED", "MISSING", "A_NEW_ONE"])
def test_a_refusal_closes_admission_until_a_lease_is_confirmed_and_ecs_is_asked_meanwhile(
    manager, backend, clock, reason
) -> None:
    paused = pause(manager, when_refused=True)
    backend.answer_next(Answer(outcome=Outcome.REFUSED, reason=reason), times=2)
    refuse(manager, clock)
    looked_at(paused, clock, seconds=5)
    assert manager.admission.reasons == (Pause.REASON,)
    looked_at(paused, clock, seconds=300)
    assert manager.admission.is_open, "the third answer was a yes"
    enables = [call for call in backend.calls if call.name == "enable"]
    assert len(enables) == 3
    clock.advance(10)
    assert manager.status().in_flight == 0
    assert not backend.protected, "and nothing is left in flight by the asking"


def test_an_older_lease_is_released_without_work_however_long_ecs_refuses_to_renew_it(manager, backend, clock) -> None:
    paused = pause(manager, when_refused=True)
    hold = manager.acquire("job", timeout=0)
    clock.advance(1)
    backend.answer_next(REFUSED)
    while manager.status().state is State.PROTECTED:
        clock.advance(1)
    assert manager.status().state is State.AT_RISK
    looked_at(paused, clock, seconds=2)
    assert not manager.admission.is_open
    hold.release()
    looked_at(paused, clock, seconds=10)
    assert "disable" in [call.name for call in backend.calls]
    looked_at(paused, clock, seconds=600)
    assert manager.admission.is_open


def test_work_that_runs_goes_on_in_a_pause_and_its_lease_is_tried_for(manager, backend, clock) -> None:
    paused = pause(manager, when_refused=True)
    running = manager.acquire("job", timeout=0)
    clock.advance(1)
    backend.answer_next(REFUSED, times=3)
    while manager.status().state is State.PROTECTED:
        clock.advance(1)
    looked_at(paused, clock, seconds=60)
    assert not manager.admission.is_open
    assert [hold.label for hold in manager.status().holds] == ["job"], "a sure lease needs nobody else to ask for it"
    looked_at(paused, clock, seconds=300)
    assert manager.admission.is_open
    assert running.confirmed
    assert not running.lost
    assert [call.name for call in backend.calls].count("enable") == 5
    running.release()


def test_a_pause_outlasts_the_loss_of_the_shared_files(backend, clock, tmp_path) -> None:
    settings = Settings(linger=1, state_dir=tmp_path)
    tmp_path.chmod(0o700)
    with ProtectionManager(backend, settings=settings, clock=clock) as manager:
        manager.start()
        clock.advance(10)
        paused = pause(manager, when_refused=True)
        backend.answer_next(REFUSED, times=2)
        refuse(manager, clock)
        looked_at(paused, clock, seconds=3)
        shutil.rmtree(tmp_path / "record")
        while not manager.admission.is_open:
            paused.look()
            assert manager.confirmed or not manager.admission.is_open
            clock.advance(1)
        assert [call.name for call in backend.calls].count("enable") == 3
        clock.advance(60)


def test_who_turns_out_to_be_of_no_service_is_not_kept_waiting(manager, backend, clock) -> None:
    paused = pause(manager, when_refused=True)
    backend.answer_next(REFUSED)
    backend.answer_next(Outcome.NOT_A_SERVICE_TASK)
    refuse(manager, clock)
    looked_at(paused, clock, seconds=3)
    assert not manager.admission.is_open
    looked_at(paused, clock, seconds=60)
    assert manager.status().state is State.OFF
    assert manager.admission.is_open


def test_a_refusal_closes_nothing_by_default(manager, backend, clock) -> None:
    paused = pause(manager)
    backend.answer_next(REFUSED)
    refuse(manager, clock)
    looked_at(paused, clock, seconds=5)
    assert manager.admission.is_open


def test_another_fault_does_not_count_as_a_refusal(manager, backend, clock) -> None:
    paused = pause(manager, when_refused=True)
    backend.answer_next(Outcome.UNAVAILABLE)
    refuse(manager, clock)
    looked_at(paused, clock, seconds=3)
    assert manager.admission.is_open


def test_a_fault_after_a_refusal_does_not_open_admission(manager, backend, clock) -> None:
    paused = pause(manager, when_refused=True)
    backend.answer_next(REFUSED)
    backend.answer_next(Outcome.UNAVAILABLE, times=1000)
    refuse(manager, clock)
    looked_at(paused, clock, seconds=120)
    assert manager.trouble is not None
    assert manager.trouble.outcome is Outcome.UNAVAILABLE
    assert not manager.admission.is_open


def test_work_that_insists_closes_admission_for_any_trouble_but_not_while_the_lease_is_sure(
    manager, backend, clock
) -> None:
    paused = pause(manager, when_unprotected=True)
    hold = manager.acquire("job", timeout=0)
    clock.advance(1)
    assert hold.confirmed
    backend.answer_next(REFUSED, times=1000)
    clock.advance(3600)
    assert manager.status().state is State.AT_RISK
    looked_at(paused, clock, seconds=3)
    assert manager.admission.is_open
    clock.advance(3600)
    assert manager.status().state is State.LOST
    looked_at(paused, clock, seconds=3)
    assert not manager.admission.is_open
    hold.release()


def test_who_was_refused_before_ecs_has_said_anything_waits_for_a_lease(manager, backend, clock) -> None:
    paused = pause(manager, when_unprotected=True)
    paused.begin()
    assert manager.trouble is None
    looked_at(paused, clock, seconds=1)
    assert not manager.admission.is_open
    looked_at(paused, clock, seconds=10)
    assert manager.admission.is_open
    assert [call.name for call in backend.calls].count("enable") == 1


def test_a_drain_is_not_held_up_by_the_asking(manager, backend, clock) -> None:
    paused = pause(manager, when_refused=True)
    backend.answer_next(REFUSED, times=1000)
    refuse(manager, clock)
    looked_at(paused, clock, seconds=3)
    manager.admission.close("draining")
    looked_at(paused, clock, seconds=120)
    assert manager.status().in_flight == 0
    assert manager.drain(timeout=10)


def test_the_end_of_a_pause_opens_admission(manager, backend, clock) -> None:
    paused = pause(manager, when_refused=True)
    backend.answer_next(REFUSED, times=1000)
    refuse(manager, clock)
    paused.look()
    assert not manager.admission.is_open
    paused.end()
    assert manager.admission.is_open


# -- a framework's settings

PRECEDENCE = """
import protectwork
from protectwork.adapters import configure_for_framework
{code}
settings = protectwork.get_manager().settings
print(settings.lease, settings.linger)
"""


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("", "7200 1.0"),
        ("configure_for_framework(linger=2)", "7200 2"),
        ("configure_for_framework(linger=2, lease=600); protectwork.configure(linger=3)", "600 3"),
        ("protectwork.configure(linger=3); configure_for_framework(linger=2, lease=600)", "600 3"),
        ("protectwork.get_manager(); assert not configure_for_framework(linger=2)", "7200 1.0"),
    ],
)
def test_a_frameworks_settings_stand_below_configure_and_above_the_environment(code: str, told: str) -> None:
    done = programs.run(PRECEDENCE.format(code=code), PROTECTWORK_LINGER="1")
    assert done.lines == [told], done.err
