"""SIGTERM, which ECS sends before it stops a task, ends the consuming and nothing else."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["stops_on_sigterm"]


@contextmanager
def stops_on_sigterm(stop: Callable[[], None]) -> Generator[None]:
    """Have SIGTERM call `stop` for the time of the ``with``, besides what it was to call before.

    Only the main thread can hear of signals; on another nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, pid = signal.getsignal(signal.SIGTERM), os.getpid()

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        if os.getpid() != pid:  # a forked child consumes nothing: it ends as it would without us
            signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        stop()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield
    finally:
        # Else somebody has changed it meanwhile, or a finaliser runs this on another thread.
        if signal.getsignal(signal.SIGTERM) is on_sigterm and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
