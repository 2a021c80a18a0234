"""What ends a wait: a bell for one who waits, and the word to stop, which rings the bells of all."""

from __future__ import annotations

from math import inf
from typing import Protocol

from protectwork.adapters import LoopWaiter, Waiter, Waiters, blocking_waiter, steady_now

__all__ = ["Bell", "Stop"]


class Bell:
    """Ends the wait of one thread or task, that which is under way or the next one. A signal handler may ring it."""

    def __init__(self) -> None:
        self._waiters = Waiters()
        self._rung = False

    def ring(self) -> None:
        """Ring it. Never blocks; any thread may."""
        self._rung = True
        self._waiters.wake()

    def wait(self, seconds: float) -> None:
        """Wait on this thread, or in this greenlet."""
        waiter = blocking_waiter()
        try:
            if not self._rings_for(waiter):
                waiter.wait(seconds)
        finally:
            self._over(waiter)

    async def wait_async(self, seconds: float) -> None:
        """Wait in this task."""
        waiter = LoopWaiter()
        try:
            if not self._rings_for(waiter):
                await waiter.wait(seconds)
        finally:
            self._over(waiter)

    def _rings_for(self, waiter: Waiter) -> bool:
        self._waiters.add(waiter)
        return self._rung

    def _over(self, waiter: Waiter) -> None:
        self._waiters.forget(waiter)
        self._rung = False


class Rung(Protocol):
    """What can be rung from everywhere: a `Bell`, or a watch."""

    def ring(self) -> None:
        """Ring it. Never blocks; any thread and signal handler may."""
        ...


class Stop:
    """The word to receive no more, said once and for good. A signal handler may say it.

    Attributes:
        is_set: It was said.
        at: When that was; inf before.
    """

    def __init__(self) -> None:
        self.is_set = False
        self.at = inf
        self._bells: dict[Rung, None] = {}  # changed by single, atomic operations

    def set(self) -> None:
        """Say it. Never blocks; any thread may."""
        self.at, self.is_set = min(self.at, steady_now()), True
        for bell in list(self._bells):
            bell.ring()

    def rings(self, *bells: Rung) -> None:
        """Ring them when it is said."""
        self._bells.update(dict.fromkeys(bells))

    def forget(self, *bells: Rung) -> None:
        """Do so no longer."""
        for bell in bells:
            self._bells.pop(bell, None)
