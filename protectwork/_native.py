"""Threads and alarms of the system itself, also where gevent or eventlet have patched threading.

A patched thread starves for a whole burst of CPU work, so what has to go on meanwhile is native, and so is what it is
woken by.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["NativeAlarm", "hush", "is_patched", "patched_by_eventlet", "start_thread"]


class NativeAlarm:
    """An alarm on one native lock, which is held except between a ring and the wait that hears it."""

    def __init__(self) -> None:
        self._silence = _native("allocate_lock")()
        self._silence.acquire()

    def ring(self) -> None:
        """See `Alarm.ring`."""
        with suppress(RuntimeError):  # it rings already
            self._silence.release()

    def wait(self, timeout_s: float) -> None:
        """See `Alarm.wait`; in the main thread, signal handlers run meanwhile."""
        self._silence.acquire(timeout=max(timeout_s, 0.0))

    fire = ring


def start_thread(run: Callable[[], None], *, name: str) -> None:
    """Start a native daemon thread.

    Raises:
        RuntimeError: No thread can be started: a limit, or the interpreter is shutting down.
    """
    if _patched("gevent.monkey") or _patched("eventlet.patcher"):
        _native("start_new_thread")(run, ())
    else:
        threading.Thread(target=run, name=name, daemon=True).start()


def patched_by_eventlet() -> bool:
    """Whether eventlet has patched threading, and with it the locks of everything else."""
    return is_patched("eventlet.patcher")


def hush(*packages: str) -> None:
    """Where gevent or eventlet have patched threading, keep these packages from logging; they do it at DEBUG, and much.

    The locks of logging are patched too. A native thread that has had one leaves greenlets waiting for it: under gevent
    until it comes by its own hub again, under eventlet for ever.
    """
    if is_patched("gevent.monkey") or is_patched("eventlet.patcher"):
        for name, logger in list(logging.root.manager.loggerDict.items()):
            if name.partition(".")[0] in packages and isinstance(logger, logging.Logger):
                logger.disabled = True


def is_patched(name: str) -> bool:
    """Whether the module of gevent or eventlet that patches threading is loaded and has done so."""
    return _patched(name) is not None


def _patched(name: str) -> Any:
    """The module of gevent or eventlet that patches threading, if it is loaded and has done so."""
    module = sys.modules.get(name)
    if module is None:
        return None
    asks = getattr(module, "is_module_patched", None) or module.is_monkey_patched
    return module if asks("thread") or asks("threading") else None


def _native(name: str) -> Any:
    """A function of `_thread`, as it was before anybody patched it."""
    if gevent := _patched("gevent.monkey"):
        return gevent.get_original("_thread", name)
    if eventlet := _patched("eventlet.patcher"):
        return getattr(eventlet.original("_thread"), name)
    return getattr(sys.modules["_thread"], name)
