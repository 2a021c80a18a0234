"""`SQSConsumer`: a whole consumer on threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from protectwork.adapters import Watch
from protectwork_sqs._bell import Stop
from protectwork_sqs._clients import client as made_client
from protectwork_sqs._consuming import logger
from protectwork_sqs._crew import Crew
from protectwork_sqs._custody import InHand
from protectwork_sqs._drivers import Driver
from protectwork_sqs._hands import Hands
from protectwork_sqs._message import Message
from protectwork_sqs._options import Options, check_result
from protectwork_sqs._signals import stops_on_sigterm
from protectwork_sqs._whole import Whole

__all__ = ["SQSConsumer"]

_LOOK_EVERY_S = 0.1
_THREADS = 3  # of ours that ask SQS: one receives, one extends, one deletes


class SQSConsumer(Whole[Callable[[Message], object]]):
    """Handles the messages of a queue on threads, each one protected, kept invisible to others, and settled.

        SQSConsumer(queue_url, handle, concurrency=8).run()

    A message is deleted when the handler has returned; when it raises, the message has failed, and the error is logged.
    `Message.done` and `Message.failed` have the last word. Messages are received only for handlers that are free. In a
    FIFO queue the messages of a group are handled one after the other, and what waits behind one that failed goes back
    with it.

    Args:
        queue_url: The URL of the queue.
        handler: Called with each `Message`, on one of `concurrency` threads.
        concurrency: How many messages are handled at once, 1 to 1000.
        client: A client of boto3; made by the configuration of AWS when not given, with time-outs.
        options: See `ConsumingOptions`.

    Raises:
        SettingsError: An argument is outside its rule.
    """

    _ASYNCHRONOUS = False

    def run(self) -> None:
        """Handle messages until `stop`, or until SIGTERM if this is the main thread.

        Returns when what ran has ended and is settled: a receipt that is under way may take its `wait_time`. Where SQS
        hangs, it is tried for 10 s more and then left, save that a call that is under way ends by its own time-outs.

        Raises:
            SettingsError: The client cannot be made: credentials, a region or boto3 are missing.
            QueueError: Messages cannot be received.
        """
        client = self._client or made_client(self._options, connections=_THREADS)
        _Running(client, self._handler, self._options, self._stop, self._concurrency).run()


class _Running:
    """One run: this thread receives, others handle, one extends the visibility, and one deletes."""

    def __init__(
        self, client: Any, handler: Callable[[Message], object], options: Options, stop: Stop, concurrency: int
    ) -> None:
        self._handler, self._stop = handler, stop
        self._driver, self._extending, self._settling = Driver(client), Driver(client), Driver(client)
        self._extender = Watch(self._extend, name="sqs-visibility")
        self._settler = Watch(self._settle, name="sqs-settle")
        self._hands = Hands(self._handle, most=concurrency, name="protectwork-sqs")
        self._crew = Crew(
            options,
            stop,
            concurrency=concurrency,
            start=self._start,
            on_ended=self._settler.ring,
            on_free=self._driver.bell.ring,
            ready=self._hands.ready,
        )
        self._custody = self._crew.consuming.custody
        self._custody.on_taken = self._extender.ring
        self._over = False

    def run(self) -> None:
        self._stop.rings(self._driver.bell, self._extender)
        try:
            if not (self._extender.start() and self._settler.start()):
                raise RuntimeError("no threads can be started that extend and delete messages")
            with stops_on_sigterm(self._stop.set):
                try:
                    self._driver.run(self._crew.intake())
                finally:
                    self._wind_down()
        finally:
            self._over = True
            self._extender.ring()
            self._settler.ring()
            self._hands.dismiss()
            self._stop.forget(self._driver.bell, self._extender)
            self._crew.consuming.end()

    def _wind_down(self) -> None:
        """What has not started goes back, and what runs is finished, however this came about."""
        self._crew.consuming.close()
        while not self._crew.is_idle:
            self._driver.run(self._crew.flush())  # here too, for the other may be waiting between two tries
            self._driver.bell.wait(_LOOK_EVERY_S)

    def _start(self, item: InHand) -> None:
        try:
            self._hands.give(item)
        except RuntimeError:  # another worker may have threads
            logger.exception("the message %s cannot be handled", item.message.id)
            if self._crew.begins(item):
                self._crew.ended(item)

    def _handle(self, item: InHand) -> None:
        if not self._crew.begins(item):
            return
        message = item.message
        try:
            check_result(self._handler(message))
        except BaseException:  # noqa: BLE001 - SystemExit too: it would end only the thread, and the message be nobody's
            logger.error(
                "the handler of the message %s of %s raised",
                message.id,
                self._crew.consuming.queue.name,
                exc_info=True,
            )
        else:
            if not message.has_failed:
                message.done()
        finally:
            self._crew.ended(item)

    def _extend(self) -> float | None:
        return None if self._is_over() else self._extending.run(self._crew.tend())

    def _settle(self) -> float | None:
        return None if self._is_over() else self._settling.run(self._crew.flush())

    def _is_over(self) -> bool:
        """Whether nothing is left to do; something is where the end was interrupted, and handlers still run."""
        return self._over and self._crew.is_idle
