"""Time, as the keeper sees it: one steady clock to decide by, wall time only to show, and an alarm to wait on."""

from __future__ import annotations

import functools
import time
from typing import Protocol

__all__ = ["Alarm", "Clock"]

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""CLOCK_BOOTTIME goes on while the machine is suspended, as ECS's expiry does; not every system has it."""


class Alarm(Protocol):
    """What one thread sleeps on and any thread may ring."""

    def ring(self) -> None:
        """End the wait that is under way, or the next one. Never blocks; safe anywhere, a finaliser included."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Sleep until rung, for at most ``timeout_s``."""
        ...


class Clock(Protocol):
    """A source of time."""

    def now(self) -> float:
        """Seconds on a steady clock that no one sets and that goes on through a suspend."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch, UTC; may jump."""
        ...

    def alarm(self) -> Alarm:
        """A new alarm whose waits run on this clock."""
        ...


steady_now = functools.partial(time.clock_gettime, _STEADY)
"""The steady clock of this machine as one call into C: a hold reads it twice."""
