"""In a FIFO queue no message is handled before one of its group that will come again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from protectwork_sqs import AsyncSQSConsumer, Message, MessageLost, SQSConsumer, protected_batches, protected_messages

from protectwork import Event, ProtectionManager

from .sqs_client import BOUND_S, FIFO_URL, AsyncMemoryClient, MemoryClient, options

GONE = "ReceiptHandleIsInvalid"
MESSAGES = 3


def refusing(arguments: dict[str, Any], *, code: str) -> Any:
    return {"Failed": [{"Id": entry["Id"], "Code": code} for entry in arguments["Entries"]]}


class Handled:
    """Notes what is handled, and stops when the last message is."""

    def __init__(self, *, during_first: Callable[[], None] = lambda: None) -> None:
        self.ids: list[str] = []
        self.stop: Callable[[], None] = lambda: None
        self._during_first = during_first

    def __call__(self, message: Message) -> None:
        self.ids.append(message.id)
        if len(self.ids) == 1:
            self._during_first()
        if message.id == f"m{MESSAGES - 1}":
            self.stop()


def in_a_loop(client: MemoryClient, handled: Handled, **more: Any) -> None:
    messages = protected_messages(client, FIFO_URL, batch_size=10, **more)
    handled.stop = messages.stop
    for message in messages:
        handled(message)


def on_threads(client: MemoryClient, handled: Handled, **more: Any) -> None:
    consumer = SQSConsumer(FIFO_URL, handled, client=client, **more)
    handled.stop = consumer.stop
    consumer.run()


def in_asyncio(client: MemoryClient, handled: Handled, **more: Any) -> None:
    async def handle(message: Message) -> None:
        await asyncio.to_thread(handled, message)

    consumer = AsyncSQSConsumer(FIFO_URL, handle, client=client, **more)
    handled.stop = consumer.stop
    asyncio.run(consumer.run())


SHAPES = [(MemoryClient, in_a_loop), (MemoryClient, on_threads), (AsyncMemoryClient, in_asyncio)]


@pytest.mark.parametrize(("client_of", "consume"), SHAPES)
def test_what_waits_behind_a_message_that_is_lost_when_it_is_deleted_is_not_handled_before_it_comes_again(
    manager: ProtectionManager, client_of: type[MemoryClient], consume: Callable[..., None]
) -> None:
    client = client_of(messages=MESSAGES, fifo=True)
    client.instead["delete_message_batch"].append(partial(refusing, code=GONE))
    consume(client, handled := Handled(), **options(manager, visibility_timeout=1))
    assert handled.ids == ["m0", "m0", "m1", "m2"]


class Observer:
    """Hears of the first message that is lost."""

    def __init__(self) -> None:
        self.lost = threading.Event()

    def on_event(self, event: Event) -> None:
        if isinstance(event, MessageLost):
            self.lost.set()


@pytest.mark.parametrize(("client_of", "consume"), SHAPES)
def test_what_waits_behind_a_message_that_is_lost_before_it_begins_is_not_handled_before_it_comes_again(
    manager: ProtectionManager, client_of: type[MemoryClient], consume: Callable[..., None]
) -> None:
    def lose_the_next() -> None:
        client.stored[1].hidden_until = 0.0
        assert observer.lost.wait(BOUND_S)

    client = client_of(messages=MESSAGES, fifo=True)
    forget = manager.subscribe(observer := Observer())
    consume(client, handled := Handled(during_first=lose_the_next), **options(manager, visibility_timeout=1))
    forget()
    assert handled.ids == ["m0", "m1", "m2"]
    assert client.received() == {"m0": 1, "m1": 2, "m2": 2}


def settle_one(client: MemoryClient, settings: dict[str, Any], settle: Callable[[Message], None]) -> None:
    batches = protected_batches(client, FIFO_URL, **settings)

    async def main() -> None:
        async for batch in batches:
            async with batch:
                for message in batch:
                    settle(message)
            batches.stop()

    if isinstance(client, AsyncMemoryClient):
        asyncio.run(main())
        return
    for batch in batches:
        with batch:
            for message in batch:
                settle(message)
        batches.stop()


@pytest.mark.parametrize("on_failure", ["leave", "return"])
@pytest.mark.parametrize("client_of", [MemoryClient, AsyncMemoryClient])
def test_in_a_batch_what_comes_after_one_of_its_group_that_is_not_done_has_failed_too(
    manager: ProtectionManager, client_of: type[MemoryClient], on_failure: str
) -> None:
    def settle(message: Message) -> None:
        if message.id != "m2":
            message.done()

    client = client_of(messages=6, fifo=True, groups=lambda number: "odd" if number % 2 else "even")
    settle_one(client, options(manager, on_failure=on_failure), settle)
    assert client.left() == ["m2", "m4"]
    assert client.visible() == (["m2", "m4"] if on_failure == "return" else [])
