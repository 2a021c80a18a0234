"""The flows of a plain loop: what comes next, what becomes of what has just ended, and what is left at the end."""

from __future__ import annotations

from collections.abc import Sequence

from protectwork_sqs._bell import Stop
from protectwork_sqs._consuming import Consuming
from protectwork_sqs._custody import InHand
from protectwork_sqs._flow import Flow, Wait
from protectwork_sqs._options import Options
from protectwork_sqs._order import Order

__all__ = ["Loop"]


class Loop:
    """One run of a loop over messages or batches. For one thread or task at a time.

    Attributes:
        consuming: What it stands on.
    """

    def __init__(self, options: Options, stop: Stop) -> None:
        self.consuming = Consuming(options, stop)
        self._size = options.batch_size
        self._order = Order(in_groups=self.consuming.queue.is_fifo)
        self._begun: list[InHand] = []

    def next_message(self) -> Flow[InHand | None]:
        """The body of the message before has ended well: settle that, and begin the next; None at the end."""
        for ended in self._begun:
            if not ended.message.has_failed:
                ended.message.done()
        yield from self.settle()
        yield Wait(0)  # a cancellation that came during that is raised here, where nothing has begun
        while not self.consuming.stopped:
            item = self._order.next()
            if item is None:
                self._order.add((yield from self.consuming.take(self._size)))
            elif not self.consuming.may_begin(item):
                self._order.end(item)
                yield from self.consuming.give_back([item, *self._order.tail(item)])
            else:
                self._begun = [item]
                return item
        return None

    def next_batch(self) -> Flow[Sequence[InHand] | None]:
        """The batch before has ended: settle what is left of it, and begin the next; None at the end."""
        yield from self.settle()
        yield Wait(0)
        while not self.consuming.stopped:
            self._begun = yield from self.consuming.take(self._size)
            if self._begun:
                return self._begun
        return None

    def settle_batch(self, batch: Sequence[InHand]) -> Flow[None]:
        """The same for a batch, unless it is settled already."""
        if batch is self._begun:
            yield from self.settle()

    def settle(self) -> Flow[None]:
        """Settle what has begun, and what waits behind it in its group."""
        begun, self._begun = self._begun, []
        if begun:
            self.consuming.came()
            self._fail_behind(begun)
        try:
            yield from self.consuming.settle(begun, self._order.tail)
        finally:
            self._begun = [item for item in begun if item in self.consuming.custody]  # this was interrupted
            for item in begun:
                self._order.end(item)

    def _fail_behind(self, begun: Sequence[InHand]) -> None:
        """In a FIFO queue, what comes after a message of its group that will come again has failed too."""
        stuck: set[str | None] = set()
        for item in begun if self.consuming.queue.is_fifo else ():
            if item.message.group_id in stuck:
                item.message.failed()
            elif item.is_lost or not item.message.is_done:
                stuck.add(item.message.group_id)

    def tend(self) -> Flow[float]:
        """Look after what is in hand: see `Consuming.tend`. It runs beside the body, and beside the other flows."""
        return self.consuming.tend(self._order)

    def end(self) -> Flow[None]:
        """The loop is over, or was left: what has begun and is not done has failed, and the rest goes back.

        May be run again when it was interrupted.
        """
        self.consuming.close()
        yield from self.settle()
        yield from self.consuming.give_back(self.consuming.custody.all())
        yield from self.consuming.given_back()

    def over(self) -> None:
        """SQS is asked nothing more: what is still in hand, for the end was interrupted, is visible in its time."""
        self.consuming.leave(self.consuming.custody.all())
        self.consuming.end()
