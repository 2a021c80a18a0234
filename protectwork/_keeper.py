"""The keeper: one thread that asks the machine what to do, makes the calls, and tells who waits (EFFECTS).

It decides nothing. One lock stands between it and the threads that hold: it guards the machine, the ledger and the
waiters, and nothing is called under it that logs, runs a user's code, or waits for the network or another process.
"""

from __future__ import annotations

import os
from _thread import RLock
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from math import inf

from protectwork._backend import Backend
from protectwork._book import Book
from protectwork._caller import NOT_SENT, called
from protectwork._clock import Clock, steady_now
from protectwork._events import CallFinished, Event, HoldOverran, LeaseLost, SharedStateUnavailable
from protectwork._exit import EXIT_S, closes_at_exit
from protectwork._forks import forgets_on_fork, no_fork
from protectwork._lease import Lease
from protectwork._ledger import Entry, Ledger, Notice, TaskState
from protectwork._native import NativeAlarm, start_thread
from protectwork._observers import Once
from protectwork._pump import pump
from protectwork._retirement import Sight
from protectwork._standing import Standing
from protectwork._steps import Answered, HoldBegan, Linger, Policy, Random, Retire, Send, Start, Tell
from protectwork._types import Answer, Outcome
from protectwork._verdict import LINGER_SPREAD
from protectwork._waiting import Waiter, Waiters

__all__ = ["Keeper"]

_LONGEST_WAIT_S = 30.0  # a missed ring, a suspended machine, a clock that jumped: none hurts for longer
_OFTEN_ENOUGH_S = 1.0  # looking more often than that costs more than to be rung
_PAUSE_S = 1.0  # after a fault of our own
_ENDING = 0.25  # the share of the time for closing that is left to the thread, to leave the shared state
_NO_THREAD = "no thread could be started, so the task is not protected; the next hold tries again"


