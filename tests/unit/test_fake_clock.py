"""FakeClock: time moves when a test says so, and never past a thread that has something to do."""

from __future__ import annotations

import _thread
import gc
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from protectwork._errors import SettingsError
from protectwork.testing import FakeClock, _fake_clock

DAY_S = 24 * 3600.0


class Sleeper:
    """A thread that sleeps again and again, and writes down when it woke."""

    def __init__(self, clock: FakeClock, *, period_s: float, then: Callable[[float], object] = lambda _: None) -> None:
        self.alarm = clock.alarm()
        self.woke: list[float] = []
        self._clock, self._period_s, self._then = clock, period_s, then
        self._ended = False
        self.thread = threading.Thread(target=self._run, name="sleeper")

    def start(self) -> None:
        self.alarm.ring()  # as a holder does that has just started its keeper
        self.thread.start()

    def end(self) -> None:
        self._ended = True
        self.alarm.ring()
        self.thread.join()

    def _run(self) -> None:
        self.alarm.wait(self._period_s)
        while not self._ended:
            self.alarm.wait(self._period_s)
            self.woke.append(self._clock.now())
            self._then(self._clock.now())


@pytest.fixture
def sleeping() -> Iterator[Callable[..., Sleeper]]:
    sleepers: list[Sleeper] = []

    def start(clock: FakeClock, *, period_s: float, then: Callable[[float], object] = lambda _: None) -> Sleeper:
        sleepers.append(Sleeper(clock, period_s=period_s, then=then))
        sleepers[-1].start()
        return sleepers[-1]

    yield start
    for sleeper in sleepers:
        sleeper.end()


def test_time_stands_still_until_it_is_moved(fake_clock: FakeClock):
    began = fake_clock.now(), fake_clock.wall()

    assert (fake_clock.now(), fake_clock.wall()) == began

    fake_clock.advance(1.5)
    fake_clock.advance(timedelta(minutes=1))

    assert (fake_clock.now(), fake_clock.wall()) == (began[0] + 61.5, began[1] + 61.5)


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan"), timedelta(seconds=-1)])
def test_time_does_not_go_back(fake_clock: FakeClock, seconds: float | timedelta):
    began = fake_clock.now()

    with pytest.raises(SettingsError, match="0 s or more"):
        fake_clock.advance(seconds)

    assert fake_clock.now() == began


def test_the_wall_clock_jumps_alone(fake_clock: FakeClock):
    now, wall = fake_clock.now(), fake_clock.wall()

    fake_clock.jump_wall(-3600)

    assert (fake_clock.now(), fake_clock.wall()) == (now, wall - 3600)


def test_a_day_of_waits_passes_quickly_and_misses_none(fake_clock: FakeClock, sleeping: Callable[..., Sleeper]):
    began, began_really = fake_clock.now(), time.monotonic()
    sleeper = sleeping(fake_clock, period_s=30.0)

    fake_clock.advance(DAY_S)

    assert sleeper.woke == [began + 30.0 * n for n in range(1, 2881)]
    assert time.monotonic() - began_really < 10


def test_what_a_woken_thread_does_is_done_before_time_goes_on(fake_clock: FakeClock, sleeping: Callable[..., Sleeper]):
    began, log = fake_clock.now(), list[tuple[float, str]]()
    sleeping(fake_clock, period_s=3.0, then=lambda now: log.append((now - began, "three")))
    sleeping(fake_clock, period_s=7.0, then=lambda now: log.append((now - began, "seven")))

    fake_clock.advance(20.0)

    assert log == sorted(log, key=lambda entry: entry[0])
    assert [at for at, name in log if name == "three"] == [3.0, 6.0, 9.0, 12.0, 15.0, 18.0]
    assert [at for at, name in log if name == "seven"] == [7.0, 14.0]


def test_a_deadline_at_the_very_end_is_met(fake_clock: FakeClock, sleeping: Callable[..., Sleeper]):
    began = fake_clock.now()
    sleeper = sleeping(fake_clock, period_s=10.0)

    fake_clock.advance(10.0)

    assert sleeper.woke == [began + 10.0]


def test_a_ring_ends_the_wait_under_way(fake_clock: FakeClock, sleeping: Callable[..., Sleeper]):
    began = fake_clock.now()
    sleeper = sleeping(fake_clock, period_s=10.0)
    fake_clock.advance(4.0)

    sleeper.alarm.ring()
    fake_clock.settle()

    assert sleeper.woke == [began + 4.0]

    fake_clock.advance(10.0)  # the next wait began with the ring

    assert sleeper.woke == [began + 4.0, began + 14.0]


def test_a_ring_before_the_wait_ends_it_at_once(fake_clock: FakeClock):
    alarm = fake_clock.alarm()
    alarm.ring()
    alarm.ring()

    alarm.wait(60.0)

    assert not alarm.rings


@pytest.mark.parametrize("timeout_s", [0.0, -1.0])
def test_a_wait_for_no_time_ends_at_once(fake_clock: FakeClock, timeout_s: float):
    fake_clock.alarm().wait(timeout_s)


