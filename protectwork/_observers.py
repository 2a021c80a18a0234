"""How the user's code hears of events: on threads of its own, so that what is slow, hangs or raises hurts nobody."""

from __future__ import annotations

import logging
import sys
import threading
from _thread import RLock
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from protectwork._events import (
    AdapterEvent,
    AdmissionClosed,
    AdmissionOpened,
    CallFinished,
    Event,
    HoldOverran,
    LeaseAtRisk,
    LeaseConfirmed,
    LeaseLost,
    LeaseRecovered,
    LeaseRefused,
    LeaseReleased,
    LeaseRenewed,
    Observer,
    SharedStateUnavailable,
)
from protectwork._forks import forgets_on_fork
from protectwork._native import NativeAlarm, start_thread
from protectwork._pump import pump
from protectwork._types import Answer, Outcome
from protectwork.backends import remedy_for

__all__ = ["Callbacks", "LoggingObserver", "Mailbox", "Observers", "Once", "callbacks", "logger"]

logger = logging.getLogger("protectwork")

_MOST_WAITING = 1000  # events that a hanging observer may have waiting; the oldest are dropped
_PATIENCE_S = 0.05  # how long a callback keeps the next one waiting: none that only takes note needs as much
_MUCH_SLACK_S = 600.0  # a failed renewal is not worth a warning while that much is left


class Mailbox:
    """What waits to be run, in order, on a thread that lives only while something waits.

    Where the limit of threads is reached it goes on waiting, until any mailbox is given the next letter. It is never
    run on the thread that puts it there, which may be the keeper's: what hangs would end the renewals.
    """

    def __init__(self, *, most_waiting: int | None = _MOST_WAITING) -> None:
        self._most_waiting = most_waiting
        self._complained = False
        self.forget_parent()
        forgets_on_fork(self)

    def forget_parent(self) -> None:
        """Begin with nothing waiting and no thread."""
        self._lock = RLock()  # guards _running, and with it that no letter is left by a thread that ends
        self._letters: deque[Callable[[], object]] = deque(maxlen=self._most_waiting)
        self._running = False

    def put(self, letter: Callable[[], object]) -> None:
        """Have `letter` called soon. Never blocks and never raises."""
        self._letters.append(letter)
        self.deliver_soon()
        for mailbox in tuple(_stranded):
            mailbox.deliver_soon()

    def deliver_soon(self) -> None:
        """See to it that somebody delivers what waits. Never blocks and never raises."""
        _stranded.discard(self)
        with self._lock:
            if self._running or not self._letters:
                return
            self._running = True
        if pump.takes(self._deliver):
            return
        try:
            start_thread(self._deliver, name="protectwork-observer")
        except RuntimeError:
            self._without_thread()

    def _without_thread(self) -> None:
        if threading.main_thread().is_alive():  # a limit, which may pass
            with self._lock:
                self._running = False
            _stranded.add(self)
        else:  # the interpreter's exit starts none any more: better late on this thread than never
            self._deliver()

    def _deliver(self) -> None:
        while True:
            with self._lock:
                if not self._letters:
                    self._running = False
                    return
                letter = self._letters.popleft()
            try:
                letter()
            except BaseException:  # noqa: BLE001 - SystemExit, say: the next event is delivered all the same
                self._complain()

    def _complain(self) -> None:
        """Tell of an observer's fault, the first one loudly; a filter of the user's logging may raise in turn."""
        level = logging.DEBUG if self._complained else logging.ERROR
        self._complained = True
        with suppress(Exception):
            logger.log(level, "an observer of protectwork raised", exc_info=True)


_stranded: set[Mailbox] = set()
"""Those whose letters found no thread; changed by single, atomic operations."""


class Callbacks:
    """Calls what users gave for one moment only, such as `on_lost`, each on a thread of its own.

    The next one comes when the one before has returned, or is taking long: so a thousand at once take a thread or two,
    and one that hangs keeps no other from being called.
    """

    def __init__(self) -> None:
        self._turns = Mailbox(most_waiting=None)  # as many as there are holds, and none may be dropped

    def call(self, callback: Callable[[], object]) -> None:
        """Have `callback` called soon. Never blocks and never raises."""
        turn = _Turn(callback)
        if not pump.takes(turn.run):  # greenlets are cheap: there it is one for each
            self._turns.put(turn.begin)


callbacks = Callbacks()


