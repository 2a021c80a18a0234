"""However consuming ends, what is in hand is settled or goes back, and no hold stays behind."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from typing import Any

import pytest
from protectwork_sqs import AsyncSQSConsumer, Message, SQSConsumer, protected_batches, protected_messages

from protectwork import ProtectionManager

from .sqs_client import (
    BOUND_S,
    FIFO_URL,
    URL,
    AsyncMemoryClient,
    MemoryClient,
    hanging,
    held,
    options,
    until,
    until_async,
)

VISIBILITY_S = 2

# -- loops on threads


def test_an_interrupt_of_the_end_leaves_no_hold_behind(manager: ProtectionManager) -> None:
    client = MemoryClient(messages=3)
    messages = protected_messages(client, URL, batch_size=3, **options(manager))
    client.instead["delete_message_batch"].append(KeyboardInterrupt())
    iteration = iter(messages)
    next(iteration).done()
    with pytest.raises(KeyboardInterrupt), messages:
        pass


# -- loops in asyncio


def test_a_loop_that_is_cancelled_while_it_ends_gives_everything_back_all_the_same(manager: ProtectionManager) -> None:
    client = AsyncMemoryClient(messages=3)

    async def main() -> None:
        messages = protected_messages(client, URL, batch_size=3, **options(manager))
        client.instead["delete_message_batch"].append(hanging(hangs := asyncio.Event()))
        async for message in messages:
            message.done()
            break
        await until_async(lambda: bool(client.asked("delete_message_batch")))
        asyncio.get_running_loop().call_soon(hangs.set)
        # The end of asyncio.run cancels all tasks, and the one that ends the loop among them.

    asyncio.run(main())
    assert client.left() == client.visible() == ["m1", "m2"]


def test_what_is_next_when_it_is_cancelled_goes_back_for_it_has_not_begun(manager: ProtectionManager) -> None:
    client = AsyncMemoryClient(messages=2)

    async def main() -> None:
        async def consume() -> None:
            async for message in protected_messages(client, URL, batch_size=2, **options(manager)):
                seen[message.id] = message

        client.instead["delete_message_batch"].append(hanging(hangs := asyncio.Event()))
        task = asyncio.create_task(consume())
        await until_async(lambda: bool(client.asked("delete_message_batch")))
        task.cancel()
        await asyncio.sleep(0)
        hangs.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    seen: dict[str, Message] = {}
    asyncio.run(main())
    assert list(seen) == ["m0"]
    assert client.left() == client.visible() == ["m1"]


def test_a_cancellation_while_a_batch_is_settled_returns_what_failed_all_the_same(manager: ProtectionManager) -> None:
    client = AsyncMemoryClient(messages=2)

    async def main() -> None:
        async def consume() -> None:
            async for batch in protected_batches(client, URL, on_failure="return", **options(manager)):
                async with batch:
                    batch.messages[0].done()

        client.instead["delete_message_batch"].append(hanging(hangs := asyncio.Event()))
        task = asyncio.create_task(consume())
        await until_async(lambda: bool(client.asked("delete_message_batch")))
        task.cancel()
        await asyncio.sleep(0)
        hangs.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert client.left() == client.visible() == ["m1"]


def test_what_a_receipt_brings_that_the_end_of_the_loop_comes_in_between_goes_back(manager: ProtectionManager) -> None:
    client = AsyncMemoryClient(messages=2)

    async def main() -> None:
        messages = protected_messages(client, URL, batch_size=2, **options(manager))

        async def consume() -> None:
            async for message in messages:
                pytest.fail(f"{message} was begun")

        client.instead["receive_message"].append(hanging(hangs := asyncio.Event()))
        task = asyncio.create_task(consume())
        await until_async(lambda: bool(client.asked("receive_message")))
        asyncio.get_running_loop().call_later(0.05, hangs.set)
        async with messages:
            pass
        await task

    asyncio.run(main())
    assert client.left() == client.visible() == ["m0", "m1"]


def test_what_a_receipt_brings_goes_back_when_all_tasks_are_cancelled_meanwhile(manager: ProtectionManager) -> None:
    client = AsyncMemoryClient(messages=2)

    async def main() -> None:
        async def consume() -> None:
            async for message in protected_messages(client, URL, batch_size=2, **options(manager)):
                pytest.fail(f"{message} was begun")

        client.instead["receive_message"].append(hanging(hangs := asyncio.Event()))
        task = asyncio.create_task(consume())
        await until_async(lambda: bool(client.asked("receive_message")))
        asyncio.get_running_loop().call_later(0.05, hangs.set)
        tasks.append(task)

    tasks: list[asyncio.Task[None]] = []
    asyncio.run(main())
    assert client.left() == client.visible() == ["m0", "m1"]


@pytest.mark.parametrize("steps", range(5))
def test_a_loop_that_is_cancelled_with_all_tasks_at_its_first_steps_ends_like_any_other(
    manager: ProtectionManager, steps: int
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    client = AsyncMemoryClient(messages=1)

    async def main() -> None:
        async def consume() -> None:
            for _ in range(steps):
                await asyncio.sleep(0)
            async for message in protected_messages(client, URL, **options(manager)):
                pytest.fail(f"{message} was begun")

        tasks.append(asyncio.create_task(consume()))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    asyncio.run(main())
    assert client.visible() == ["m0"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_body_that_outlives_the_cancellation_of_all_tasks_keeps_its_message(manager: ProtectionManager) -> None:
    client = AsyncMemoryClient(messages=1)

    async def main() -> None:
        async def consume() -> None:
            settings = options(manager, visibility_timeout=VISIBILITY_S, on_failure="return")
            async for _ in protected_messages(client, URL, **settings):
                begun.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    await asyncio.sleep(1.2 * VISIBILITY_S)
                    in_the_end.extend([held(manager), client.visible()])

        begun = asyncio.Event()
        tasks.append(asyncio.create_task(consume()))
        await begun.wait()

    tasks: list[asyncio.Task[None]] = []
    in_the_end: list[list[str]] = []
    asyncio.run(main())
    assert in_the_end == [["jobs[m0]"], []]
    assert client.visible() == ["m0"]


def test_a_loop_whose_event_loop_is_closed_under_it_leaves_no_hold_behind(manager: ProtectionManager) -> None:
    client = AsyncMemoryClient(messages=3)

    iteration = aiter(protected_messages(client, URL, batch_size=3, **options(manager)))
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # it tells of the task that is destroyed
    loop.run_until_complete(anext(iteration))
    loop.close()
    del iteration, loop
    gc.collect()
    assert held(manager) == []


# -- consumers


def test_a_consumer_that_is_cancelled_while_it_stops_still_waits_for_its_handlers(manager: ProtectionManager) -> None:
    client = AsyncMemoryClient(messages=3, fifo=True)
    ended: list[str] = []

    async def handle(message: Message) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(message.id)

    async def main() -> None:
        client.instead["change_message_visibility_batch"].append(hanging(hangs := asyncio.Event()))
        consumer = AsyncSQSConsumer(FIFO_URL, handle, client=client, **options(manager))
        task = asyncio.create_task(consumer.run())
        await until_async(lambda: bool(held(manager)))
        consumer.stop()
        await until_async(lambda: bool(client.asked("change_message_visibility_batch")))
        task.cancel()
        await asyncio.sleep(0)
        hangs.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["m0"]

    asyncio.run(main())
    assert client.left() == client.visible() == ["m0", "m1", "m2"]


def test_an_extension_that_hangs_does_not_keep_a_loop_from_its_end(
    manager: ProtectionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protectwork_sqs._drivers._LAST_S", 0.01)
    client = AsyncMemoryClient(messages=2)

    async def main() -> None:
        client.instead["change_message_visibility_batch"].append(hanging(asyncio.Event()))
        messages = protected_messages(client, URL, batch_size=2, **options(manager, visibility_timeout=3))
        async with messages:
            async for _ in messages:
                await until_async(lambda: bool(client.asked("change_message_visibility_batch")))
                break

    asyncio.run(main())
    assert client.visible() == ["m1"]


def test_an_extension_that_hangs_does_not_keep_a_consumer_from_its_end(
    manager: ProtectionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protectwork_sqs._drivers._LAST_S", 0.01)
    client = AsyncMemoryClient(messages=1)

    async def handle(_: Message) -> None:
        await until_async(lambda: bool(client.asked("change_message_visibility_batch")))
        consumer.stop()

    async def main() -> None:
        client.instead["change_message_visibility_batch"].append(hanging(asyncio.Event()))
        await consumer.run()

    consumer = AsyncSQSConsumer(URL, handle, client=client, **options(manager, visibility_timeout=1))
    asyncio.run(main())
    assert client.left() == []


def test_a_client_that_is_closed_under_a_call_does_not_keep_asyncio_from_its_end(
    manager: ProtectionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protectwork_sqs._drivers._LAST_S", 0.01)
    client = AsyncMemoryClient(messages=1)

    async def main() -> None:
        for operation in ("change_message_visibility_batch", "delete_message_batch"):
            client.instead[operation] += [hanging(asyncio.Event()) for _ in range(3)]
        async for _ in protected_messages(client, URL, **options(manager, on_failure="return")):
            break
        await asyncio.sleep(0)

    asyncio.run(main())
    assert held(manager) == []


def test_a_handler_that_outlives_the_cancellation_of_all_tasks_keeps_its_message(manager: ProtectionManager) -> None:
    client = AsyncMemoryClient(messages=1)

    async def handle(_: Message) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(1.2 * VISIBILITY_S)

    async def main() -> None:
        consumer = AsyncSQSConsumer(URL, handle, client=client, **options(manager, visibility_timeout=VISIBILITY_S))
        tasks.append(asyncio.create_task(consumer.run()))
        await begun.wait()

    tasks: list[asyncio.Task[None]] = []
    begun = asyncio.Event()
    asyncio.run(main())
    assert client.left() == []


def test_what_still_runs_when_a_consumer_is_interrupted_twice_is_settled_when_it_ends(
    manager: ProtectionManager,
) -> None:
    client = MemoryClient(messages=2, fifo=True)
    begun, ends = threading.Event(), threading.Event()

    def handle(_: Message) -> None:
        begun.set()
        assert ends.wait(BOUND_S)

    def interrupt(_: dict[str, Any]) -> BaseException:
        assert begun.wait(BOUND_S)
        return KeyboardInterrupt()

    client.instead["receive_message"] += [lambda _: None, interrupt]
    client.instead["change_message_visibility_batch"].append(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        SQSConsumer(FIFO_URL, handle, client=client, **options(manager)).run()
    assert held(manager) == ["jobs.fifo[m0]"]
    ends.set()
    until(lambda: client.left() == ["m1"] and not held(manager))
