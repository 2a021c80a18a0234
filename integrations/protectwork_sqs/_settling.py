"""What becomes of what is in hand: deleted, given back or left; and for how long that is tried at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from math import inf
from random import Random

from protectwork import AdapterEvent, get_manager
from protectwork.adapters import steady_now
from protectwork_sqs._bell import Stop
from protectwork_sqs._custody import Custody, InHand
from protectwork_sqs._events import MessageLost, MessageReturned, MessageSettled
from protectwork_sqs._flow import Flow, Wait, batches, rest
from protectwork_sqs._options import Options
from protectwork_sqs._queue import Queue, Verdict

__all__ = ["Settling"]

logger = logging.getLogger("protectwork")

_LOOK_SOON_S = 0.02
_PATIENCE_S = 5.0  # with a call of another thread, which may hang
_TRIES_S = (0.1, 0.5, 2.0, 5.0)  # the waits between tries to delete
_LAST_DELETE_S, _LAST_RETURN_S = 10.0, 5.0
"""After the end, and whatever ended after it, no call begins that is later; what was handled comes first."""


class Settling:
    """The flows that settle what one consumer has in hand. Its state is safe in any thread.

    Attributes:
        queue: What is consumed.
        custody: What is in hand.
        manager: Who protects it.
        is_closed: Nothing is received any more, and nothing is begun.
    """

    def __init__(self, options: Options, stop: Stop, *, random: Random) -> None:
        self.queue = Queue(options.queue_url, wait_s=options.wait_s, visibility_s=options.visibility_s)
        self.custody = Custody(self.queue, random=random, on_lost=self._lost)
        self.manager = options.manager or get_manager()
        self.is_closed = False
        self._returns = options.on_failure == "return"
        self._stop = stop
        self._closed_at = inf
        self._came_at = steady_now()
        self._giving_back: set[object] = set()  # changed by single, atomic operations

    @property
    def stopped(self) -> bool:
        """Nothing more is to be received."""
        return self.is_closed or self._stop.is_set

    def close(self) -> None:
        """Receive no more, and begin nothing; what is in hand can still be settled."""
        if not self.is_closed:
            self._closed_at, self.is_closed = steady_now(), True

    def came(self) -> None:
        """There is something new to settle: the time for that, at the end, counts from now on."""
        self._came_at = steady_now()

    def _is_too_late(self, last_s: float, *, in_s: float = 0.0) -> bool:
        """Whether nothing more is to be asked, or will not be in so many seconds: SQS may hang, and ECS kills."""
        ended_at = min(self._stop.at, self._closed_at)
        return steady_now() + in_s >= max(ended_at, self._came_at) + last_s

    # -- what was handled

    def settle(self, items: Sequence[InHand], tail_of: Callable[[InHand], Sequence[InHand]]) -> Flow[None]:
        """Delete what is done, and let go of what has failed.

        What waits behind a message (`tail_of`) goes back with it when it has failed, and when it is not known to be
        deleted: it will come again, and must not be overtaken.
        """
        yield from self._delete([item for item in items if item.message.is_done])
        failed = [item for item in items if not item.is_deleted]
        tail = [other for item in failed for other in tail_of(item)]
        if self._returns:
            yield from self.give_back([*failed, *tail])
        else:
            self.leave(failed)
            yield from self.give_back(tail)

    def _delete(self, items: Sequence[InHand]) -> Flow[None]:
        left = items
        for pause_s in (*_TRIES_S, inf):
            left = yield from self._delete_once(left)
            if not left:
                return
            if pause_s == inf or self._is_too_late(_LAST_DELETE_S, in_s=pause_s):
                break
            yield from rest(pause_s)
        logger.error(
            "%d messages of %s were handled and cannot be deleted, so they will come again: %s",
            len(left),
            self.queue.name,
            self.queue.deleting.said or "there was no time left to",
        )
        self.leave(left)

    def _delete_once(self, items: Sequence[InHand]) -> Flow[list[InHand]]:
        """Try to delete them; return those of which it is not known."""
        lost = [item for item in items if item.is_lost]
        left: list[InHand] = []
        for batch in batches([item for item in items if not item.is_lost]):
            if self._is_too_late(_LAST_DELETE_S):
                left += batch
                continue
            for item in batch:
                item.settling = True
            verdicts = yield from self.queue.delete([item.message.receipt_handle for item in batch])
            for item, verdict in zip(batch, verdicts, strict=True):
                if verdict is Verdict.DONE:
                    self._settled(item)
                else:
                    (lost if verdict is Verdict.GONE else left).append(item)
        self.custody.lose(lost)
        for item in lost:
            _release(item)
        return left

    # -- what was not

    def give_back(self, items: Sequence[InHand]) -> Flow[None]:
        """Have them visible again at once: those of a group together, and in order."""
        self._giving_back.add(token := object())
        try:
            for batch in batches(items):
                yield from self._give_back(batch)
        finally:
            self._giving_back.discard(token)

    @property
    def is_giving_back(self) -> bool:
        """Whether something is being given back that is in hand no more: before the end, that is to be awaited."""
        return bool(self._giving_back)

    def given_back(self) -> Flow[None]:
        """Wait for what others are giving back at the end, while there is time."""
        while self.is_giving_back and not self._is_too_late(_LAST_DELETE_S):
            yield Wait(_LOOK_SOON_S)

    def _give_back(self, items: Sequence[InHand]) -> Flow[None]:
        shown = [item for item in items if self._is_in_hand(item)]
        try:
            yield from self._extended(shown)
            yield from self._show(shown)
        finally:  # interrupted: it is visible when its time ends
            for item in shown:
                _release(item)

    def _extended(self, items: Sequence[InHand]) -> Flow[None]:
        """Wait for extensions under way: they might land last, and hide a message once more."""
        ends = steady_now() + _PATIENCE_S
        while any(item.extending for item in items) and steady_now() < ends:
            yield Wait(_LOOK_SOON_S)

    def _show(self, items: Sequence[InHand]) -> Flow[None]:
        if not items:
            return
        verdicts = [Verdict.AGAIN] * len(items)
        if not self._is_too_late(_LAST_RETURN_S):
            verdicts = yield from self.queue.hide([item.message.receipt_handle for item in items], [0] * len(items))
        for item, verdict in zip(items, verdicts, strict=True):
            self._returned(item, visible_in_s=0.0 if verdict is Verdict.DONE else max(item.visibility.left_s, 0.0))

    def _is_in_hand(self, item: InHand) -> bool:
        """Take it out of hand, if it is there and ours; what was lost has only its hold to end."""
        lost = item.is_lost
        if lost:
            self.custody.lose([item])
        if lost or not self.custody.let_go(item):
            _release(item)
            return False
        return True

    def leave(self, items: Iterable[InHand]) -> None:
        """Have their visibility end by itself: whatever made them fail may have passed by then."""
        for item in items:
            if self._is_in_hand(item):
                self._returned(item, visible_in_s=max(item.visibility.left_s, 0.0))

    # -- what became of a message

    def _settled(self, item: InHand) -> None:
        self.custody.let_go(item)
        item.is_deleted = True
        item.visibility.end()
        _release(item)
        self._tell(MessageSettled(queue=self.queue.name, message_id=item.message.id))

    def _returned(self, item: InHand, *, visible_in_s: float) -> None:
        _release(item)
        self._tell(MessageReturned(queue=self.queue.name, message_id=item.message.id, visible_in_s=visible_in_s))

    def _lost(self, item: InHand) -> None:
        logger.warning(
            "the message %s of %s is not ours any more: it may be delivered again", item.message.id, self.queue.name
        )
        self._tell(MessageLost(queue=self.queue.name, message_id=item.message.id))

    def _tell(self, event: AdapterEvent) -> None:
        self.manager.tell(event)


def _release(item: InHand) -> None:
    hold, item.hold = item.hold, None
    if hold:
        hold.release()
