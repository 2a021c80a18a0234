"""The flows of a whole consumer: receive for free slots, start, delete in batches, and wind down."""

from __future__ import annotations

from _thread import RLock
from collections.abc import Callable
from dataclasses import dataclass

from protectwork.adapters import steady_now
from protectwork_sqs._bell import Stop
from protectwork_sqs._consuming import Consuming
from protectwork_sqs._custody import InHand
from protectwork_sqs._flow import Flow, Wait
from protectwork_sqs._options import Options
from protectwork_sqs._order import Order

__all__ = ["Crew"]

_FLUSH_SIZE, _FLUSH_S = 10, 0.2
_MOST_UNSETTLED = 100  # beyond what is being handled: where deleting is slow, more would only wait for it
_LOOK_EVERY_S = 1.0
_IDLE_S = 30.0  # whatever ends rings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """A message whose handler has ended, and when; `interrupted` if it was not its own fault."""

    item: InHand
    at: float
    interrupted: bool


class Crew:
    """What the handlers of one consumer are doing. Its state is safe in any thread.

    Args:
        options: What to do.
        stop: The word to stop.
        concurrency: How many messages are handled at once.
        start: Has a message handled elsewhere, where `begins` is asked first; returns at once, and may be called where
            the messages before were settled.
        on_ended: Called when a handler has ended: there may be something to delete.
        on_free: Called when a message may be started that could not be before.
        ready: Has so many messages be startable, before they are; called only where messages are received.
    """

    def __init__(
        self,
        options: Options,
        stop: Stop,
        *,
        concurrency: int,
        start: Callable[[InHand], None],
        on_ended: Callable[[], None],
        on_free: Callable[[], None],
        ready: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.consuming = Consuming(options, stop)
        self._concurrency, self._start = concurrency, start
        self._on_ended, self._on_free, self._ready = on_ended, on_free, ready
        self._order = Order(in_groups=self.consuming.queue.is_fifo)
        self._lock = RLock()  # guards the two below
        self._open: set[InHand] = set()
        self._outbox: list[_Ended] = []

    def intake(self) -> Flow[None]:
        """Receive and start, until it is to stop."""
        while not self.consuming.stopped:
            self._start_all()
            free = min(self._concurrency - len(self._order), self._concurrency + _MOST_UNSETTLED - len(self._open), 10)
            if free > 0:
                self._order.add((yield from self.consuming.take(free)))
                self._ready(len(self._order))
            else:
                yield Wait(_LOOK_EVERY_S)

    def _start_all(self) -> None:
        while item := self._order.next():
            self._start(item)

    def begins(self, item: InHand) -> bool:
        """Whether its handler may run, for which `ended` is to follow; else it goes back. To be asked just before."""
        with self._lock:
            if self.consuming.stopped:
                return False
            self._open.add(item)
        if self.consuming.may_begin(item):
            return True
        self.ended(item, interrupted=True)
        return False

    def ended(self, item: InHand, *, interrupted: bool = False) -> None:
        """The handler of a message has ended; by what it has said of the message this will be settled."""
        if not self.consuming.queue.is_fifo:
            self._order.end(item)
        self.consuming.came()
        with self._lock:
            self._outbox.append(_Ended(item=item, at=steady_now(), interrupted=interrupted))
        self._on_ended()
        self._on_free()

    @property
    def is_idle(self) -> bool:
        """Whether all that was received is settled."""
        with self._lock:
            return not (self._open or self.consuming.custody or self.consuming.is_giving_back)

    def tend(self) -> Flow[float]:
        """Look after what is in hand, beside all else: see `Consuming.tend`."""
        return self.consuming.tend(self._order)

    def flush(self) -> Flow[float]:
        """Settle what has ended, if that is enough or old enough; return after how many seconds to look again.

        Once nothing is received any more, what has not started goes back.
        """
        yield from self.consuming.give_back(self._unstarted())
        ended, pause_s = self._due()
        if ended:
            try:
                yield from self._settle(ended)
            finally:
                self._close(ended)
        return pause_s

    def _unstarted(self) -> list[InHand]:
        if not self.consuming.is_closed:
            return []
        with self._lock:
            return [item for item in self.consuming.custody.all() if item not in self._open]

    def _due(self) -> tuple[list[_Ended], float]:
        with self._lock:
            if not self._outbox:
                return [], _IDLE_S
            old_s = steady_now() - self._outbox[0].at
            at_once = self.consuming.stopped or self.consuming.queue.is_fifo or len(self._outbox) >= _FLUSH_SIZE
            if not at_once and old_s < _FLUSH_S:
                return [], _FLUSH_S - old_s
            due, self._outbox = self._outbox, []
            return due, 0.0

    def _settle(self, ended: list[_Ended]) -> Flow[None]:
        interrupted = [one.item for one in ended if one.interrupted]
        yield from self.consuming.give_back([each for item in interrupted for each in (item, *self._order.tail(item))])
        yield from self.consuming.settle([one.item for one in ended if not one.interrupted], self._order.tail)

    def _close(self, ended: list[_Ended]) -> None:
        """They are settled; those that are not, for this was cancelled, wait for whoever is the next to do it."""
        with self._lock:
            left = [one for one in ended if one.item in self.consuming.custody]
            settled = [one.item for one in ended if one not in left]
            self._outbox[:0] = left
            self._open.difference_update(settled)
        for item in settled:
            self._order.end(item)
        if self.consuming.is_open:
            self._start_all()  # the next of a group must not wait for a receipt that is under way
        self._on_free()
