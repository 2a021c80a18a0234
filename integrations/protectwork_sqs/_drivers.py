"""What runs a flow: on a thread with a client of boto3, or in a task with one of aiobotocore."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import closing
from functools import partial
from math import inf
from typing import Any, TypeVar

from protectwork.adapters import steady_now
from protectwork_sqs._bell import Bell
from protectwork_sqs._flow import Call, Flow, Wait

__all__ = ["AsyncDriver", "Driver", "Steadfast"]

logger = logging.getLogger("protectwork")

_PAUSE_S = 1.0  # after a fault of ours
_LOOK_EVERY_S = 0.5
_LONGEST_S = 60.0
_LAST_S = 5.0  # once all is to end

_Result = TypeVar("_Result")


class Driver:
    """Runs flows on the thread that calls it; one flow at a time.

    Args:
        client: One of boto3, which any thread may use.

    Attributes:
        bell: What ends a wait.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.bell = Bell()

    def run(self, flow: Flow[_Result]) -> _Result:
        """Run it to its end. Blocks for as long as it waits, and as its calls take."""
        step: Callable[[], Call | Wait] = partial(flow.send, None)
        with closing(flow):  # an interrupt may come between two steps
            while True:
                try:
                    effect = step()
                except StopIteration as end:
                    result: _Result = end.value
                    return result
                try:
                    answer = self._do(effect)
                except BaseException as error:  # noqa: BLE001 - an interrupt too: the flow knows what it has in hand
                    step = partial(flow.throw, error)
                else:
                    step = partial(flow.send, answer)

    def _do(self, effect: Call | Wait) -> Any:
        if isinstance(effect, Wait):
            return self.bell.wait(effect.seconds)
        return getattr(self._client, effect.operation)(**effect.arguments)


class AsyncDriver:
    """Runs flows in the task that calls it; one flow at a time.

    A cancellation does not end a call: what a receipt brings would be nobody's. It is raised in the flow at its next
    wait, or at its end. A call takes as long as the client lets it take, but a minute at most beside what it waits for
    a message, and some seconds once all is to end: one whose client was closed under it may never end by itself.

    Args:
        client: One of aiobotocore, of the running loop.

    Attributes:
        bell: What ends a wait.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.bell = Bell()
        self._cancelled: asyncio.CancelledError | None = None  # came during a call, and is not raised yet
        self._hurries_at = inf

    def hurry(self) -> None:
        """Have the call that is under way, and all that follow, take some seconds at most. Any thread may say it."""
        self._hurries_at = min(self._hurries_at, steady_now())

    async def run(self, flow: Flow[_Result]) -> _Result:
        """Run it to its end."""
        step: Callable[[], Call | Wait] = partial(flow.send, None)
        with closing(flow):  # the loop may be closed under it
            while True:
                try:
                    effect = step()
                except StopIteration as end:
                    self._raise_cancellation()
                    result: _Result = end.value
                    return result
                try:
                    answer = await self._do(effect)
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the flow knows what to do about it
                    step = partial(flow.throw, error)
                else:
                    step = partial(flow.send, answer)

    async def repeat(self, flow: Callable[[], Flow[float]], *, until: Callable[[], bool] = lambda: False) -> None:
        """Run a flow again and again, after the seconds that it gives or when the bell rings, until it is to end."""
        while not until():
            try:
                pause_s = await self.run(flow())
            except Exception:  # whatever is wrong with us, the next look may do better
                logger.exception("a fault in a task of protectwork_sqs; it goes on")
                pause_s = _PAUSE_S
            if not until():  # the flow may have heard the bell
                await self.bell.wait_async(pause_s)

    async def _do(self, effect: Call | Wait) -> Any:
        if isinstance(effect, Wait):
            self._raise_cancellation()
            return await self.bell.wait_async(effect.seconds)
        call = Steadfast(self._ask(effect), name="protectwork-sqs-call", on_cancel=self.hurry)
        began, waits_s = steady_now(), float(effect.arguments.get("WaitTimeSeconds", 0.0))
        while not call.done():
            try:
                await asyncio.wait((call,), timeout=_LOOK_EVERY_S)
            except asyncio.CancelledError as error:
                self._cancelled = error
            if steady_now() >= waits_s + min(began + _LONGEST_S, max(began, self._hurries_at) + _LAST_S):
                call.end()
        if call.cancelled():
            raise ConnectionAbortedError("the call was given up: it hung, or its client was closed")
        return call.result()

    async def _ask(self, effect: Call) -> Any:
        return await getattr(self._client, effect.operation)(**effect.arguments)

    def _raise_cancellation(self) -> None:
        cancelled, self._cancelled = self._cancelled, None
        if cancelled:
            raise cancelled


class Steadfast(asyncio.Task[_Result]):
    """A task that ends by itself, and by nothing else.

    The end of `asyncio.run` cancels every task that there is, this one included, and then waits for it.

    Args:
        work: What it does.
        name: What it is called.
        on_cancel: Called when it is to be cancelled.
    """

    def __init__(
        self, work: Coroutine[Any, Any, _Result], *, name: str, on_cancel: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__(work, loop=asyncio.get_running_loop(), name=name)
        self._on_cancel = on_cancel

    def cancel(self, msg: Any | None = None) -> bool:  # noqa: ARG002 - asyncio's own signature
        """Do not."""
        self._on_cancel()
        return False

    def end(self) -> None:
        """Do, all the same."""
        super().cancel()
