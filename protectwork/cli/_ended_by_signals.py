"""How a command that has started much ends with all of it, whatever ends it."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["ended_by_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_by_signals() -> Generator[None, None, None]:
    """Let SIGTERM and SIGHUP, which would end this process at once, do as Ctrl-C does: raise KeyboardInterrupt.

    Only the first of them does; those that follow would break off the clearing up, which does not take long. One that
    is ignored stays so, as Ctrl-C is in a shell's background. For the main thread alone.
    """
    coming = True

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal coming
        if coming:
            coming = False
            raise KeyboardInterrupt

    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        coming = False
        for number, handler in before.items():
            signal.signal(number, handler)
