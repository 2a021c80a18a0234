"""What the end of the interpreter has to do: give back what is held, within a bound for all of it together."""

from __future__ import annotations

import atexit
import weakref
from typing import Protocol

from protectwork._clock import steady_now
from protectwork._pump import pump

__all__ = ["EXIT_S", "closes_at_exit"]

EXIT_S = 2.0  # how long the exit of a process may wait for the release


class _Closable(Protocol):
    def close(self, timeout_s: float) -> None:
        """End within `timeout_s`."""
        ...


_open: weakref.WeakSet[_Closable] = weakref.WeakSet()


def closes_at_exit(thing: _Closable) -> None:
    """Have `thing.close()` called when the interpreter ends, while `thing` lives."""
    _open.add(thing)


@atexit.register
def _close_all() -> None:
    deadline = steady_now() + EXIT_S
    for thing in list(_open):
        thing.close(max(deadline - steady_now(), 0.0))
    pump.empty()
