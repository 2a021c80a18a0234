"""The messages in hand: until when each is ours, and what has to be asked so that it stays so."""

from __future__ import annotations

from _thread import RLock
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from random import Random
from typing import Any

from protectwork import Hold
from protectwork.adapters import steady_now
from protectwork_sqs._flow import Flow, batches
from protectwork_sqs._message import Message, Visibility
from protectwork_sqs._queue import Queue, Verdict

__all__ = ["Custody", "InHand"]

_LONGEST_S = 43_200  # SQS's limit from the receipt on, however often it is extended
_SHORTEST_LOOK_S, _LONGEST_LOOK_S = 0.01, 30.0
_RETRY_S = (0.2, 5.0)  # after a fault: a part of what is left, but neither less nor more than that


class InHand:
    """One message in hand.

    Attributes:
        message: What its handler sees.
        visibility: Until when it is ours.
        received_at: When it was received at the earliest.
        extend_at: When its visibility is to be extended; inf: no more.
        extending: An extension is under way, and may yet hide what is given back meanwhile.
        settling: It is being deleted, so it may be gone without being lost.
        is_deleted: SQS has said so.
        hold: What keeps the task protected for it; None before that has begun.
    """

    __slots__ = ("extend_at", "extending", "hold", "is_deleted", "message", "received_at", "settling", "visibility")

    def __init__(self, raw: Mapping[str, Any], *, received_at: float, ours_until: float, extend_at: float) -> None:
        self.visibility = Visibility(ours_until)
        self.message = Message(raw, self.visibility)
        self.received_at = received_at
        self.extend_at = extend_at
        self.extending = self.settling = self.is_deleted = False
        self.hold: Hold | None = None

    @property
    def is_lost(self) -> bool:
        """Whether it is not ours any more."""
        return self.visibility.is_set()


class Custody:
    """All that was received and is not settled. Safe in any thread; blocks for nobody.

    Args:
        queue: Where they come from.
        random: Where jitter comes from.
        on_lost: Called once for each message that is lost.

    Attributes:
        on_taken: Called when there is something new to extend.
    """

    def __init__(self, queue: Queue, *, random: Random, on_lost: Callable[[InHand], None]) -> None:
        self.on_taken: Callable[[], None] = lambda: None
        self._queue, self._random, self._on_lost = queue, random, on_lost
        self._lock = RLock()  # guards the next
        self._in_hand: dict[InHand, None] = {}

    def __len__(self) -> int:
        return len(self._in_hand)

    def __contains__(self, item: InHand) -> bool:
        return item in self._in_hand

    def take(self, raws: Sequence[Mapping[str, Any]], *, asked_at: float) -> list[InHand]:
        """Take what was received in answer to a question of `asked_at`.

        SQS counts from the delivery, which lies somewhere between question and answer: so ours is what is ours in the
        worst case, save that an answer is taken to be younger than half the visibility.
        """
        now, visibility_s = steady_now(), self._queue.visibility_s
        since = max(asked_at, now - visibility_s / 2)
        items = [
            InHand(raw, received_at=asked_at, ours_until=since + visibility_s, extend_at=since + visibility_s / 2)
            for raw in raws
        ]
        with self._lock:
            self._in_hand.update(dict.fromkeys(items))
        if items:
            self.on_taken()
        return items

    def let_go(self, item: InHand) -> bool:
        """It is settled, or lost; return whether it was in hand until now."""
        with self._lock:
            return self._in_hand.pop(item, self) is None

    def extend(self) -> Flow[float]:
        """Extend what is due, and notice what is lost; return after how many seconds to look again."""
        now = steady_now()
        due = [item for item in self.all() if item.extend_at <= now and not item.is_lost]
        for batch in batches(due):
            yield from self._extend(batch)
        self.lose(item for item in self.all() if item.is_lost)
        looks_at = min(map(_look_at, self.all()), default=inf)
        return min(max(looks_at - steady_now(), _SHORTEST_LOOK_S), _LONGEST_LOOK_S)

    def _extend(self, items: Sequence[InHand]) -> Flow[None]:
        with self._lock:
            items = [item for item in items if item in self._in_hand]  # the others were given back meanwhile
            for item in items:
                item.extending = True
        try:
            yield from self._ask_for_more(items)
        finally:
            for item in items:
                item.extending = False

    def _ask_for_more(self, items: Sequence[InHand]) -> Flow[None]:
        asked_at = steady_now()
        seconds = {item: self._most_s(item, asked_at) for item in items}
        able = [item for item in items if seconds[item] > 0]
        for item in items:
            item.extend_at = inf  # what cannot be extended any more, after twelve hours, is lost when its time ends
        handles = [item.message.receipt_handle for item in able]
        verdicts = (yield from self._queue.hide(handles, [seconds[item] for item in able])) if able else []
        for item, verdict in zip(able, verdicts, strict=True):
            if verdict is Verdict.DONE:
                item.visibility.extend(asked_at + seconds[item])
                item.extend_at = asked_at + seconds[item] / 2
            elif verdict is Verdict.GONE and not item.settling:
                self.lose([item])
            else:
                least_s, most_s = _RETRY_S
                share_s = item.visibility.left_s / 4 * self._random.uniform(0.5, 1.0)
                item.extend_at = steady_now() + min(max(share_s, least_s), most_s)

    def _most_s(self, item: InHand, now: float) -> int:
        return min(self._queue.visibility_s, int(item.received_at + _LONGEST_S - now))

    def lose(self, items: Iterable[InHand]) -> None:
        """They are not ours any more."""
        for item in items:
            if self.let_go(item):
                item.visibility.lose()
                self._on_lost(item)

    def all(self) -> list[InHand]:
        """What is in hand, as it was received."""
        with self._lock:
            return list(self._in_hand)


def _look_at(item: InHand) -> float:
    """When to look at it again: when it is to be extended, or else lost."""
    return min(item.extend_at, steady_now() + item.visibility.left_s)
