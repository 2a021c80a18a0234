"""One run of a loop: its flows, the visibility that is extended meanwhile, and SIGTERM."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from protectwork.adapters import Watch
from protectwork_sqs._bell import Stop
from protectwork_sqs._drivers import AsyncDriver, Driver, Steadfast
from protectwork_sqs._flow import Flow
from protectwork_sqs._loop import Loop
from protectwork_sqs._options import Options
from protectwork_sqs._signals import stops_on_sigterm

__all__ = ["AsyncRun", "Run"]

_Result = TypeVar("_Result")


class Run:
    """A run on the thread that iterates; a thread of its own extends the visibility of what is in hand.

    Args:
        client: One of boto3.
        options: What to do.
        stop: The word to stop.
        runs: It stands there while it is under way.
    """

    def __init__(self, client: Any, options: Options, stop: Stop, runs: dict[Run | AsyncRun, None]) -> None:
        self.loop = Loop(options, stop)
        self._stop, self._runs = stop, runs
        self._driver, self._extending = Driver(client), Driver(client)
        self._watch = Watch(self._extend, name="sqs-visibility")
        self.loop.consuming.custody.on_taken = self._watch.ring
        self._signals = ExitStack()
        self._over = False

    def __enter__(self) -> Self:
        if not self._watch.start():
            raise RuntimeError("no thread can be started that extends the visibility of messages")
        self._runs[self] = None
        self._stop.rings(self._driver.bell, self._watch)
        self._signals.enter_context(stops_on_sigterm(self._stop.set))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def do(self, flow: Flow[_Result]) -> _Result | None:
        """Run a flow of the loop; None when it is over, and in a forked child, to which nothing in hand belongs."""
        if self._over or not self.loop.consuming.is_ours:
            flow.close()
            return None
        return self._driver.run(flow)

    def end(self) -> None:
        """Settle what is in hand, and be over; twice is once. Blocks for what it asks SQS."""
        if self._over:
            return
        try:
            self.do(self.loop.end())
        finally:
            self._over = True
            if self.loop.consuming.is_ours:
                self.loop.over()
            self._watch.ring()
            self._signals.close()
            self._stop.forget(self._driver.bell, self._watch)
            self._runs.pop(self, None)

    def _extend(self) -> float | None:
        return None if self._over else self._extending.run(self.loop.tend())


class AsyncRun:
    """A run in the task that iterates; a task of its own extends the visibility, and ends the run, however that comes.

    So it also ends when nobody is left who could await it: where the loop's body was left by an exception, and at the
    end of `asyncio.run`, which cancels every task. To be made on the thread of its running loop.

    Args:
        client: One of aiobotocore.
        options: What to do.
        stop: The word to stop.
        runs: It stands there while it is under way.
    """

    def __init__(self, client: Any, options: Options, stop: Stop, runs: dict[Run | AsyncRun, None]) -> None:
        self.loop = Loop(options, stop)
        self._stop, self._runs = stop, runs
        self._driver, self._beside = AsyncDriver(client), AsyncDriver(client)
        self.loop.consuming.custody.on_taken = self._beside.bell.ring
        self._signals = ExitStack()
        self._task: asyncio.Task[None] | None = None
        self._body: asyncio.Task[Any] | None = None  # where the loop's body runs
        self._turn = asyncio.Lock()  # a flow of the loop is under way
        self._over = False

    def begin(self) -> None:
        """Begin, unless it has."""
        if self._task or self._over:
            return
        self._runs[self] = None
        self._stop.rings(self._driver.bell)  # not the other: through it the task would outlive a loop closed under it
        self._signals.enter_context(stops_on_sigterm(self._stop.set))
        self._body = asyncio.current_task()
        self._task = Steadfast(self._run(), name="protectwork-sqs-visibility", on_cancel=self._cancelled)

    async def do(self, flow: Flow[_Result]) -> _Result | None:
        """Run a flow of the loop; None when it is over, and in a forked child, to which nothing in hand belongs."""
        if self.loop.consuming.is_ours and not self._over:
            self._body = asyncio.current_task()
            async with self._turn:
                return await self._driver.run(flow)
        flow.close()
        await self._ended()
        return None

    def leave(self) -> None:
        """Have it end soon. Never blocks; a finaliser may call it."""
        self._over = True
        for driver in (self._driver, self._beside):
            driver.hurry()
        self._beside.bell.ring()

    async def end(self) -> None:
        """Settle what is in hand, and be over; twice is once. What cancels this ends only the wait for it."""
        self.leave()
        await self._ended()

    async def _ended(self) -> None:
        if self._task and self.loop.consuming.is_ours:
            await asyncio.shield(self._task)

    async def _run(self) -> None:
        try:
            await self._beside.repeat(self.loop.tend, until=lambda: self._over)
            await self._wind_down()
        finally:  # nothing is awaited here: the loop may have been closed under it
            self._over = True
            if self.loop.consuming.is_ours:
                self.loop.over()
            self._signals.close()
            self._stop.forget(self._driver.bell)
            self._runs.pop(self, None)

    async def _wind_down(self) -> None:
        self.loop.consuming.close()
        self._driver.bell.ring()
        if self.loop.consuming.is_ours:
            async with self._turn:  # a receipt under way brings more
                await self._beside.run(self.loop.end())

    def _cancelled(self) -> None:
        """It is cancelled, as all tasks are: that of the loop's body has to end first."""
        if self._body:
            self._body.add_done_callback(lambda _: self.leave())
