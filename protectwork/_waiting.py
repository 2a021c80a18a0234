"""How a thread, an asyncio task or a greenlet waits for the keeper without blocking its loop or hub.

The keeper is a native thread even where gevent or eventlet have patched threading: a patched thread starves for a
whole burst of CPU work. What the two sides share is therefore native too, and waiting greenlets look at it between
short sleeps of their hub.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from protectwork._clock import Alarm, steady_now
from protectwork._native import NativeAlarm, is_patched

__all__ = [
    "LoopWaiter",
    "SystemClock",
    "Waiter",
    "Waiters",
    "blocking_waiter",
    "on_event_loop",
]

_POLL_S = (0.001, 0.02)  # a greenlet's first look, and its rhythm later on


class Waiter(Protocol):
    """One who waits for the keeper."""

    def fire(self) -> None:
        """End the wait. Never blocks; any thread may call it, more than once."""
        ...


class Waiters:
    """All who wait for the same. Whoever shares it does so under a lock of its own, and so may a signal handler."""

    def __init__(self) -> None:
        self._waiting: dict[Waiter, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, waiter: Waiter) -> None:
        """It waits from now on."""
        self._waiting[waiter] = None

    def forget(self, waiter: Waiter) -> None:
        """It waits no longer; if it did not, nothing happens."""
        self._waiting.pop(waiter, None)

    def fire(self) -> None:
        """End the wait of all of them. Never blocks."""
        waiting, self._waiting = self._waiting, {}  # a signal handler may add another while these are fired
        for waiter in waiting:
            waiter.fire()

    def wake(self) -> None:
        """Have all of them look for themselves; needs no lock."""
        for waiter in list(self._waiting):
            waiter.fire()


class SystemClock:
    """The clock of this machine."""

    now = staticmethod(steady_now)
    wall = staticmethod(time.time)

    def alarm(self) -> Alarm:
        """An alarm that waits in real time."""
        return NativeAlarm()


class GreenletWaiter:
    """Waits in a greenlet: the hub runs everything else meanwhile."""

    def __init__(self, sleep: Callable[[float], object]) -> None:
        self._sleep = sleep
        self._fired = False

    def fire(self) -> None:
        """See `Waiter.fire`: no hub may be called from a foreign thread, so it is a flag."""
        self._fired = True

    def wait(self, timeout_s: float) -> None:
        """Look at the flag at growing intervals, for at most `timeout_s`."""
        ends, (pause, most) = steady_now() + timeout_s, _POLL_S
        while not self._fired and (left := ends - steady_now()) > 0:
            self._sleep(min(pause, left))
            pause = min(pause * 2, most)


class LoopWaiter:
    """Waits in an asyncio task; to be made on the thread of its running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._fired = self._loop.create_future()

    def fire(self) -> None:
        """See `Waiter.fire`."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            self._loop.call_soon_threadsafe(self._set)

    def _set(self) -> None:
        if not self._fired.done():
            self._fired.set_result(None)

    async def wait(self, timeout_s: float) -> None:
        """Wait for at most `timeout_s`; may be cancelled."""
        await asyncio.wait((self._fired,), timeout=timeout_s)


def blocking_waiter() -> NativeAlarm | GreenletWaiter:
    """What code that is allowed to wait waits on, here: its greenlet where it runs in one, else its thread."""
    sleep = _hub_sleep()
    return GreenletWaiter(sleep) if sleep else NativeAlarm()


def on_event_loop() -> bool:
    """Whether this thread is running an event loop, which a wait would stop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _hub_sleep() -> Callable[[float], object] | None:
    """How to wait on the hub that this code runs under; None where there is none, and the wait stops only a thread."""
    for library, patcher, is_hub in (
        ("gevent", "gevent.monkey", _is_gevent_hub),
        ("eventlet", "eventlet.patcher", _is_eventlet_hub),
    ):
        module: Any = sys.modules.get(library)
        getcurrent = getattr(module, "getcurrent", None)  # missing as well while another thread imports it
        if getcurrent and (is_patched(patcher) or is_hub(module, getcurrent().parent)):
            sleep: Callable[[float], object] = module.sleep
            return sleep
    return None


def _is_gevent_hub(gevent: Any, parent: object) -> bool:
    return isinstance(parent, gevent.hub.Hub)


def _is_eventlet_hub(eventlet: Any, parent: object) -> bool:
    return parent is not None and parent is eventlet.hubs.get_hub().greenlet