class Keeper:
    """Runs the one thread that makes the calls of this process.

    What the hot path of a hold reads is published here, under the lock, after every step:

    Attributes:
        lock: Guards everything below, the machine and the ledger. Native, and re-entrant: a signal handler may
            hold and release while the code that it interrupted does the same.
        settled_until: Until when a hold can begin without telling anybody.
        sure_until: Until when the task is known to be protected.
        covered_until: Until when the lease covers work that declared its end.
        wakes_at: When the keeper will look again by itself; -inf while it is awake or need not be woken.
        dropped: The holds left by finalisers, which may not take the lock; swept by whoever has it next.
        linger_reach_s: How soon after the last hold the keeper has to look at the latest.
        on_news: Called when the thread starts, and when there may be something else in `sight`; must not block.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        policy: Policy,
        clock: Clock,
        random: Random,
        off: bool,
        tell: Callable[[Event], None],
        open_state: Callable[[], TaskState],
        scope: str = "",
        vigilant: bool = False,
    ) -> None:
        self.backend = backend
        self.clock = clock
        self.now = clock.now
        self._linger_reach_s = self.linger_reach_s = policy.linger_s * LINGER_SPREAD[1]
        # Who looks at least that often need not be rung by every short job that ends.
        self._longest_wait_s = min(max(self.linger_reach_s, _OFTEN_ENOUGH_S), _LONGEST_WAIT_S)
        self._new_book = partial(Book, policy, random, now=clock.now, off=off, vigilant=vigilant)
        self._open_state, self._scope = open_state, scope
        self.book = self._new_book()
        self._entering: TaskState | None = None  # opened, and not yet the book's
        self._tell = tell
        self.on_news: Callable[[], None] | None = None
        self._once = Once()
        self.once = self._once.log
        self.closed = False
        self.forget_parent()
        closes_at_exit(self)
        forgets_on_fork(self)

    def forget_parent(self) -> None:
        """Begin with nothing, as a new process does: no hold, no thread, no knowledge of the lease."""
        self.lock = RLock()
        self.ledger = Ledger()
        self.holds = self.ledger.holds
        self.book.forget_parent()
        self.book = self._new_book()
        if self._entering:
            self._entering.forget_parent()
            self._entering = None
        self.settled_until = self.lease.settled_until(-inf)
        self.sure_until = self.covered_until = -inf
        self.wakes_at = -inf
        self._pid = os.getpid()
        self._alarm = self.clock.alarm()
        self._news: tuple[Standing, Answer | None] | None = None
        self._waiters, self._idle_waiters = Waiters(), Waiters()
        self.dropped: deque[Entry] = deque()
        self._running = False
        self._saw_work = False
        self._ended: NativeAlarm | None = None
        self._once.forget_parent()
        self._notice = Notice()

    @property
    def lease(self) -> Lease:
        """The machine as it stands."""
        return self.book.lease

    # -- for holds

    def hold_began(self, hold: Entry, waiter: Waiter | None) -> float | None:
        """Have the machine look at a hold that stands in the ledger already; return for how long it should wait.

        None when it starts at once. `waiter`, where there is one, is fired when waiting makes no more sense. Never
        blocks.
        """
        if os.getpid() != self._pid:  # forked in C, past Python's hooks
            self.forget_parent()
            self.holds[hold] = None
        # A signal handler that interrupted the code below must not wait: it would do so with the lock held.
        nested = self.lock._is_owned()  # type: ignore[attr-defined]  # noqa: SLF001
        with self.lock:
            if self.closed or self.lease.off:
                return None
            until = self.ledger.ends.get(hold, -inf)
            self.book.arrive(self.ledger.glance(), lambda demand: HoldBegan(demand=demand, until=until))
            now = self.now()
            self._publish(now)
            running = self._run_thread()
            if self.lease.due(now) < self.wakes_at:
                self._alarm.ring()
            waits_until = self.lease.waits_until(now) if running and not nested else None
            if waiter and waits_until is not None:
                self._waiters.add(waiter)
        if not running:
            self._once.log_here(_NO_THREAD)
        return None if waits_until is None else waits_until - now

    def still_waits(self) -> bool:
        """Whether a hold that is not confirmed has something to wait for."""
        with self.lock:
            return self._running and not self.closed and self.lease.waits_until(self.now()) is not None

    @property
    def trouble(self) -> Answer | None:
        """Why the task could not be protected the last time; None once it could."""
        with self.lock:
            return None if self.lease.off else self.lease.trouble

    def unprotected_because(self) -> Answer | None:
        """Why work must not start that insists on protection; None when it may."""
        with self.lock:
            if self.lease.off:
                return None
            if self.closed:
                return Answer(outcome=Outcome.UNAVAILABLE, reason="the manager is closed")
            if self.lease.sure(self.now()):
                return None
            return self.lease.trouble or Answer(outcome=Outcome.UNAVAILABLE, reason="ECS has not answered yet")

    def expires_at(self) -> datetime | None:
        """When the lease ends as far as we know; None without a sure one."""
        left_s = self.sure_until - self.now()
        return datetime.fromtimestamp(self.clock.wall() + left_s, tz=UTC) if left_s > 0 else None

    def forget(self, waiter: Waiter) -> None:
        """The waiter waits no longer."""
        with self.lock:
            self._waiters.forget(waiter)
            self._idle_waiters.forget(waiter)

    def went_idle(self) -> None:
        """The last hold ended and the keeper would look too late; called under the lock."""
        self.wakes_at = -inf
        self._alarm.ring()
        if not self._running:
            self._idle_waiters.fire()
            if self.closed:
                self.book.close()  # nobody else will

    def drop(self, hold: Entry) -> None:
        """Release a hold from a finaliser: takes no lock, for the thread that it interrupts may have it."""
        self.dropped.append(hold)
        self._alarm.ring()
        if not self._running:  # no thread sweeps: who waits for the end of the work has to
            self._idle_waiters.wake()

    def sweep(self) -> None:
        """Release the dropped holds; called under the lock."""
        while self.dropped:
            self.dropped.popleft().release()

    # -- for the manager

    def start(self) -> None:
        """Start before there is work, and find out what an earlier container left behind."""
        with self.lock:
            if self.closed or self.lease.off:
                return
            self.lease.step(self.now(), Start())
            running = self._run_thread()
            self._alarm.ring()
        if not running:
            self._once.log_here(_NO_THREAD)

    def retire(self, waiter: Waiter) -> bool:
        """Release as soon as nothing is in flight, and fire `waiter` then; False if that is so already."""
        with self.lock:
            self.lease.step(self.now(), Retire())
            self.linger_reach_s = -inf
            self.sweep()
            self.book.see(self.ledger.glance())
            if self.is_idle():
                return False
            if not self._running:
                self.wakes_at = inf  # no thread will notice: the last hold has to tell
            self._idle_waiters.add(waiter)
            self._alarm.ring()
            return True

    def linger(self, *, wanted: bool) -> None:
        """Keep the lease for a while after the work, or not."""
        with self.lock:
            if self.lease.lingers != wanted:
                self.lease.step(self.now(), Linger(wanted=wanted))
                self.linger_reach_s = self._linger_reach_s if wanted and not self.lease.retiring else -inf
                self._alarm.ring()

    def sight(self) -> Sight:
        """What there is to be seen here of whether the task is to go."""
        with self.lock:
            trouble = self.lease.trouble
            return Sight(
                busy_at=self.now() if self.holds else self.ledger.idle_since,
                refused=trouble.reason or "" if trouble and trouble.outcome is Outcome.REFUSED else None,
                standing=self.lease.standing,
            )

    def stand(self, change: Callable[[Standing], Standing | None]) -> bool:
        """Change what all processes know of the task's place in its service; see `Book.stand`."""
        with self.lock:
            return self.book.stand(change)

    def is_idle(self) -> bool:
        """Whether nothing is in flight, and nothing of the lease is left to end."""
        with self.lock:
            return not self.holds and (self.closed or self.lease.off or not self.lease.owes(self.now()))

    def close(self, timeout_s: float = EXIT_S) -> None:
        """Release if nothing is in flight, end the thread, and forget the lease. Blocks for at most `timeout_s`."""
        deadline = steady_now() + timeout_s
        release_s = timeout_s * (1.0 - _ENDING)
        waiter = NativeAlarm()
        with self.lock:
            if self.closed:
                return
            owes = self._running and self.retire(waiter) and not self.holds
            worth_it = owes and self.lease.acts_by(self.now() + release_s)  # it may wait out a back-off, or its jitter
        if worth_it:
            waiter.wait(release_s)
        with self.lock:
            self.closed = True
            self.settled_until = -inf  # from now on every hold asks, and is told that nothing protects it
            self._waiters.fire()
            ended = self._ended if self._running else None
            self._alarm.ring()
        if ended:
            ended.wait(deadline - steady_now())

    # -- the thread

    def _run_thread(self) -> bool:
        if self._running or self.closed:
            return self._running
        self._running, self._ended = True, NativeAlarm()
        try:
            start_thread(self._run, name="protectwork-keeper")
            pump.start()
        except RuntimeError:  # a limit, or the interpreter's exit: the work comes first, and the next hold tries again
            self._running = False
        if self.on_news:
            self.on_news()
        return self._running

    def _run(self) -> None:
        while not self.closed:
            try:
                pause_s = self._turn()
            except BaseException:  # noqa: BLE001 - a fault of ours must not end the renewals: try on, slowly
                self.once("a fault in the keeper; it goes on")
                with suppress(Exception):  # as long as it fails, the call counts as under way
                    self._give_up_call()
                pause_s = _PAUSE_S
            if pause_s > 0 and not self.closed:
                self._alarm.wait(pause_s)
        try:
            self._leave_off()
        except BaseException:  # noqa: BLE001 - nor may it make who closes wait for a thread that has ended
            self.once("a fault in the keeper as it ended")
        if self._ended:
            self._ended.ring()

    def _leave_off(self) -> None:
        with self.lock:
            self._running = False
            self.wakes_at = inf  # no thread will notice any more: the last hold has to tell
            if not self.holds:
                self._idle_waiters.fire()
                self.book.close()

    def _give_up_call(self) -> None:
        """Have the machine wait no longer for a call that a fault has interrupted: nobody knows what ECS did."""
        answer = Answer(outcome=Outcome.AMBIGUOUS, reason="a fault of our own")
        with self.lock:
            self.book.answer(self.ledger.glance(), Answered(answer=answer))
            self._publish(self.now())

    def _open(self) -> None:
        """Take part in the shared state, at first and when its files were replaced; it is found without the lock."""
        with no_fork:  # a child must know of every descriptor that it inherits
            self._entering = self._open_state()
        with self.lock:
            self.book.open(self._entering, scope=self._scope)
            self._entering = None

    def _turn(self) -> float:
        """Do what is due; return for how long to sleep."""
        with self.lock:
            intact = self.book.is_open and self.book.look()
        if not intact:
            self._open()
        with self.lock:
            self.wakes_at = -inf
            self.sweep()
            try:
                actions = self.book.turn(self.ledger.demand())
            finally:
                now = self.now()
                self._publish(now)  # it may have left the gate
            overran = self.ledger.newly_overran(now)
            self._post(now)
            self._saw_work = bool(self.holds)
        self._tell_of_trouble()
        for hold in overran:
            self._tell(HoldOverran(label=hold.label, max_duration_s=hold.max_duration_s or 0.0))
        called = False
        for action in actions:
            match action:
                case Tell(event=event):
                    self._pass_on(event)
                case Send():
                    self._call(action)
                    called = True
        return 0.0 if called else self._plan()

    def _plan(self) -> float:
        with self.lock:
            now = self.now()
            if bool(self.holds) != self._saw_work:
                return 0.0  # it changed since the machine looked, and as long as we are awake nobody rings
            longest_s = self._longest_wait_s if self.holds else _LONGEST_WAIT_S
            self.wakes_at = min(self.lease.due(now), self.ledger.next_overrun(), self._notice.due, now + longest_s)
            return max(self.wakes_at - now, 0.0)

    def _call(self, send: Send) -> None:
        began = self.now()
        stopped = began > self.lease.sends_by()
        answer = NOT_SENT if stopped else called(self.backend, send, complain=self.once)
        left_s = None if answer.expires_at is None else answer.expires_at.timestamp() - self.clock.wall()
        with self.lock:
            actions = self.book.answer(self.ledger.glance(), Answered(answer=answer, left_s=left_s))
            now = self.now()
            self._publish(now)
        self._tell(CallFinished(call=str(send.call), answer=answer, seconds=now - began))
        for action in actions:
            if isinstance(action, Tell):
                self._pass_on(action.event)

    def _pass_on(self, event: Event) -> None:
        self._tell(event)
        if isinstance(event, LeaseLost):
            with self.lock:
                holds = list(self.holds)
            for hold in holds:
                hold.tell_lost()

    def _publish(self, now: float) -> None:
        gated = self.lease.demand.gated
        self.sure_until = self.lease.sure_until if gated else -inf
        self.covered_until = self.lease.covered_until if gated else -inf
        self.settled_until = -inf if self.closed else self.lease.settled_until(now)
        if self.lease.waits_until(now) is None:
            self._waiters.fire()
        if self.is_idle():
            self._idle_waiters.fire()
        if self.on_news and (news := (self.lease.standing, self.lease.trouble)) != self._news:
            self._news = news
            self.on_news()

    def _post(self, now: float) -> None:
        """Tell the other processes of the task, for people, what is in flight here; once a second at most."""
        if not self.book.state.shared:
            return
        text = self.ledger.for_people(ahead_s=self.clock.wall() - now)
        self._notice.tell(text, self.book.state.publish, now=now)

    def _tell_of_trouble(self) -> None:
        trouble, state = self.book.trouble, self.book.state
        if trouble and self._once.is_new(trouble):
            self._tell(SharedStateUnavailable(reason=trouble, alone=not state.shared, releases=self.book.releases))
