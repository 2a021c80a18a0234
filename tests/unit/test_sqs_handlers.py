"""Whatever a handler does, its message is deleted only when it was handled, and nothing hangs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import programs
import pytest
from protectwork_sqs import AsyncSQSConsumer, Message, SQSConsumer, protected_messages

from protectwork import ProtectionManager, SettingsError

from .sqs_client import BOUND_S, FIFO_URL, URL, AsyncMemoryClient, MemoryClient, options, until

TESTS = Path(__file__).parents[1]


def consume(client: MemoryClient, handler: Any, manager: ProtectionManager, *, until_: Callable[[], bool]) -> None:
    """Consume until a fact holds: in asyncio with a client of that kind, else on threads."""
    kind = AsyncSQSConsumer if isinstance(client, AsyncMemoryClient) else SQSConsumer
    consumer: Any = kind(URL, handler, client=client, concurrency=2, **options(manager))
    run = (lambda: asyncio.run(consumer.run())) if kind is AsyncSQSConsumer else consumer.run
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        until(until_)
    finally:
        consumer.stop()
        thread.join(BOUND_S)
    assert not thread.is_alive()


def test_an_async_handler_that_cannot_be_called_fails_its_messages(
    manager: ProtectionManager, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(_message: Message, _more: object) -> None:
        """It is given one argument."""

    client = AsyncMemoryClient(messages=2)
    consume(client, handle, manager, until_=lambda: len(caplog.records) == 2)
    assert client.left() == ["m0", "m1"]
    assert client.visible() == []


def _generator(_message: Message) -> Iterator[None]:
    yield


async def _async_generator(_message: Message) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("handler", [_generator, _async_generator, partial(_generator)])
@pytest.mark.parametrize("kind", [SQSConsumer, AsyncSQSConsumer])
def test_a_generator_is_no_handler_for_nothing_would_run_it(kind: Callable[..., object], handler: object) -> None:
    with pytest.raises(SettingsError, match="no generator"):
        kind(URL, handler)


async def _other(_message: Message) -> None:
    pytest.fail("nobody awaits it")


def _calls_async(message: Message) -> object:
    return _other(message)


def _calls_a_generator(message: Message) -> object:
    return _generator(message)


async def _forgets_to_await(message: Message) -> object:
    return _other(message)


@pytest.mark.filterwarnings("ignore:coroutine '_other' was never awaited:RuntimeWarning")
@pytest.mark.parametrize(
    ("client_of", "handler"),
    [
        (MemoryClient, _calls_async),
        (MemoryClient, _calls_a_generator),
        (AsyncMemoryClient, _forgets_to_await),
    ],
)
def test_a_message_whose_handler_gives_what_has_not_run_is_not_deleted(
    manager: ProtectionManager,
    caplog: pytest.LogCaptureFixture,
    client_of: type[MemoryClient],
    handler: Callable[..., object],
) -> None:
    client = client_of(messages=1)
    consume(client, handler, manager, until_=lambda: "which nothing runs" in caplog.text)
    assert client.left() == ["m0"]


def test_a_cancellation_of_a_handlers_own_making_is_a_failure_like_any_other(manager: ProtectionManager) -> None:
    received: list[str] = []

    async def handle(message: Message) -> None:
        received.append(message.id)
        if message.id == "m0":
            raise asyncio.CancelledError

    client = AsyncMemoryClient(messages=2)
    consume(client, handle, manager, until_=lambda: client.left() == ["m0"])
    assert sorted(received) == ["m0", "m1"]
    assert client.visible() == []


def test_an_async_handler_that_exits_ends_all_and_what_others_were_handling_goes_back(
    manager: ProtectionManager,
) -> None:
    others = asyncio.Event()

    async def handle(message: Message) -> None:
        if message.id == "m0":
            await others.wait()
            raise SystemExit(3)
        others.set()
        await asyncio.Event().wait()

    client = AsyncMemoryClient(messages=2)
    with pytest.raises(SystemExit):
        asyncio.run(AsyncSQSConsumer(URL, handle, client=client, **options(manager)).run())
    assert client.left() == ["m0", "m1"]
    assert client.visible() == ["m1"]


_ON_A_THREAD = """
import threading
from unit.sqs_client import URL, MemoryClient
from protectwork import ProtectionManager, Settings
from protectwork_sqs import SQSConsumer

