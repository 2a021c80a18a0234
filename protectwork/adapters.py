"""What adapters need beside a manager: a thread that looks, the pause while ECS refuses, a framework's settings."""

from __future__ import annotations

import sys
from _thread import RLock
from collections.abc import Callable
from functools import partial

from protectwork._forks import forgets_on_fork
from protectwork._hold import Hold
from protectwork._manager import ProtectionManager
from protectwork._native import NativeAlarm, start_thread
from protectwork._observers import Mailbox, logger
from protectwork._process import configure_for_framework
from protectwork._types import Outcome

__all__ = ["Pause", "Watch", "configure_for_framework"]

_PAUSE_S = 1.0  # after a fault of what is looked at


class Watch:
    """A thread that looks at something once in a while: native even under gevent and eventlet, where others starve.

    A look that raises is told once, and the next one comes all the same. A forked child has no such thread.

    Args:
        look: What it does; returns after how many seconds it is to look again, or None to end.
        name: What it is called, after ``protectwork-``.
    """

    def __init__(self, look: Callable[[], float | None], *, name: str) -> None:
        self._look, self._name = look, name
        self.forget_parent()
        forgets_on_fork(self)

    def forget_parent(self) -> None:
        """Begin with no thread."""
        self._alarm, self._log = NativeAlarm(), Mailbox()
        self._running = self._told = False

    def start(self) -> bool:
        """Start looking, unless it does already; False where no thread can be started, and the next start tries again.

        Not for two threads at once.
        """
        if not self._running:
            self._running = True
            try:
                start_thread(self._run, name=f"protectwork-{self._name}")
            except RuntimeError:  # a limit, or the interpreter's exit
                self._running = False
        return self._running

    def ring(self) -> None:
        """Have it look soon. Never blocks; any thread may call it."""
        self._alarm.ring()

    def _run(self) -> None:
        while (pause_s := self._look_once()) is not None:
            self._alarm.wait(pause_s)
        self._running = False

    def _look_once(self) -> float | None:
        try:
            return self._look()
        except Exception:  # noqa: BLE001 - what is looked at may be anybody's: the next look may do better
            self._complain()
            return _PAUSE_S

    def _complain(self) -> None:
        if not self._told:
            self._told = True
            said, error = f"a fault in the thread protectwork-{self._name}; it goes on", sys.exception()
            self._log.put(partial(logger.error, "%s", said, exc_info=error))


class Pause:
    """Keeps admission closed while the task cannot be protected, and has ECS asked again meanwhile.

    ECS is asked only while something is in flight, and work may not come while admission is closed. So it takes a hold
    of its own, which asks as often as the lease machine allows; but not while an older lease is still sure: without
    work that one has to end, for it is what the deployment waits for.

    Args:
        manager: Whose admission it is.
        when_refused: A refusal closes it.
        when_unprotected: Whatever leaves the task unprotected closes it.
    """

    REASON = "ECS does not protect this task"

    def __init__(self, manager: ProtectionManager, *, when_refused: bool, when_unprotected: bool) -> None:
        self._manager = manager
        self._when_refused, self._when_unprotected = when_refused, when_unprotected
        self._lock = RLock()  # guards the two below
        self._asking: Hold | None = None
        self._over = False

    def begin(self) -> None:
        """Close admission until a lease is confirmed again: work was refused that insists on one."""
        self._manager.admission.close(self.REASON)

    def look(self) -> None:
        """Close or open admission by what ECS said last; to be called about once a second. Never blocks."""
        with self._lock:
            if self._over:
                return
            admission = self._manager.admission
            if self._closes():
                self.begin()
            elif self.REASON in admission.reasons and self._may_open():
                admission.reopen(self.REASON)
            self._ask(wanted=admission.reasons == (self.REASON,) and not self._manager.confirmed)

    def end(self) -> None:
        """Leave admission as it is without this, for good."""
        with self._lock:
            self._over = True
            self._ask(wanted=False)
            self._manager.admission.reopen(self.REASON)

    def _closes(self) -> bool:
        trouble = self._manager.trouble
        if trouble is None:
            return False
        refused = self._when_refused and trouble.outcome is Outcome.REFUSED
        return refused or (self._when_unprotected and not self._manager.confirmed)

    def _may_open(self) -> bool:
        return self._manager.trouble is None and (self._manager.confirmed or not self._when_unprotected)

    def _ask(self, *, wanted: bool) -> None:
        if self._asking and not wanted:
            self._asking.release()
            self._asking = None
        elif wanted and not self._asking:
            self._asking = self._manager.acquire("asks ECS again", on_unprotected="run", timeout=0)