class _Turn:
    """One callback, and for how long the next one waits."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback = callback
        self._returned = NativeAlarm()

    def begin(self) -> None:
        """Call it on a thread of its own, and wait a moment for it to return."""
        try:
            start_thread(self.run, name="protectwork-on-lost")
        except RuntimeError:  # no more threads: better on this one, where it keeps the next one waiting, than never
            self.run()
        self._returned.wait(_PATIENCE_S)

    def run(self) -> None:
        """Call it; whatever it raises is told, and ends nothing."""
        try:
            self._callback()
        except BaseException:  # SystemExit, say, would end the thread without a word
            with suppress(Exception):
                logger.exception("an on_lost callback of protectwork raised")
        finally:
            self._returned.ring()


class _Subscriber(Mailbox):
    """One observer, until it unsubscribes: then it hears not even what waits."""

    def __init__(self, observer: Observer) -> None:
        super().__init__()
        self.observer = observer
        self.subscribed = True

    def tell(self, event: Event) -> None:
        self.put(lambda: self._hear(event))

    def _hear(self, event: Event) -> None:
        if self.subscribed:
            self.observer.on_event(event)


class Observers:
    """Who hears of the events of one manager. Safe in any thread.

    Args:
        log: Hears of all that the manager does, and of nothing that adapters tell, which may be much.
    """

    def __init__(self, log: Observer) -> None:
        self._subscribers: dict[int, _Subscriber] = {}  # by identity; changed by single, atomic operations
        self._log = log
        self.add(log)

    def add(self, observer: Observer) -> Callable[[], None]:
        """Deliver to `observer` from now on, until the returned function is called; twice is once."""
        subscriber = self._subscribers.setdefault(id(observer), _Subscriber(observer))
        return lambda: self._remove(subscriber)

    def _remove(self, subscriber: _Subscriber) -> None:
        if subscriber.subscribed:
            subscriber.subscribed = False
            self._subscribers.pop(id(subscriber.observer), None)

    def tell(self, event: Event) -> None:
        """Deliver `event` to everyone. Never blocks and never raises."""
        for subscriber in list(self._subscribers.values()):
            if subscriber.observer is not self._log or not isinstance(event, AdapterEvent):
                subscriber.tell(event)


class Once:
    """Logs each trouble the first time that it happens."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._log = Mailbox()

    def forget_parent(self) -> None:
        """In a forked child everything happens for the first time."""
        self._told = set()

    def is_new(self, trouble: str) -> bool:
        """Whether it has not happened before."""
        if trouble in self._told:
            return False
        self._told.add(trouble)
        return True

    def log(self, trouble: str) -> None:
        """Log it, if it is new; as an error with its traceback if one is being handled.

        Never blocks and never raises, whatever the handlers of the user's logging do.
        """
        if self.is_new(trouble):
            error = sys.exception()
            level = logging.ERROR if error else logging.WARNING
            self._log.put(partial(logger.log, level, "%s", trouble, exc_info=error))

    def log_here(self, trouble: str) -> None:
        """Log it, if it is new, on this thread: where no other can be started, and none of ours is held up by it."""
        if self.is_new(trouble):
            with suppress(Exception):
                logger.warning("%s", trouble)


class LoggingObserver:
    """The default observer: one line per change of state, none per renewal above DEBUG."""

    def on_event(self, event: Event) -> None:
        """Log `event` at the level that it deserves."""
        level, text = _line(event)
        if not text.isprintable():  # what ECS or a backend said could forge lines of its own
            text = text.encode("unicode_escape").decode("ascii")
        logger.log(level, "%s", text)


def _line(event: Event) -> tuple[int, str]:  # noqa: C901, PLR0911 - a table, one row per event
    match event:
        case LeaseConfirmed(slack_s=slack_s):
            return logging.INFO, f"protected for {slack_s:.0f} s"
        case LeaseRenewed(slack_s=slack_s):
            return logging.DEBUG, f"protection renewed for {slack_s:.0f} s"
        case LeaseRecovered(slack_s=slack_s):
            return logging.WARNING, f"protected again for {slack_s:.0f} s, after the lease had been lost"
        case LeaseReleased():
            return logging.INFO, "no longer protected: nothing is in flight"
        case LeaseRefused() | LeaseAtRisk():
            return _trouble(event)
        case LeaseLost(in_flight=in_flight):
            return logging.ERROR, f"protection ran out with {in_flight} in flight: ECS may stop this task at any moment"
        case HoldOverran(label=label, max_duration_s=max_duration_s):
            text = f"{label!r} runs longer than its max_duration of {max_duration_s:.0f} s; it stays protected"
            return logging.WARNING, text
        case CallFinished(call=call, answer=answer, seconds=seconds):
            return logging.DEBUG, f"{call} {said(answer)} after {seconds:.3f} s"
        case AdmissionClosed(reason=reason):
            return logging.INFO, f"admission closed: {reason}"
        case AdmissionOpened():
            return logging.INFO, "admission open"
        case SharedStateUnavailable():
            return logging.WARNING, f"{_unshared(event)}: {event.reason}"
        case AdapterEvent():
            return logging.DEBUG, repr(event)


def _unshared(event: SharedStateUnavailable) -> str:
    if not event.alone:
        return "the record of this task cannot be written; who is busy is still known, trying again every 30 s"
    if not event.releases:
        return "this process counts alone, and never ends protection, which runs out with its lease"
    return "this process counts alone: the first one of this task to become idle ends the protection of the others"


def _trouble(event: LeaseRefused | LeaseAtRisk) -> tuple[int, str]:
    if event.answer.outcome is Outcome.NOT_A_SERVICE_TASK:
        return logging.WARNING, "this task belongs to no service, so it needs no protection; protectwork is off"
    verb = "be protected" if event.slack_s <= 0 else f"renew protection, which lasts {event.slack_s:.0f} s more"
    text = f"cannot {verb} ({said(event.answer)}); {event.in_flight} in flight, trying on{_remedy(event.answer)}"
    return (logging.INFO if event.slack_s > _MUCH_SLACK_S else logging.WARNING), text


def _remedy(answer: Answer) -> str:
    if answer.outcome is not Outcome.MISCONFIGURED:
        return ""
    remedy = remedy_for(answer.reason) or (
        "the task role needs ecs:UpdateTaskProtection and ecs:GetTaskProtection,"
        " and ECS's variables must be as ECS set them"
    )
    return f"; this will not mend itself: {remedy}"


def said(answer: Answer) -> str:
    """One answer in a few words."""
    words = (answer.reason, answer.detail)
    return ": ".join((str(answer.outcome), *(word for word in words if word)))
