"""FakeClock: time that stands still until a test moves it, and threads that sleep in it."""

from __future__ import annotations

import math
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from protectwork._types import Seconds
from protectwork.testing._ecs_time import in_seconds

__all__ = ["FakeAlarm", "FakeClock"]

_STARTING_S = 2.0  # real time that a thread gets between the first ring of its alarm and its first wait
_WALL = datetime(2030, 1, 1, tzinfo=UTC).timestamp()


class FakeClock:
    """A clock for tests: a keeper that waits 24 h on it has done so in a second, the same way every time.

    `advance` moves time from one deadline to the next, and only while every thread that sleeps on this clock is
    asleep: what a thread does when it wakes, it has done before time goes on. It waits for those threads for a bounded
    real time. Any thread may use it. It knows native threads, no greenlets.

    Args:
        now: What the clock shows first.
        patience_s: For how long, in real time, a thread may be at work before `advance` raises.
    """

    def __init__(self, *, now: float = 1_000.0, patience_s: float = 10.0) -> None:
        self._schedule = _Schedule(now)
        self._patience_s = patience_s
        self._wall_ahead_s = _WALL - now
        self._advancing = threading.Lock()  # one advance at a time

    def now(self) -> float:
        """Seconds on the steady clock."""
        return self._schedule.now

    def wall(self) -> float:
        """Seconds since the epoch, UTC; from 2030 on, unless it jumped."""
        return self._schedule.now + self._wall_ahead_s

    def alarm(self) -> FakeAlarm:
        """A new alarm whose waits run on this clock."""
        return FakeAlarm(self._schedule)

    def jump_wall(self, seconds: float) -> None:
        """Let the wall clock jump, back if `seconds` is negative. The steady clock does not notice."""
        self._wall_ahead_s += seconds

    def advance(self, seconds: Seconds) -> None:
        """Move time on, from one deadline to the next; every thread that sleeps has dealt with each before the next.

        Raises:
            SettingsError: `seconds` is negative or not finite.
            TimeoutError: A thread that sleeps on this clock did not come back to sleep.
        """
        seconds = in_seconds(seconds, setting="seconds")
        with self._advancing:
            target = self._schedule.now + seconds
            self.settle()
            while self._schedule.wake_next(by=target):
                self.settle()

    def settle(self) -> None:
        """Wait until every other thread that sleeps on this clock is asleep and nobody has rung for it.

        Raises:
            TimeoutError: One of them did not come back to sleep.
        """
        self._schedule.settle(self._patience_s)

    @contextmanager
    def away(self) -> Generator[None]:
        """Say that this thread waits for something else than time, so that `advance` does not wait for it."""
        with self._schedule.away():
            yield


class FakeAlarm:
    """An alarm that sleeps in fake time; see `protectwork._clock.Alarm`. One thread may wait on it at a time."""

    def __init__(self, schedule: _Schedule) -> None:
        self._schedule = schedule
        self._silence = threading.Lock()  # held, except between a wake and the sleep that it ends
        self._silence.acquire()
        self.rings: deque[None] = deque()  # those that no wait has heard
        self.deadline: float | None = None  # of the wait under way
        self.due = False  # its deadline has come
        schedule.announce(self)

    def ring(self) -> None:
        """End the wait that is under way, or the next one. Takes no lock: a finaliser may call it anywhere."""
        self.rings.append(None)
        self.wake()

    def wake(self) -> None:
        """Have the thread that sleeps look whether it is to go on."""
        with suppress(RuntimeError):  # it is on its way already
            self._silence.release()

    def wait(self, timeout_s: float) -> None:
        """Sleep until rung, or until time was moved on by `timeout_s`.

        Raises:
            RuntimeError: Another thread waits on this alarm.
        """
        self._schedule.fall_asleep(self, timeout_s)
        try:
            while not (self.rings or self.due):  # a wake may come late, for a sleep that is over
                self._silence.acquire()
        finally:
            self._schedule.get_up(self)


class _Sleeper:
    """One thread that has slept on the clock: what it is doing now."""

    def __init__(self) -> None:
        self.name = threading.current_thread().name
        self.alarm: FakeAlarm | None = None  # what it sleeps on
        self.away = False

    @property
    def at_rest(self) -> bool:
        """Whether nothing comes of it until time moves or somebody acts."""
        return self.away or (self.alarm is not None and not self.alarm.rings and not self.alarm.due)


