"""How many task protection actions ECS takes: one bucket for all services of an account (contract §4)."""

from __future__ import annotations

import threading

from protectwork.testing._ecs_time import EcsTime

__all__ = ["Quota"]


class Quota:
    """The account's bucket of task protection actions, Update and Get together. Any thread may use it.

    Hand the same one to every fake that stands for the same account. What comes too soon is answered with
    ThrottlingException.

    Args:
        time: The time it is filled by.
        burst: How many actions it holds when it is full, as it is first.
        per_s: How many come in each second.

    Attributes:
        taken: How many actions it gave.
        refused: How many it did not have.
    """

    def __init__(self, time: EcsTime, *, burst: float = 200, per_s: float = 80) -> None:
        self._time = time
        self._burst, self._per_s = burst, per_s
        self._lock = threading.Lock()  # guards all below
        self._left, self._at = burst, time.now()
        self.taken = 0
        self.refused = 0

    def limit(self, *, burst: float, per_s: float) -> None:
        """Let it be of another size from now on, as if other services of the account took their share."""
        with self._lock:
            self._burst, self._per_s = burst, per_s
            self._left = min(self._left, burst)

    def take(self) -> bool:
        """Take one action, if there is one."""
        with self._lock:
            now = self._time.now()
            self._left, self._at = min(self._burst, self._left + (now - self._at) * self._per_s), now
            if self._left < 1:
                self.refused += 1
                return False
            self._left -= 1
            self.taken += 1
            return True
