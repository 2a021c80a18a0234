"""What every way of consuming does: receive when it may, protect before it starts, settle what has ended."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from random import Random

from protectwork import Hold, Outcome, UnprotectedError
from protectwork.adapters import Pause, steady_now
from protectwork_sqs._bell import Stop
from protectwork_sqs._custody import InHand
from protectwork_sqs._events import MessageReceived
from protectwork_sqs._faults import Receipts
from protectwork_sqs._flow import Flow, Wait, rest
from protectwork_sqs._options import Options
from protectwork_sqs._order import Order
from protectwork_sqs._settling import Settling
from protectwork_sqs._vigil import Vigil

__all__ = ["Consuming", "logger"]

logger = logging.getLogger("protectwork")

_LOOK_EVERY_S = 1.0
_LOOK_SOON_S = 0.02  # while ECS has not said
_CLOSED_S = 0.25
_EMPTY_S = 0.2  # after a receipt that waits for nothing and brings nothing: each is paid for


class Consuming(Settling):
    """The flows of one consumer. Its state is safe in any thread; one thread or task at a time receives."""

    def __init__(self, options: Options, stop: Stop) -> None:
        random = Random()  # noqa: S311 - jitter
        super().__init__(options, stop, random=random)
        self._options = options
        settings = self.manager.settings
        self._pauses = (options.when_refused or settings.when_refused or "pause") == "pause"
        self._pause = Pause(
            self.manager, when_refused=self._pauses, when_unprotected=settings.on_unprotected == "raise"
        )
        self._receipts = Receipts(options.queue_url, give_up_after_s=options.give_up_after_s, random=random)
        self._vigil = Vigil(self.manager, linger_s=settings.linger_s, name=options.label)
        self._look_at = 0.0
        self._told_closed = False
        self._pid = os.getpid()

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
        if not raws and not self._options.wait_s:
            yield from rest(_EMPTY_S, until=lambda: self.stopped)
        items = self.custody.take(raws, asked_at=asked_at)
        if items:
            self.came()
            self._vigil.came()
        return (yield from self._admit(items))

    def _may_receive(self) -> Flow[bool]:
        if (now := steady_now()) >= self._look_at:
            self._look_at = now + _LOOK_EVERY_S
            self._pause.look()
        if reasons := self.manager.admission.reasons:
            self._tell_closed(reasons)
            self._vigil.end()
            yield Wait(_CLOSED_S)
            return False
        self._told_closed = False
        if not self._options.strict:
            return True
        if not (yield from self._vigil.keep(busy=bool(self.custody))):
            return False
        if self._refuses(self._vigil.hold):
            self._vigil.end()
            self._pause.begin()
            return False
        return not self.stopped

    def _tell_closed(self, reasons: Sequence[str]) -> None:
        if not self._told_closed:
            self._told_closed = True
            logger.info("nothing is received from %s: admission is closed (%s)", self.queue.name, "; ".join(reasons))

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

    def tend(self, order: Order) -> Flow[float]:
        """Extend what is in hand, and give back what waits for its turn in vain; return when to look again, in seconds.

        To be run beside the work. What waits goes back here for the one who receives may be busy with that for hours.
        """
        pause_s = yield from self.custody.extend()  # first, for a queue that hangs must not cost what is in work
        if any(not self._may_still_begin(item) for item in order.waiting()):
            yield from self.give_back(order.take_waiting())
        return min(pause_s, _LOOK_EVERY_S) if len(self.custody) > 1 else pause_s

    def _may_still_begin(self, item: InHand) -> bool:
        return not (self.stopped or self._refuses(item.hold)) and self.manager.admission.is_open

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

    def close(self) -> None:
        """Receive no more, and begin nothing; what is in hand can still be settled."""
        super().close()
        self._vigil.end()

    def end(self) -> None:
        """Nothing is received any more, and nothing is in hand."""
        self.close()
        self._pause.end()


def _has_to_wait(hold: Hold) -> bool:
    return not hold.confirmed and hold.waiting