class _Presence:
    """Lives in the storage of one thread, and ends with it: a thread that ends tells nobody otherwise."""

    def __init__(self, sleeper: _Sleeper, gone: Callable[[_Sleeper], None]) -> None:
        self.sleeper = sleeper
        self._gone = gone

    def __del__(self) -> None:
        self._gone(self.sleeper)


class _Schedule:
    """Who sleeps until when.

    Attributes:
        now: The time; read without the lock.
    """

    def __init__(self, now: float) -> None:
        self.now = now
        self._own = threading.local()
        self._changed = threading.Condition()  # guards all below, and the alarms; tells who came to rest or ended
        self._unheard: weakref.WeakSet[FakeAlarm] = weakref.WeakSet()  # no thread has waited on them yet
        self._sleepers: set[_Sleeper] = set()
        self._strangers_away = 0  # threads that are away and have not slept yet

    def announce(self, alarm: FakeAlarm) -> None:
        """There is a new alarm."""
        with self._changed:
            self._unheard.add(alarm)

    def fall_asleep(self, alarm: FakeAlarm, timeout_s: float) -> None:
        """This thread sleeps on `alarm` from now on."""
        with self._changed:
            if alarm.deadline is not None:
                raise RuntimeError("another thread waits on this alarm")
            # Later than now, however short the wait: time has to get there, or the thread would wait for ever.
            soonest = math.nextafter(self.now, math.inf) if timeout_s > 0 else self.now
            alarm.deadline = max(self.now + timeout_s, soonest)
            alarm.due = timeout_s <= 0
            self._unheard.discard(alarm)
            self._sleeper().alarm = alarm
            self._changed.notify_all()

    def get_up(self, alarm: FakeAlarm) -> None:
        """This thread sleeps no longer: it has heard every ring so far."""
        with self._changed:
            alarm.deadline, alarm.due = None, False
            alarm.rings.clear()
            self._sleeper().alarm = None

    def wake_next(self, *, by: float) -> bool:
        """Move time to the next deadline, and wake who has it; where there is none, to `by`, and return False."""
        with self._changed:
            asleep = [sleeper.alarm for sleeper in self._sleepers if sleeper.alarm]
            deadline = min((alarm.deadline for alarm in asleep if alarm.deadline is not None), default=math.inf)
            self.now = max(self.now, min(deadline, by))
            for alarm in asleep:
                if alarm.deadline is not None and alarm.deadline <= self.now:
                    alarm.due = True
                    alarm.wake()
            return deadline <= by

    def settle(self, patience_s: float) -> None:
        """Wait until every other sleeper is at rest.

        Raises:
            TimeoutError: One does not come to rest.
        """
        with self._changed:
            me = self._known()
            # Where nobody has heard a ring, a thread is starting (unless it is one that is away) or never will.
            if not self._changed.wait_for(lambda: len(self._rung_unheard()) <= self._strangers_away, _STARTING_S):
                self._unheard -= self._rung_unheard()
            if not self._changed.wait_for(lambda: not self._at_work(me), patience_s):
                names = ", ".join(sorted(sleeper.name for sleeper in self._at_work(me)))
                raise TimeoutError(f"{names}: not back asleep on this clock within {patience_s:g} s")

    @contextmanager
    def away(self) -> Generator[None]:
        """This thread is away."""
        with self._changed:
            sleeper = self._known()
            self._leave(sleeper, away=True)
        try:
            yield
        finally:
            with self._changed:
                self._leave(sleeper, away=False)

    def _leave(self, sleeper: _Sleeper | None, *, away: bool) -> None:
        if sleeper:
            sleeper.away = away
        else:
            self._strangers_away += 1 if away else -1
        self._changed.notify_all()

    def _rung_unheard(self) -> set[FakeAlarm]:
        return {alarm for alarm in self._unheard if alarm.rings}

    def _at_work(self, me: _Sleeper | None) -> list[_Sleeper]:
        return [sleeper for sleeper in self._sleepers if sleeper is not me and not sleeper.at_rest]

    def _known(self) -> _Sleeper | None:
        presence: _Presence | None = getattr(self._own, "presence", None)
        return presence.sleeper if presence else None

    def _sleeper(self) -> _Sleeper:
        if known := self._known():
            return known
        sleeper = _Sleeper()
        self._sleepers.add(sleeper)
        self._own.presence = _Presence(sleeper, self._gone)
        return sleeper

    def _gone(self, sleeper: _Sleeper) -> None:
        with self._changed:
            self._sleepers.discard(sleeper)
            self._changed.notify_all()
