"""How words of the keeper reach observers under eventlet: in the hub, never on a native thread.

What eventlet has patched, the locks of logging above all, knows one hub only. A native thread that meets such a lock
while a greenlet has it leaves the lock taken for ever, and with it every greenlet that logs. So native threads leave
here what they have to say, and a greenlet of the user's hub looks for it.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from protectwork._forks import forgets_on_fork
from protectwork._native import hush, patched_by_eventlet

__all__ = ["pump"]

_EVERY_S = 0.1


class _Pump:
    def __init__(self) -> None:
        self.forget_parent()
        forgets_on_fork(self)

    def forget_parent(self) -> None:
        """Begin with nothing left and no greenlet."""
        self._left: deque[Callable[[], None]] = deque()
        self._pumping = False

    def takes(self, run: Callable[[], None]) -> bool:
        """Have `run` called in the hub soon; False where any thread may call it. Never blocks."""
        if not patched_by_eventlet():
            return False
        self._left.append(run)
        return True

    def start(self) -> None:
        """Begin to look, from a greenlet of the hub; once is enough, and elsewhere nothing happens."""
        hush("httpcore")  # it would log on the thread that makes the calls
        if self._pumping or not patched_by_eventlet():
            return
        self._pumping = True
        eventlet: Any = sys.modules["eventlet"]
        eventlet.spawn(self._run, eventlet)

    def empty(self) -> None:
        """Call now, on this thread, what was left; for the exit of the interpreter."""
        while self._left:
            self._left.popleft()()

    def _run(self, eventlet: Any) -> None:
        while True:
            while self._left:
                eventlet.spawn(self._left.popleft())  # apart from each other: one may hang
            eventlet.sleep(_EVERY_S)


pump = _Pump()