def test_no_ring_is_lost_however_many_threads_ring(fake_clock: FakeClock):
    alarm, asked, seen = fake_clock.alarm(), [0] * 4, [0]

    def keep() -> None:
        while seen[0] < 4 * 500:
            alarm.wait(DAY_S)
            seen[0] = sum(asked)

    def ask(which: int) -> None:
        for _ in range(500):
            asked[which] += 1
            alarm.ring()

    threads = [threading.Thread(target=keep), *(threading.Thread(target=ask, args=(n,)) for n in range(4))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert seen == [2000]


def test_a_ring_takes_no_lock(fake_clock: FakeClock):
    """Whoever rings from a finaliser may have interrupted the clock itself, on this thread or on another."""
    alarm = fake_clock.alarm()
    ringing = threading.Thread(target=alarm.ring)

    with fake_clock._schedule._changed:
        alarm.ring()
        ringing.start()
        ringing.join(5)
        assert not ringing.is_alive()

    alarm.wait(60.0)


def test_advance_waits_for_a_thread_that_is_starting(fake_clock: FakeClock):
    alarm, gate, woke = fake_clock.alarm(), threading.Event(), list[float]()
    began = fake_clock.now()

    def keep() -> None:
        gate.wait(5)
        for period_s in (60.0, 4.0, 4.0):  # the ring ends the first
            alarm.wait(period_s)
            woke.append(fake_clock.now() - began)

    thread = threading.Thread(target=keep)
    thread.start()
    alarm.ring()
    opening = threading.Timer(0.05, gate.set)
    opening.start()

    fake_clock.advance(10.0)

    assert woke == [0.0, 4.0, 8.0]
    thread.join()
    opening.join()


def test_a_ring_that_nobody_will_hear_is_waited_for_once(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_fake_clock, "_STARTING_S", 0.05)
    alarm = fake_clock.alarm()
    alarm.ring()
    fake_clock.advance(1.0)
    monkeypatch.setattr(_fake_clock, "_STARTING_S", 10.0)
    began_really = time.monotonic()

    fake_clock.advance(1.0)

    assert time.monotonic() - began_really < 5


def test_an_alarm_that_is_gone_is_not_waited_for(fake_clock: FakeClock):
    fake_clock.alarm().ring()
    gc.collect()
    began_really = time.monotonic()

    fake_clock.advance(1.0)

    assert time.monotonic() - began_really < 4


def _start_thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run).start()


def _start_native_thread(run: Callable[[], None]) -> None:
    _thread.start_new_thread(run, ())


@pytest.mark.parametrize("start", [_start_thread, _start_native_thread])
def test_a_thread_that_ended_is_not_waited_for(fake_clock: FakeClock, start: Callable[[Callable[[], None]], None]):
    alarm, woke = fake_clock.alarm(), list[float]()
    began, began_really = fake_clock.now(), time.monotonic()

    def wait_once_more() -> None:
        alarm.wait(60.0)
        alarm.wait(10.0)
        woke.append(fake_clock.now() - began)

    alarm.ring()
    start(wait_once_more)

    fake_clock.advance(100.0)
    alarm.ring()
    fake_clock.advance(100.0)

    assert woke == [10.0]
    assert fake_clock.now() == began + 200.0
    assert time.monotonic() - began_really < 5


def test_a_thread_that_does_not_come_back_is_named():
    clock, gate = FakeClock(patience_s=0.1), threading.Event()
    sleeper = Sleeper(clock, period_s=1.0, then=lambda _: gate.wait(5))
    sleeper.start()

    with pytest.raises(TimeoutError, match="sleeper: not back asleep on this clock"):
        clock.advance(10.0)

    gate.set()
    sleeper.end()


@pytest.mark.parametrize("has_slept", [True, False])
def test_time_moves_on_without_a_thread_that_is_away(fake_clock: FakeClock, has_slept: bool):
    alarm, gone, leave, back = fake_clock.alarm(), threading.Event(), threading.Event(), threading.Event()
    began, began_really = fake_clock.now(), time.monotonic()
    woke = list[float]()

    def keep() -> None:
        if has_slept:
            alarm.wait(60.0)
        with fake_clock.away():
            gone.set()
            leave.wait(5)
        back.set()
        alarm.wait(5.0)  # without a sleep before it, this one hears the ring
        woke.append(fake_clock.now() - began)
        alarm.wait(5.0)
        woke.append(fake_clock.now() - began)

    alarm.ring()
    thread = threading.Thread(target=keep)
    thread.start()
    gone.wait(5)
    fake_clock.advance(7.0)

    assert time.monotonic() - began_really < 4

    leave.set()
    back.wait(5)
    fake_clock.advance(10.0)
    thread.join(5)

    assert woke == ([12.0, 17.0] if has_slept else [7.0, 12.0])


def test_a_wait_shorter_than_the_clock_can_show_ends_all_the_same():
    clock, began_really = FakeClock(now=1e9), time.monotonic()
    alarm, due = clock.alarm(), 1e9 + 3.3
    done = threading.Event()

    def keep() -> None:
        alarm.wait(60.0)
        while (left_s := due - clock.now()) > 0:
            alarm.wait(left_s / 2 if left_s > 1e-9 else left_s * 1e-3)
        done.set()

    alarm.ring()
    thread = threading.Thread(target=keep)
    thread.start()

    clock.advance(10.0)
    thread.join(5)

    assert done.is_set()
    assert time.monotonic() - began_really < 5


def test_two_threads_do_not_share_an_alarm(fake_clock: FakeClock, sleeping: Callable[..., Sleeper]):
    sleeper = sleeping(fake_clock, period_s=10.0)
    fake_clock.settle()

    with pytest.raises(RuntimeError, match="another thread waits on this alarm"):
        sleeper.alarm.wait(1.0)


def test_the_thread_that_moves_time_may_have_slept_itself(fake_clock: FakeClock):
    fake_clock.alarm().wait(0.0)

    fake_clock.advance(1.0)