def handle(message):
    threading.main_thread().join()
    print(message.id)
    if message.id == "m2":
        consumer.stop()

def run():
    consumer.run()
    print(client.left())

manager = ProtectionManager(settings=Settings(backend="off"))
client = MemoryClient(messages=3)
consumer = SQSConsumer(URL, handle, client=client, concurrency=1, wait_time=1, manager=manager)
threading.Thread(target=run).start()
"""


def test_a_consumer_goes_on_when_the_main_thread_has_ended() -> None:
    done = programs.run(_ON_A_THREAD, PYTHONPATH=str(TESTS))
    assert done.lines == ["m0", "m1", "m2", "[]"], done.err


def test_a_message_for_which_no_thread_can_be_started_waits_for_one_and_is_handled_once(
    manager: ProtectionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, refused = threading.Thread.start, threading.Event()

    def one_thread(thread: threading.Thread) -> None:
        if thread.name == "protectwork-sqs-1":
            refused.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    def handle(message: Message) -> None:
        assert refused.wait(BOUND_S)
        handled.append(message.id)

    monkeypatch.setattr(threading.Thread, "start", one_thread)
    handled: list[str] = []
    client = MemoryClient(messages=2)
    consume(client, handle, manager, until_=lambda: not client.left())
    assert handled == ["m0", "m1"]


def test_threads_for_handlers_are_started_by_the_thread_that_receives_and_by_no_other(
    manager: ProtectionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, starters = threading.Thread.start, set[threading.Thread]()
    begun = {name: threading.Event() for name in ("m0", "m1", "m2")}

    def noted(thread: threading.Thread) -> None:
        if thread.name.startswith("protectwork-sqs-") and thread.name[-1].isdecimal():
            starters.add(threading.current_thread())
        start(thread)

    def handle(message: Message) -> None:
        begun[message.id].set()
        if message.id == "m2":
            assert begun["m1"].wait(BOUND_S)

    def take_the_thread_away(_: dict[str, Any]) -> None:
        client.stored[2].hidden_until = 0.0
        assert begun["m2"].wait(BOUND_S)

    monkeypatch.setattr(threading.Thread, "start", noted)
    client = MemoryClient(messages=3, fifo=True, groups=lambda number: "other" if number == 2 else "g")
    client.stored[2].hidden_until = inf
    client.instead["delete_message_batch"].append(take_the_thread_away)
    consumer = SQSConsumer(FIFO_URL, handle, client=client, **options(manager))
    thread = threading.Thread(target=consumer.run)
    thread.start()
    until(lambda: not client.left())
    consumer.stop()
    thread.join()
    assert starters == {thread}


def test_where_no_thread_at_all_can_be_started_messages_fail(
    manager: ProtectionManager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start = threading.Thread.start

    def no_thread(thread: threading.Thread) -> None:
        if thread.name.startswith("protectwork-sqs-0"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    client = MemoryClient(messages=1)
    consume(client, print, manager, until_=lambda: "cannot be handled" in caplog.text)
    assert client.left() == ["m0"]


@pytest.mark.parametrize("nothing_for", ["protectwork-sqs-visibility", "protectwork-sqs-settle"])
def test_nothing_is_received_where_no_thread_can_look_after_it(
    manager: ProtectionManager, monkeypatch: pytest.MonkeyPatch, nothing_for: str
) -> None:
    start = threading.Thread.start

    def no_thread(thread: threading.Thread) -> None:
        if thread.name == nothing_for:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    client = MemoryClient(messages=1)
    with pytest.raises(RuntimeError, match="thread"):
        SQSConsumer(URL, print, client=client, **options(manager)).run()
    if nothing_for == "protectwork-sqs-visibility":
        with pytest.raises(RuntimeError, match="no thread can be started"):
            next(iter(protected_messages(client, URL, **options(manager))))
    assert client.received() == {}


def test_a_message_is_read_like_the_dictionary_of_the_client_and_is_itself_alone(manager: ProtectionManager) -> None:
    client = MemoryClient(messages=1)
    messages = protected_messages(client, URL, **options(manager))
    for message in messages:
        assert dict(message) == message.raw
        assert message["Body"] == message.get("Body") == "m0"
        assert message.get("MessageAttributes", "none") == "none"
        assert ("Body" in message, "MessageAttributes" in message) == (True, False)
        assert [*message] == [*message.raw]
        assert message != message.raw
        assert len({message, message}) == 1
        messages.stop()
