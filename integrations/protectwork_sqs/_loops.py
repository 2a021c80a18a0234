"""The loops that people write: ``for message in protected_messages(…)``, in batches, and in asyncio."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack, cast

from protectwork import SettingsError
from protectwork_sqs._bell import Stop
from protectwork_sqs._custody import InHand
from protectwork_sqs._flow import Flow
from protectwork_sqs._loop import Loop
from protectwork_sqs._message import Message
from protectwork_sqs._options import ConsumingOptions, Options, check_client
from protectwork_sqs._runs import AsyncRun, Run

__all__ = ["Batch", "ProtectedBatches", "ProtectedMessages", "protected_batches", "protected_messages"]

_Given = TypeVar("_Given")


class Batch:
    """The messages of one receipt, for ``with`` or ``async with``: at its end each is settled.

    Those of which `Message.done` was called are deleted, all others have failed. At once, not when the loop goes on.
    """

    def __init__(self, items: Sequence[InHand], settle: Callable[[], Any], *, asynchronous: bool) -> None:
        self.messages = tuple(item.message for item in items)
        self._settle, self._asynchronous = settle, asynchronous

    def __len__(self) -> int:
        return len(self.messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    def __enter__(self) -> Self:
        self._require(asynchronous=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._settle()

    async def __aenter__(self) -> Self:
        self._require(asynchronous=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._settle()

    def _require(self, *, asynchronous: bool) -> None:
        if self._asynchronous is not asynchronous:
            right, wrong = ("async with", "with") if self._asynchronous else ("with", "async with")
            raise SettingsError(setting="batch", rule=f"used with `{right}` in this loop", value=f"`{wrong}`")


class _Protected(ABC, Generic[_Given]):
    """A loop, for ``for`` with a client of boto3 and for ``async for`` with one of aiobotocore.

    Each ``for`` is a run of its own. Its end settles what is in hand, also where an exception or ``break`` leaves it.
    In asyncio that happens soon after; an ``async with`` around the loop waits for it.
    """

    def __init__(self, client: Any, options: Options) -> None:
        check_client(client)
        self._client, self._options = client, options
        self._stop = Stop()
        self._runs: dict[Run | AsyncRun, None] = {}

    def stop(self) -> None:
        """Receive no more: each loop over this ends after the body that runs, and what has not started goes back.

        Never blocks; any thread, task and signal handler may call it. A receipt that is under way takes its
        `wait_time`. Loops that begin later end at once.
        """
        self._stop.set()

    def __iter__(self) -> Iterator[_Given]:
        check_client(self._client, asynchronous=False)
        with Run(self._client, self._options, self._stop, self._runs) as run:
            while (given := self._given(run, run.do(self._next(run.loop)))) is not None:
                yield given

    def __aiter__(self) -> AsyncIterator[_Given]:
        check_client(self._client, asynchronous=True)
        run = AsyncRun(self._client, self._options, self._stop, self._runs)

        async def following() -> _Given | None:
            return self._given(run, await run.do(self._next(run.loop)))

        return _AsyncIteration(run, following)

    def __enter__(self) -> Self:
        check_client(self._client, asynchronous=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        for run in list(self._runs):
            run.end()

    async def __aenter__(self) -> Self:
        check_client(self._client, asynchronous=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()
        for run in list(self._runs):
            await cast("AsyncRun", run).end()

    @abstractmethod
    def _next(self, loop: Loop) -> Flow[Any]:
        """The flow that gives what comes next."""

    @abstractmethod
    def _given(self, run: Run | AsyncRun, found: Any, /) -> _Given | None:
        """What the body is given of that; None at the end."""


class _AsyncIteration(Generic[_Given]):
    """One ``async for``. When it is dropped before its end, the body was left: the run ends soon."""

    def __init__(self, run: AsyncRun, following: Callable[[], Coroutine[Any, Any, _Given | None]]) -> None:
        self._run, self._following = run, following

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _Given:
        self._run.begin()
        given = None
        try:
            given = await self._following()
        finally:  # it is at its end, or it was interrupted
            if given is None:
                await self._run.end()
        if given is None:
            raise StopAsyncIteration
        return given

    def __del__(self) -> None:
        self._run.leave()


class ProtectedMessages(_Protected[Message]):
    """A loop over single messages: see `protected_messages`."""

    def _next(self, loop: Loop) -> Flow[InHand | None]:
        return loop.next_message()

    def _given(self, _run: Run | AsyncRun, found: InHand | None, /) -> Message | None:
        return found.message if found else None


class ProtectedBatches(_Protected[Batch]):
    """A loop over batches: see `protected_batches`."""

    def _next(self, loop: Loop) -> Flow[Sequence[InHand] | None]:
        return loop.next_batch()

    def _given(self, run: Run | AsyncRun, found: Sequence[InHand] | None, /) -> Batch | None:
        if found is None:
            return None
        return Batch(found, lambda: run.do(run.loop.settle_batch(found)), asynchronous=isinstance(run, AsyncRun))


def protected_messages(
    client: Any, queue_url: str, *, batch_size: int = 1, **options: Unpack[ConsumingOptions]
) -> ProtectedMessages:
    """The messages of a queue, each one protected, kept invisible to others, and settled.

        for message in protected_messages(boto3.client("sqs"), queue_url):
            handle(message.body)

    A message is deleted when the loop goes on after its body. An exception or a ``break`` leaves the loop: the message
    has then failed, unless `Message.done` was called. The loop ends by `ProtectedMessages.stop`, or by SIGTERM if it
    runs on the main thread: after the body that runs. With a client of aiobotocore it is ``async for``.

    A body begins when ECS protects the task, or `acquire_timeout` is over. While ECS refuses, received messages go back
    at once and no more are received, unless `when_refused` says otherwise.

    Args:
        client: A client of SQS, of boto3 or of aiobotocore. While it waits for an answer the loop does too, so give it
            time-outs.
        queue_url: The URL of the queue. In a FIFO queue the messages of a group stay in order.
        batch_size: How many messages are received at once, 1 to 10; they wait in hand for their turn.
        options: See `ConsumingOptions`.

    Raises:
        SettingsError: An argument is outside its rule; at once.
        QueueError: Messages cannot be received; in the loop.
    """
    given = Options.given(
        "protected_messages", queue_url, options, besides=("client", "batch_size"), batch_size=batch_size
    )
    return ProtectedMessages(client, given)


def protected_batches(
    client: Any, queue_url: str, *, batch_size: int = 10, **options: Unpack[ConsumingOptions]
) -> ProtectedBatches:
    """The same in batches, for work that takes many messages at once.

        for batch in protected_batches(boto3.client("sqs"), queue_url):
            with batch:
                for message in batch:
                    handle(message.body)
                    message.done()

    What is not done at the end of the ``with`` has failed. In asyncio it is ``async for`` and ``async with``.

    Args:
        client: See `protected_messages`.
        queue_url: See there.
        batch_size: How many messages a batch has at most, 1 to 10.
        options: See `ConsumingOptions`.

    Raises:
        SettingsError: An argument is outside its rule; at once.
        QueueError: Messages cannot be received; in the loop.
    """
    given = Options.given(
        "protected_batches", queue_url, options, besides=("client", "batch_size"), batch_size=batch_size
    )
    return ProtectedBatches(client, given)
