"""How words of the keeper reach observers under gevent and eventlet: in the user's hub, never on a native thread.

What those have patched, the locks of logging above all, knows hubs only. Where a native thread has such a lock, or
meets one that a greenlet has, eventlet never lets go of it, and every greenlet that logs waits for ever; gevent takes a
hub with nothing else to do for one that waits for ever, and raises LoopExit in it. So native threads leave here what
they have to say, and a greenlet of the user's hub says it.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from protectwork._forks import forgets_on_fork
from protectwork._native import hush, is_patched, patched_by_eventlet

__all__ = ["pump"]

_EVERY_S = 0.1


class _Pump:
    def __init__(self) -> None:
        self.forget_parent()
        forgets_on_fork(self)

    def forget_parent(self) -> None:
        """Begin with nothing left, no greenlet and no loop."""
        self._left: deque[Callable[[], None]] = deque()
        self._looks = False  # a greenlet of eventlet, now and then: its hub hears nothing from other threads
        self._loop: Any = None  # gevent's, which can be told from any thread that something was left

    def takes(self, run: Callable[[], None]) -> bool:
        """Have `run` called in the hub soon; False where any thread may call it. Never blocks and never raises."""
        if self._loop is None and not patched_by_eventlet():
            return False
        self._left.append(run)
        if self._loop is not None:
            with suppress(Exception):  # the hub is gone: it is said at the exit
                self._loop.run_callback_threadsafe(self._spawn_all, sys.modules["gevent"])
        return True

    def start(self) -> None:
        """Have a greenlet of the hub say what is left; once is enough, and elsewhere nothing happens."""
        hush("httpcore")  # it would log on the thread that makes the calls
        if patched_by_eventlet():
            if not self._looks:
                self._looks = True
                eventlet: Any = sys.modules["eventlet"]
                eventlet.spawn(self._look, eventlet)
        elif is_patched("gevent.monkey"):
            hub = sys.modules["gevent"].get_hub()
            if hub.main_hub:  # another one may be that of a thread which runs no greenlets
                self._loop = hub.loop

    def empty(self) -> None:
        """Call now, on this thread, what was left; for the exit of the interpreter."""
        while self._left:
            self._left.popleft()()

    def _look(self, eventlet: Any) -> None:
        while True:
            self._spawn_all(eventlet)
            eventlet.sleep(_EVERY_S)

    def _spawn_all(self, package: Any) -> None:
        while self._left:
            package.spawn(self._left.popleft())  # apart from each other: one may hang


pump = _Pump()
