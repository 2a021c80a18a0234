"""The time of the fakes: it runs with a clock, and a test can move it ahead."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta

from protectwork._clock import Clock, steady_now
from protectwork._errors import SettingsError
from protectwork._types import Seconds

__all__ = ["EcsTime", "in_seconds"]


class EcsTime:
    """The time at ECS, shared by every fake of one test. Any thread may use it.

    Its readings are seconds of CLOCK_BOOTTIME where there is one, so that they compare with those that other
    processes of the machine took. Its dates never jump: ECS does not share the wall clock of the machine.

    Args:
        clock: What it runs with; the machine's own clock by default.
        minute_s: How long a minute of protection lasts; 60 s, unless a test has no time for that.

    Attributes:
        minute_s: How long a minute of protection lasts, in seconds.
    """

    def __init__(self, clock: Clock | None = None, *, minute_s: float = 60.0) -> None:
        self.minute_s = minute_s
        self._now = clock.now if clock else steady_now
        self._ahead_s = 0.0
        self._epoch = (clock.wall() if clock else time.time()) - self._now()

    def now(self) -> float:
        """The time, in seconds."""
        return self._now() + self._ahead_s

    def date(self, at: float) -> datetime:
        """The moment `at` as a date (aware, UTC)."""
        return datetime.fromtimestamp(self._epoch + at, UTC)

    def timestamp(self, at: float | None) -> float | None:
        """The moment `at` in seconds since the epoch, with milliseconds, as ECS's API tells it."""
        return None if at is None else round(self._epoch + at, 3)

    def advance(self, seconds: Seconds) -> None:
        """Move this time ahead; the clock that it runs with stays where it is.

        Raises:
            SettingsError: `seconds` is negative or not finite.
        """
        self._ahead_s += in_seconds(seconds, setting="seconds")


def in_seconds(value: Seconds, *, setting: str) -> float:
    """A duration as a number of seconds.

    Raises:
        SettingsError: It is negative or not finite.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not 0 <= seconds < math.inf:
        raise SettingsError(setting=setting, rule="0 s or more", value=f"{seconds:g} s")
    return seconds
