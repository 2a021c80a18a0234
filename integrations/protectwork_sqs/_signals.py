"""SIGTERM, which ECS sends before it stops a task, ends the consuming and nothing else."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["stops_on_sigterm"]

_stops: dict[object, tuple[int, Callable[[], None]]] = {}  # changed by single, atomic operations
"""What SIGTERM ends now, and in which process: a forked child inherits it, and consumes nothing."""


@contextmanager
def stops_on_sigterm(stop: Callable[[], None]) -> Generator[None]:
    """Have SIGTERM call `stop` for the time of the ``with``, besides what it was to call before.

    They may end in any order. Only the main thread can hear of signals; on another nothing changes.
    """
    if not _on_main_thread():
        yield
        return
    _stops[key := object()] = (os.getpid(), stop)
    before = signal.getsignal(signal.SIGTERM)
    if not isinstance(before, _Handler):
        signal.signal(signal.SIGTERM, _Handler(before))
    try:
        yield
    finally:
        _stops.pop(key, None)
        now = signal.getsignal(signal.SIGTERM)
        # Else somebody has changed it meanwhile, or a finaliser runs this on another thread.
        if isinstance(now, _Handler) and not _to_stop() and _on_main_thread():
            signal.signal(signal.SIGTERM, now.before)


class _Handler:
    """One for all that SIGTERM ends; with nothing to end it does what was to be done before."""

    def __init__(self, before: Any) -> None:
        self.before = signal.SIG_DFL if before is None else before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        for stop in (stops := _to_stop()):
            stop()
        if callable(self.before):
            self.before(number, frame)
        elif not stops:
            signal.signal(signal.SIGTERM, self.before)
            os.kill(os.getpid(), number)


def _to_stop() -> list[Callable[[], None]]:
    return [stop for pid, stop in list(_stops.values()) if pid == os.getpid()]


def _on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
