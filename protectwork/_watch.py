"""A thread that looks at something once in a while (EFFECTS)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial

from protectwork._clock import Alarm
from protectwork._forks import forgets_on_fork
from protectwork._native import NativeAlarm, start_thread
from protectwork._observers import Mailbox, logger

__all__ = ["Watch"]

_PAUSE_S = 1.0  # after a fault of what is looked at


class Watch:
    """A thread that looks at something once in a while: native even under gevent and eventlet, where others starve.

    A look that raises is told once, and the next one comes all the same. A forked child has no such thread.

    Args:
        look: What it does; returns after how many seconds it is to look again, or None to end.
        name: What it is called, after ``protectwork-``.
        alarm: Makes what it sleeps on; in this machine's own time when not given.
    """

    def __init__(
        self, look: Callable[[], float | None], *, name: str, alarm: Callable[[], Alarm] = NativeAlarm
    ) -> None:
        self._look, self._name, self._new_alarm = look, name, alarm
        self.forget_parent()
        forgets_on_fork(self)

    def forget_parent(self) -> None:
        """Begin with no thread."""
        self._pid = os.getpid()
        self._alarm, self._log = self._new_alarm(), Mailbox()
        self._running = self._told = False

    def start(self) -> bool:
        """Start looking, unless it does already; False where no thread can be started, and the next start tries again.

        Not for two threads at once.
        """
        if os.getpid() != self._pid:  # forked in C, past Python's hooks
            self.forget_parent()
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
