"""`AsyncSQSConsumer`: a whole consumer in asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from protectwork_sqs._bell import Stop
from protectwork_sqs._clients import async_client
from protectwork_sqs._consuming import logger
from protectwork_sqs._crew import Crew
from protectwork_sqs._custody import InHand
from protectwork_sqs._drivers import AsyncDriver, Steadfast
from protectwork_sqs._message import Message
from protectwork_sqs._options import Options, check_result
from protectwork_sqs._signals import stops_on_sigterm
from protectwork_sqs._whole import Whole

__all__ = ["AsyncSQSConsumer"]

_LOOK_EVERY_S = 0.1
_TASKS = 3  # of ours that ask SQS: one receives, one extends, one deletes


class AsyncSQSConsumer(Whole[Callable[[Message], Coroutine[Any, Any, object]]]):
    """Handles the messages of a queue in asyncio, each one protected, kept invisible to others, and settled.

        await AsyncSQSConsumer(queue_url, handle, concurrency=8).run()

    As `SQSConsumer`, with a task for each message. A cancellation of `run` is one of the handlers too: their messages
    go back at once, and those that a receipt under way still brings.

    Args:
        queue_url: The URL of the queue.
        handler: An async function, called with each `Message`.
        concurrency: How many messages are handled at once, 1 to 1000.
        client: A client of aiobotocore; made by the configuration of AWS when not given, with time-outs.
        options: See `ConsumingOptions`.

    Raises:
        SettingsError: An argument is outside its rule.
    """

    _ASYNCHRONOUS = True

    async def run(self) -> None:
        """Handle messages until `stop`, or until SIGTERM if the loop runs on the main thread.

        Returns when what ran has ended and is settled: a receipt that is under way may take its `wait_time`, also when
        this is cancelled. Where SQS hangs, it is tried for 10 s more and then left, save that a call that is under way
        ends by its own time-outs.

        Raises:
            SettingsError: The client cannot be made: credentials, a region or aiobotocore are missing.
            QueueError: Messages cannot be received.
        """
        if self._client is not None:
            await self._run(self._client)
            return
        async with async_client(self._options, connections=_TASKS) as client:
            await self._run(client)

    async def _run(self, client: Any) -> None:
        await _Running(client, self._handler, self._options, self._stop, self._concurrency).run()


class _Running:
    """One run: this task receives, others handle, one extends the visibility, and one deletes."""

    def __init__(
        self,
        client: Any,
        handler: Callable[[Message], Coroutine[Any, Any, object]],
        options: Options,
        stop: Stop,
        concurrency: int,
    ) -> None:
        self._handler, self._stop = handler, stop
        self._driver, self._extending, self._settling = AsyncDriver(client), AsyncDriver(client), AsyncDriver(client)
        self._crew = Crew(
            options,
            stop,
            concurrency=concurrency,
            start=self._start,
            on_ended=self._settling.bell.ring,
            on_free=self._driver.bell.ring,
        )
        self._custody = self._crew.consuming.custody
        self._custody.on_taken = self._extending.bell.ring
        self._handling: set[asyncio.Task[None]] = set()
        self._over = self._interrupted = False

    async def run(self) -> None:
        self._stop.rings(self._driver.bell, self._extending.bell)
        extending = Steadfast(
            self._extending.repeat(self._crew.tend, until=self._is_over), name="protectwork-sqs-visibility"
        )
        # Cancelled with all tasks, for what is given back then must not come again by a receipt under way.
        settling = asyncio.create_task(self._settling.repeat(self._crew.flush), name="protectwork-sqs-settle")
        try:
            with stops_on_sigterm(self._stop.set):
                try:
                    await self._driver.run(self._crew.intake())
                except asyncio.CancelledError:
                    self._interrupt()
                    raise
                finally:
                    await self._wind_down()
        finally:
            self._stop.forget(self._driver.bell, self._extending.bell)
            self._crew.consuming.end()
            self._over = True
            for driver in (self._extending, self._settling):
                driver.hurry()
            self._extending.bell.ring()
            settling.cancel()
            await asyncio.wait((extending, settling))

    def _is_over(self) -> bool:
        return self._over

    async def _wind_down(self) -> None:
        """What has not started goes back, and what runs is finished, however this came about."""
        cancelled: asyncio.CancelledError | None = None
        self._crew.consuming.close()
        while not self._crew.is_idle:
            try:
                await self._driver.run(self._crew.flush())  # here too, for the task that does so may be cancelled
                await self._driver.bell.wait_async(_LOOK_EVERY_S)
            except asyncio.CancelledError as error:
                self._interrupt()
                cancelled = error
        if cancelled:
            raise cancelled

    def _interrupt(self) -> None:
        """Cancel the handlers, each of them once, for whoever cancels all tasks has; if asked again, once more."""
        for task in tuple(self._handling):
            if self._interrupted or not task.cancelling():
                task.cancel()
        self._interrupted = True

    def _start(self, item: InHand) -> None:
        if not self._crew.begins(item):
            return
        task = asyncio.get_running_loop().create_task(self._handle(item.message))
        self._handling.add(task)
        task.add_done_callback(partial(self._ended, item))

    async def _handle(self, message: Message) -> None:
        try:
            check_result(await self._handler(message))
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
                raise
            name = self._crew.consuming.queue.name
            logger.error("the handler of the message %s of %s raised", message.id, name, exc_info=True)
        else:
            if not message.has_failed:
                message.done()

    def _ended(self, item: InHand, task: asyncio.Task[None]) -> None:
        """Note that a handler has ended; one that was cancelled before its first step ends here too."""
        self._handling.discard(task)
        interrupted = task.cancelled()
        if not interrupted:
            task.exception()  # SystemExit, say: the loop has ended by it, so nothing more need be told of it
        self._crew.ended(item, interrupted=interrupted and not item.message.is_done)
