"""No message begins that has to wait: not while admission is closed, whoever closed it, and not where ECS refuses."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from protectwork_sqs import AsyncSQSConsumer, Message, SQSConsumer, protected_messages

from protectwork import Answer, Outcome, ProtectionManager, Settings
from protectwork.testing import FakeClock, RecordingBackend

from .sqs_client import BOUND_S, FIFO_URL, URL, AsyncMemoryClient, MemoryClient, held, options, until

REASON = "the test closes it"
SLOTS = 3  # as many as there are messages: with all of them in hand it asks for no more, and gets none twice


@pytest.fixture
def closing(manager: ProtectionManager) -> Iterator[ProtectionManager]:
    yield manager
    manager.admission.reopen(REASON)


def in_a_loop(url: str, handle: Callable[[Message], None], client: MemoryClient, **more: Any) -> Any:
    messages = protected_messages(client, url, batch_size=3, **more)

    def run() -> None:
        for message in messages:
            handle(message)

    return messages, run


def on_threads(url: str, handle: Callable[[Message], None], client: MemoryClient, **more: Any) -> Any:
    consumer = SQSConsumer(url, handle, concurrency=SLOTS, client=client, **more)
    return consumer, consumer.run


def in_asyncio(url: str, handle: Callable[[Message], None], client: MemoryClient, **more: Any) -> Any:
    async def handle_async(message: Message) -> None:
        handle(message)

    consumer = AsyncSQSConsumer(url, handle_async, concurrency=SLOTS, client=client, **more)
    return consumer, lambda: asyncio.run(consumer.run())


SHAPES = [(MemoryClient, in_a_loop), (MemoryClient, on_threads), (AsyncMemoryClient, in_asyncio)]


@pytest.mark.parametrize(("client_of", "consume"), SHAPES)
def test_what_comes_after_admission_was_closed_goes_back(
    closing: ProtectionManager, client_of: type[MemoryClient], consume: Callable[..., Any]
) -> None:
    client = client_of(messages=1)
    client.instead["receive_message"].append(lambda _: closing.admission.close(REASON))
    consumer, run = consume(URL, pytest.fail, client, **options(closing))
    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: bool(client.received()) and client.visible() == ["m0"])
    consumer.stop()
    thread.join()
    assert client.received() == {"m0": 1}


@pytest.mark.parametrize(("client_of", "consume"), SHAPES)
def test_what_waits_for_its_turn_when_admission_is_closed_goes_back(
    closing: ProtectionManager, client_of: type[MemoryClient], consume: Callable[..., Any]
) -> None:
    def handle(message: Message) -> None:
        handled.append(message.id)
        closing.admission.close(REASON)

    handled: list[str] = []
    client = client_of(messages=3, fifo=True)
    consumer, run = consume(FIFO_URL, handle, client, **options(closing))
    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: client.visible() == client.left() == ["m1", "m2"])
    consumer.stop()
    thread.join()
    assert handled == ["m0"]
    assert client.received() == {"m0": 1, "m1": 1, "m2": 1}


def in_an_async_loop(url: str, handle: Callable[[Message], None], client: MemoryClient, **more: Any) -> Any:
    messages = protected_messages(client, url, batch_size=3, **more)

    async def main() -> None:
        async for message in messages:
            await asyncio.to_thread(handle, message)

    return messages, lambda: asyncio.run(main())


BESIDE = [
    (MemoryClient, in_a_loop),
    (AsyncMemoryClient, in_an_async_loop),
    (MemoryClient, on_threads),
]


@pytest.mark.parametrize("how", ["stop", "close"])
@pytest.mark.parametrize(("client_of", "consume"), BESIDE)
def test_what_waits_for_its_turn_does_not_wait_for_the_work_before_it_when_it_will_not_begin(
    closing: ProtectionManager, client_of: type[MemoryClient], consume: Callable[..., Any], how: str
) -> None:
    def handle(message: Message) -> None:
        handled.append(message.id)
        consumer.stop() if how == "stop" else closing.admission.close(REASON)
        until(lambda: client.visible() == ["m1", "m2"])
        assert held(closing) == ["jobs.fifo[m0]"]
        gone_back.set()

    handled: list[str] = []
    gone_back = threading.Event()
    client = client_of(messages=3, fifo=True)
    consumer, run = consume(FIFO_URL, handle, client, **options(closing))
    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: client.left() == ["m1", "m2"] or not thread.is_alive())
    consumer.stop()
    thread.join()
    assert gone_back.is_set()
    assert handled == ["m0"]
    assert [entry["VisibilityTimeout"] for entry in client.asked("change_message_visibility_batch")[0]["Entries"]] == [
        0,
        0,
    ]


def test_a_loop_does_not_end_before_what_is_given_back_beside_it_is(manager: ProtectionManager) -> None:
    def hang(_: dict[str, Any]) -> None:
        giving_back.set()
        assert goes_on.wait(BOUND_S)

    def handle(_: Message) -> None:
        messages.stop()
        assert giving_back.wait(BOUND_S)

    def run() -> None:
        loop()
        visible_in_the_end.extend(client.visible())

    giving_back, goes_on = threading.Event(), threading.Event()
    visible_in_the_end: list[str] = []
    client = MemoryClient(messages=3)
    client.instead["change_message_visibility_batch"].append(hang)
    messages, loop = in_a_loop(URL, handle, client, **options(manager))
    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: client.left() == ["m1", "m2"])
    goes_on.set()
    thread.join()
    assert visible_in_the_end == ["m1", "m2"]


@pytest.mark.parametrize(("client_of", "consume"), SHAPES)
def test_what_waits_for_its_turn_when_the_lease_is_lost_to_a_refusal_goes_back(
    client_of: type[MemoryClient], consume: Callable[..., Any]
) -> None:
    def handle(message: Message) -> None:
        handled.append(message.id)
        backend.answer_next(Answer(outcome=Outcome.REFUSED, reason="DEPLOYMENT_BLOCKED"), times=1000)
        clock.advance(3 * 3600)
        assert not manager.confirmed

    clock = FakeClock()
    backend = RecordingBackend(clock=clock)
    with ProtectionManager(backend, settings=Settings(linger=600), clock=clock) as manager:
        manager.start()
        clock.advance(10)
        hold = manager.acquire("first", timeout=0)
        clock.advance(10)
        assert hold.confirmed
        hold.release()
        handled: list[str] = []
        client = client_of(messages=3, fifo=True)
        consumer, run = consume(FIFO_URL, handle, client, **options(manager))
        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: client.visible() == client.left() == ["m1", "m2"])
        consumer.stop()
        thread.join()
        assert handled == ["m0"]
        assert held(manager) == []
        clock.advance(60)
