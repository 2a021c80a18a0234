"""What the whole consumers do with each message, however its handler ends, and how they begin and end themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import closing
from math import inf
from typing import Any

import pytest
from integrations.sqs.program import AWS, Order, Shape, client
from integrations.sqs.scene import Scene
from integrations.sqs.stage import Stage
from protectwork_sqs import AsyncSQSConsumer, Message, SQSConsumer

CONSUMERS: tuple[Shape, ...] = ("consumer", "async consumer")
VISIBILITY_S = 30


@pytest.fixture
def environ(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a process which finds SQS by itself."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", scene.wire.url)
    for name, value in AWS.items():
        monkeypatch.setenv("AWS_DEFAULT_REGION" if name == "region_name" else name.upper(), value)


def run(scene: Scene, kind: str, handle: Callable[[Message], object], *, messages: int, **options: Any) -> Any:
    """Consume on this thread until so many messages have ended; the consumer."""
    given = {"manager": scene.protected_manager(), "wait_time": 1, "visibility_timeout": VISIBILITY_S, **options}
    ended = []

    def handled(message: Message) -> None:
        try:
            handle(message)
        finally:
            ended.append(message)
            if len(ended) == messages:
                consumer.stop()

    async def handled_async(message: Message) -> None:
        handled(message)

    if kind == "consumer":
        consumer: Any = SQSConsumer(scene.url, handled, **given)
        consumer.run()
    else:
        consumer = AsyncSQSConsumer(scene.url, handled_async, **given)
        asyncio.run(consumer.run())
    return consumer


SAID: list[tuple[list[str], type[BaseException] | None, bool]] = [
    ([], None, True),
    ([], ValueError, False),
    (["failed"], None, False),
    (["done"], ValueError, True),
    (["failed", "done"], None, True),
    (["done", "failed"], ValueError, False),
    ([], asyncio.CancelledError, False),
    ([], SystemExit, False),  # on a thread; in asyncio it ends the loop, as everywhere
]
"""What a handler says of its message, what it raises then, and whether the message is to be deleted."""


@pytest.mark.usefixtures("environ")
@pytest.mark.parametrize("kind", CONSUMERS)
def test_what_a_handler_says_and_how_it_ends_decides(scene: Scene, kind: str) -> None:
    said = SAID[: -1 if kind == "async consumer" else None]
    ids = scene.send(*(Order(number=number) for number in range(len(said))))

    def handle(message: Message) -> None:
        words, error, _ = said[Order.of(message.body).number]
        for word in words:
            getattr(message, word)()
        if error:
            raise error

    run(scene, kind, handle, messages=len(ids), on_failure="return")
    accounts = scene.accounts()
    deleted = [any(receipt.deleted_at < inf for receipt in accounts.of(message)) for message in ids]
    assert deleted == [to_be for _, _, to_be in said]
    assert all(receipt.returned_at < inf for receipt in accounts.receipts.values() if receipt.deleted_at == inf)


@pytest.mark.usefixtures("environ")
@pytest.mark.parametrize("kind", CONSUMERS)
def test_a_consumer_makes_its_own_client_and_runs_only_once(scene: Scene, kind: str) -> None:
    scene.send(Order())
    consumer = run(scene, kind, lambda message: None, messages=1)
    assert scene.is_empty()
    receipts = len(scene.wire.exchanges("ReceiveMessage"))
    again = consumer.run()
    if kind == "async consumer":
        asyncio.run(again)
    assert len(scene.wire.exchanges("ReceiveMessage")) == receipts


def test_a_consumer_never_fetches_more_than_it_can_handle(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        ids = scene.send(*(Order(run_s=0.1 + 0.05 * (number % 4)) for number in range(12)))
        with scene.consuming(shape, manager=scene.protected_manager(), concurrency=3):
            scene.settled(len(ids))
        accounts = scene.accounts()
        ends = {run.remarks["receipt"]: run.last for run in accounts.runs}
        asked = scene.wire.exchanges("ReceiveMessage")
        for receipt in asked:
            busy = sum(
                other.at < receipt.asked and ends[other.handle] > receipt.answered
                for other in accounts.receipts.values()
            )
            assert busy + receipt.request["MaxNumberOfMessages"] <= 3
        assert accounts.faults(ids, visibility_s=4) == []

    stage.each(play, CONSUMERS)


def test_what_was_handled_is_deleted_in_batches(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        ids = scene.send(*(Order() for _ in range(30)))
        with scene.consuming(shape, manager=scene.protected_manager(), concurrency=20):
            scene.settled(len(ids))
        deletions = scene.wire.exchanges("DeleteMessageBatch")
        assert sum(len(deletion.request["Entries"]) for deletion in deletions) == len(ids)
        assert max(len(deletion.request["Entries"]) for deletion in deletions) <= 10
        assert len(deletions) <= len(ids) / 3

    stage.each(play, CONSUMERS)


def test_a_message_is_not_deleted_before_its_handler_has_ended(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        ids = scene.send(Order(run_s=0.6), Order())
        with scene.consuming(shape):
            scene.settled(2)
        assert scene.accounts().faults(ids, visibility_s=4) == []

    stage.each(play, CONSUMERS)


@pytest.mark.parametrize("asks", ["thread", "handler"])
def test_a_stop_lets_handlers_finish_and_gives_back_the_rest(scene: Scene, asks: str) -> None:
    ids = scene.send(*(Order(number=number) for number in range(6)))
    entered, finish = threading.Event(), threading.Event()
    ended = []

    def handle(message: Message) -> None:
        if asks == "handler":
            consumer.stop()
        entered.set()
        assert finish.wait(60)
        ended.append(message.id)

    with closing(client(scene.wire.url)) as aws:
        options = {"manager": scene.manager(), "wait_time": 1, "visibility_timeout": VISIBILITY_S}
        consumer = SQSConsumer(scene.url, handle, concurrency=2, client=aws, **options)
        thread = threading.Thread(target=consumer.run, daemon=True)
        thread.start()
        assert entered.wait(60)
        consumer.stop()
        assert thread.is_alive()
        finish.set()
        thread.join(60)
    accounts = scene.accounts()
    assert 1 <= len(ended) <= 2
    assert accounts.unsettled(ended) == []
    assert [
        receipt.id for receipt in accounts.receipts.values() if receipt.deleted_at == inf and receipt.returned_at == inf
    ] == []
    assert len(ids) - len(ended) == scene.visible()
