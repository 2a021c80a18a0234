"""A clock that runs faster than the machine's, and alike in all processes that were given the same one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from protectwork._clock import Alarm, steady_now
from protectwork._native import NativeAlarm


@dataclass(frozen=True, kw_only=True)
class FastClock:
    """Seconds go by `speed` times as fast; its `repr` makes the same clock in another process."""

    speed: float
    start: float = field(default_factory=steady_now)
    epoch: float = field(default_factory=time.time)

    def now(self) -> float:
        return self.start + self._elapsed()

    def wall(self) -> float:
        return self.epoch + self._elapsed()

    def alarm(self) -> Alarm:
        return _FastAlarm(self.speed)

    def _elapsed(self) -> float:
        return (steady_now() - self.start) * self.speed


class _FastAlarm(NativeAlarm):
    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def wait(self, timeout_s: float) -> None:
        super().wait(timeout_s / self._speed)
