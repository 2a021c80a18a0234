"""Which message may start next: one after the other in a FIFO queue's group, any in other queues."""

from __future__ import annotations

from _thread import RLock
from collections.abc import Iterable

from protectwork_sqs._custody import InHand

__all__ = ["Order"]


class Order:
    """The messages that wait for their turn, and the groups whose turn is taken. Safe in any thread.

    A message of a group starts when the one before it has been settled, so that none overtakes another whose deletion
    fails. Groups of other queues (fair queues) are no order.

    Args:
        in_groups: Whether it is a FIFO queue.
    """

    def __init__(self, *, in_groups: bool) -> None:
        self._in_groups = in_groups
        self._lock = RLock()  # guards the two below
        self._waiting: list[InHand] = []
        self._begun: dict[InHand, str | None] = {}

    def __len__(self) -> int:
        """How many wait or have begun."""
        with self._lock:
            return len(self._waiting) + len(self._begun)

    def add(self, items: Iterable[InHand]) -> None:
        """They wait from now on, in this order."""
        with self._lock:
            self._waiting += items

    def next(self) -> InHand | None:
        """The next to begin, which has begun with that; None if there is none now."""
        with self._lock:
            busy = set(self._begun.values()) - {None}
            for place, item in enumerate(self._waiting):
                group = self._group(item)
                if group not in busy:
                    self._begun[item] = group
                    return self._waiting.pop(place)
                busy.add(group)
            return None

    def end(self, item: InHand) -> None:
        """It has been settled: the next one of its group may begin."""
        with self._lock:
            self._begun.pop(item, None)

    def waiting(self) -> list[InHand]:
        """What waits for its turn, in order."""
        with self._lock:
            return list(self._waiting)

    def take_waiting(self) -> list[InHand]:
        """Take that out."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return waiting

    def tail(self, item: InHand) -> list[InHand]:
        """Take out what waits behind it in its group."""
        group = self._group(item)
        if group is None:
            return []
        with self._lock:
            tail = [other for other in self._waiting if self._group(other) == group]
            self._waiting = [other for other in self._waiting if self._group(other) != group]
        return tail

    def _group(self, item: InHand) -> str | None:
        return item.message.group_id if self._in_groups else None
