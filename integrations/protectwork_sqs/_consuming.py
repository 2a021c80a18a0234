"""What every way of consuming does: receive when it may, protect before it starts, settle what has ended."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from random import Random

from protectwork import AdapterEvent, Hold, Outcome, UnprotectedError, get_manager
from protectwork.adapters import Pause, steady_now
from protectwork_sqs._bell import Stop
from protectwork_sqs._custody import Custody, InHand
from protectwork_sqs._events import MessageLost, MessageReceived, MessageReturned, MessageSettled
from protectwork_sqs._faults import Receipts
from protectwork_sqs._flow import Flow, Wait, batches, rest
from protectwork_sqs._options import Options
from protectwork_sqs._queue import Queue, Verdict
from protectwork_sqs._vigil import Vigil

__all__ = ["Consuming", "logger"]

logger = logging.getLogger("protectwork")

_LOOK_EVERY_S = 1.0
_LOOK_SOON_S = 0.02  # while ECS has not said
_CLOSED_S = 0.25
_PATIENCE_S = 5.0  # with a call of another thread, which may hang
_TRIES_S = (0.1, 0.5, 2.0, 5.0)  # the waits between tries to delete


class Consuming:
    """The flows of one consumer. Its state is safe in any thread; one thread or task at a time receives.

    Attributes:
        queue: What is consumed.
        custody: What is in hand.
        is_closed: Nothing is received any more, and nothing is begun.
    """

    def __init__(self, options: Options, stop: Stop) -> None:
        random = Random()  # noqa: S311 - jitter
        self._options = options
        self.queue = Queue(options.queue_url, wait_s=options.wait_s, visibility_s=options.visibility_s)
        self.custody = Custody(self.queue, random=random, on_lost=self._lost)
        self.manager = options.manager or get_manager()
        settings = self.manager.settings
        self._pauses = (options.when_refused or settings.when_refused or "pause") == "pause"
        self._pause = Pause(
            self.manager, when_refused=self._pauses, when_unprotected=settings.on_unprotected == "raise"
        )
        self._receipts = Receipts(options.queue_url, give_up_after_s=options.give_up_after_s, random=random)
        self._vigil = Vigil(self.manager, linger_s=settings.linger_s, label=f"{options.label}: waits for messages")
        self._look_at = 0.0
        self._pid = os.getpid()
        self._stop = stop
        self.is_closed = False

    @property
    def stopped(self) -> bool:
        """Nothing more is to be received."""
        return self.is_closed or self._stop.is_set

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that receives; a forked child inherits all of this, and owns nothing of it."""
        return os.getpid() == self._pid

    # -- receiving

    def take(self, most: int) -> Flow[list[InHand]]:
        """Receive up to `most` messages that may start; none where it is only worth trying again."""
        if not (yield from self._may_receive()):
            return []
        asked_at = steady_now()
        try:
            raws = yield from self.queue.receive(most)
        except Exception as error:  # noqa: BLE001 - the network's, botocore's: tried again until that makes no sense
            yield from rest(self._failed(error), until=lambda: self.stopped)
            return []
        self._receipts.succeeded()
        items = self.custody.take(raws, asked_at=asked_at)
        if items:
            self._vigil.came()
        return (yield from self._admit(items))

    def _may_receive(self) -> Flow[bool]:
        if (now := steady_now()) >= self._look_at:
            self._look_at = now + _LOOK_EVERY_S
            self._pause.look()
        if not self.manager.admission.is_open:
            self._vigil.end()
            yield Wait(_CLOSED_S)
            return False
        if not self._options.strict:
            return True
        if not (yield from self._vigil.keep(busy=bool(self.custody))):
            return False
        if self._refuses(self._vigil.hold):
            self._vigil.end()
            self._pause.begin()
            return False
        return not self.stopped

    def _failed(self, error: Exception) -> float:
        pause_s = self._receipts.failed(error)
        if self._receipts.is_first:
            logger.warning("no messages can be received from %s, trying on: %r", self.queue.name, error)
        return pause_s

    def _admit(self, items: list[InHand]) -> Flow[list[InHand]]:
        yield Wait(0)  # a cancellation that came during the receipt is raised here, and all of it is still in hand
        for item in items:
            message = item.message
            self._tell(
                MessageReceived(queue=self.queue.name, message_id=message.id, receive_count=message.receive_count)
            )
            item.hold = self._hold(f"{self._options.label}[{message.id}]")
        while not self.stopped and any(item.hold and _has_to_wait(item.hold) for item in items):
            yield Wait(_LOOK_SOON_S)
        if items and (self.stopped or not self.may_begin(items[0])):
            yield from self.give_back(items)
            return []
        return items

    @property
    def is_open(self) -> bool:
        """Whether what waits in hand is likely to begin; else the one who receives gives it back, once that is over."""
        protectable = self.manager.confirmed or self.manager.trouble is None or not self._pauses
        return protectable and self.manager.admission.is_open

    def may_begin(self, item: InHand) -> bool:
        """Whether it may be handled now. What has waited for its turn may be lost or refused by then."""
        if item.is_lost or not self.manager.admission.is_open:
            return False
        if self._refuses(item.hold):
            self._pause.begin()
            return False
        return True

    def _hold(self, label: str) -> Hold | None:
        try:
            return self.manager.acquire(label, max_duration=self._options.max_duration_s, timeout=0)
        except Exception:  # the job comes first, whatever is wrong with us
            logger.exception("a fault of protectwork: %s runs unprotected", label)
            return None

    def _refuses(self, hold: Hold | None) -> bool:
        """Whether nothing is to start for now."""
        if hold is None or hold.confirmed:
            return False
        try:
            hold.require()
        except UnprotectedError:
            return True
        trouble = self.manager.trouble
        return self._pauses and trouble is not None and trouble.outcome is Outcome.REFUSED

    # -- settling

    def settle(self, items: Sequence[InHand], tail_of: Callable[[InHand], Sequence[InHand]]) -> Flow[None]:
        """Delete what is done, and let go of what has failed.

        What waits behind a message (`tail_of`) goes back with it when it has failed, and when it is not known to be
        deleted: it will come again, and must not be overtaken.
        """
        yield from self._delete([item for item in items if item.message.is_done])
        failed = [item for item in items if not item.is_deleted]
        tail = [other for item in failed for other in tail_of(item)]
        if self._options.on_failure == "return":
            yield from self.give_back([*failed, *tail])
        else:
            self.leave(failed)
            yield from self.give_back(tail)

    def give_back(self, items: Sequence[InHand]) -> Flow[None]:
        """Have them visible again at once: those of a group together, and in order."""
        for batch in batches(items):
            shown = [item for item in batch if self._is_in_hand(item)]
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

    def _delete(self, items: Sequence[InHand]) -> Flow[None]:
        left = items
        for pause_s in (*_TRIES_S, None):
            left = yield from self._delete_once(left)
            if not left:
                return
            if pause_s is not None:
                yield from rest(pause_s)
        logger.error(
            "%d messages of %s were handled and cannot be deleted, so they will come again; allow sqs:DeleteMessage",
            len(left),
            self.queue.name,
        )
        self.leave(left)

    def _delete_once(self, items: Sequence[InHand]) -> Flow[list[InHand]]:
        """Try to delete them; return those of which it is not known."""
        lost = [item for item in items if item.is_lost]
        left: list[InHand] = []
        for batch in batches([item for item in items if not item.is_lost]):
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

    def leave(self, items: Iterable[InHand]) -> None:
        """Have their visibility end by itself: whatever made them fail may have passed by then."""
        for item in items:
            if self._is_in_hand(item):
                self._returned(item, visible_in_s=max(item.visibility.left_s, 0.0))

    def close(self) -> None:
        """Receive no more, and begin nothing; what is in hand can still be settled."""
        self.is_closed = True
        self._vigil.end()

    def end(self) -> None:
        """Nothing is received any more, and nothing is in hand."""
        self.close()
        self._pause.end()

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


def _has_to_wait(hold: Hold) -> bool:
    return not hold.confirmed and hold.waiting


def _release(item: InHand) -> None:
    hold, item.hold = item.hold, None
    if hold:
        hold.release()
