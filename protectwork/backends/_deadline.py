"""A deadline for what knows none: it runs on a thread that may be left behind, and that from then on sends nothing."""

from __future__ import annotations

import io
import weakref
from _thread import RLock
from collections.abc import Callable, Iterable
from contextlib import suppress

from protectwork._clock import steady_now
from protectwork._forks import forgets_on_fork
from protectwork._native import NativeAlarm, start_thread

__all__ = ["Bounded", "OutOfTimeError", "Permit", "PermitBody"]

_NAP_S = 3600.0  # a wait for a ring; nothing happens when it is over
_PATIENCE_S = 30.0
_MOST_HANDS = 4


class OutOfTimeError(Exception):
    """The call is over, so nothing is sent any more. No OSError: HTTP libraries take those for the connection's."""


class Permit:
    """The permit of one call to send, which ends with it; so what is left behind cannot land unaccounted.

    Args:
        end_by: Until when the call lasts, on the machine's steady clock.
        now: What the time of sending is told by.
    """

    def __init__(self, *, end_by: float, now: Callable[[], float]) -> None:
        self._end_by, self._now = end_by, now
        self._lock = RLock()  # guards all below
        self._over = self._begun = False
        self._sent_at: float | None = None

    def begin(self) -> None:
        """To be called right before the first byte that counts is written.

        Raises:
            OutOfTimeError: The call is over.
        """
        with self._lock:
            if self._over or steady_now() >= self._end_by:
                raise OutOfTimeError("the call is over")
            self._begun, self._sent_at = True, None

    def written(self) -> None:
        """To be called when the last byte is written."""
        with self._lock:
            self._sent_at = self._now()

    @property
    def begun(self) -> bool:
        """Whether anything may have been sent."""
        with self._lock:
            return self._begun

    @property
    def over(self) -> bool:
        """Whether nothing may be sent any more."""
        with self._lock:
            return self._over or steady_now() >= self._end_by

    def end(self) -> float | None:
        """From now on nothing may be sent; returns when something was, None if nothing was."""
        with self._lock:
            self._over = True
            if not self._begun:
                return None
            # Begun and not written, it may be written now, if this process was stopped in between.
            return self._now() if self._sent_at is None else self._sent_at


class PermitBody(io.BytesIO):
    """The body of a request, which an HTTP library reads when the connection stands and the head is written.

    Without it the other side does nothing. So this is where a permit counts: however long connecting took, the body
    goes only while the call lasts.
    """

    def __init__(self, body: bytes, permit: Permit) -> None:
        super().__init__(body)
        self._permit = permit

    def read(self, size: int | None = -1, /) -> bytes:
        """See `io.BytesIO.read`.

        Raises:
            OutOfTimeError: The call is over.
        """
        if self.tell() == 0:
            self._permit.begin()
        data = super().read(size)
        if not data:
            self._permit.written()
        return data


class Bounded:
    """Runs jobs one at a time on a native thread of its own, and waits for none longer than it is told to.

    A job that takes longer goes on, and the next one waits until it has ended. One that does not end, because what it
    calls hangs, is left behind; while there are too many of those, nothing is run. The thread waits between jobs, for
    at the exit of the interpreter none can be started; it ends with this object. Any thread may use it; a forked child
    begins anew.

    Args:
        name: What the thread is called, after ``protectwork-``.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.forget_parent()
        forgets_on_fork(self)

    def forget_parent(self) -> None:
        """Begin with no thread."""
        self._turn = RLock()  # held by whoever has a job run, and guards the two below
        self._hand: _Hand | None = None
        self._hands: list[_Hand] = []
        weakref.finalize(self, _dismiss, self._hands).atexit = False

    def run(self, job: Callable[[], None], *, by: float) -> bool:
        """Run a job, which must not raise; returns whether it has ended. Blocks until `by`, on the steady clock."""
        if not self._turn.acquire(timeout=max(by - steady_now(), 0.0)):
            return False
        try:
            hand = self._free_hand(by)
            return hand is not None and hand.run(job, by=by)
        finally:
            self._turn.release()

    def leave_behind(self) -> None:
        """Have the next job not wait for the one that has not ended."""
        with self._turn:
            if self._hand and self._hand.busy:
                self._hand.dismiss()
                self._hand = None

    def _free_hand(self, by: float) -> _Hand | None:
        if self._hand and self._hand.hangs:
            self.leave_behind()
        if self._hand is None:
            self._hands[:] = [hand for hand in self._hands if hand.busy]
            if len(self._hands) < _MOST_HANDS:
                self._hand = self._new_hand()
        return self._hand if self._hand and self._hand.ends(by) else None

    def _new_hand(self) -> _Hand | None:
        try:
            hand = _Hand(self._name)
        except RuntimeError:  # a limit, or the interpreter's exit
            return None
        self._hands.append(hand)
        return hand


class _Hand:
    """One thread, and the job that it does; told what to do by one thread at a time."""

    def __init__(self, name: str) -> None:
        self._bell, self._done = NativeAlarm(), NativeAlarm()
        self._job: Callable[[], None] | None = None
        self._began_at = 0.0
        self._dismissed = False
        start_thread(self._run, name=f"protectwork-{name}")

    @property
    def busy(self) -> bool:
        return self._job is not None

    @property
    def hangs(self) -> bool:
        return self.busy and steady_now() - self._began_at > _PATIENCE_S

    def run(self, job: Callable[[], None], *, by: float) -> bool:
        """Begin a job; returns whether it has ended in time."""
        self._began_at, self._job = steady_now(), job
        self._bell.ring()
        return self.ends(by)

    def ends(self, by: float) -> bool:
        """Wait for the job that it does, if any; returns whether it has ended in time."""
        while self.busy and (left_s := by - steady_now()) > 0:
            self._done.wait(left_s)
        return not self.busy

    def dismiss(self) -> None:
        """End the thread, as soon as the job that it does has ended."""
        self._dismissed = True
        self._bell.ring()

    def _run(self) -> None:
        while not self._dismissed:
            self._bell.wait(_NAP_S)
            if self._job:
                with suppress(BaseException):  # a job says itself what it has to say, and the next one needs the thread
                    self._job()
                self._job = None
                self._done.ring()


def _dismiss(hands: Iterable[_Hand]) -> None:
    for hand in hands:
        hand.dismiss()
