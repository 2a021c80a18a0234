"""What the loops that people write do with each message, however their bodies end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing
from math import inf
from typing import Any

import pytest
from integrations.sqs.program import Order, async_client, client
from integrations.sqs.scene import Scene
from integrations.sqs.wire import BOUND_S
from protectwork_sqs import Message, protected_batches, protected_messages

from protectwork import SettingsError

VISIBILITY_S = 30  # what is only visible again because its time is over was left


class JobError(Exception):
    pass


@pytest.fixture
def aws(scene: Scene) -> Iterator[Any]:
    with closing(client(scene.wire.url)) as aws:
        yield aws


@pytest.fixture
def options(scene: Scene) -> dict[str, Any]:
    return {"manager": scene.protected_manager(), "wait_time": 1, "visibility_timeout": VISIBILITY_S}


def fates(scene: Scene, ids: list[str]) -> str:
    """What became of each message: d(eleted), r(eturned), l(eft), or - where it was never received."""
    accounts = scene.accounts()

    def fate(message: str) -> str:
        receipts = accounts.of(message)
        if not receipts:
            return "-"
        return "d" if receipts[-1].deleted_at < inf else "r" if receipts[-1].returned_at < inf else "l"

    return "".join(map(fate, ids))


def numbered(scene: Scene, number: int) -> list[str]:
    return scene.send(*(Order(number=place) for place in range(number)))


def number_of(message: Message) -> int:
    return Order.of(message.body).number


# -- one after the other


def test_a_message_is_deleted_when_the_loop_goes_on_and_not_before(scene: Scene, aws: Any, options: Any) -> None:
    ids = numbered(scene, 2)
    messages = protected_messages(aws, scene.url, **options)
    seen = []
    for message in messages:
        seen.append(fates(scene, ids))
        if number_of(message) == 1:
            messages.stop()
    assert seen == ["l-", "dl"]
    assert fates(scene, ids) == "dd"


@pytest.mark.parametrize("on_failure", ["leave", "return"])
@pytest.mark.parametrize("leaves", ["break", "raise", "done and break", "done and raise"])
def test_a_loop_that_is_left_settles_by_what_was_said_and_returns_the_rest(
    scene: Scene, aws: Any, options: Any, leaves: str, on_failure: str
) -> None:
    ids = numbered(scene, 4)

    def loop() -> None:
        for message in protected_messages(aws, scene.url, batch_size=4, on_failure=on_failure, **options):
            if number_of(message) == 1:
                if leaves.startswith("done"):
                    message.done()
                if leaves.endswith("raise"):
                    raise JobError
                break

    if leaves.endswith("raise"):
        with pytest.raises(JobError):
            loop()
    else:
        loop()
    assert fates(scene, ids) == f"d{'d' if 'done' in leaves else on_failure[0]}rr"


def test_the_last_word_counts(scene: Scene, aws: Any, options: Any) -> None:
    ids = numbered(scene, 4)
    messages = protected_messages(aws, scene.url, batch_size=4, on_failure="return", **options)
    words = (["failed"], ["failed", "done"], ["done", "failed"], [])
    for message in messages:
        for word in words[number_of(message)]:
            getattr(message, word)()
        if number_of(message) == 3:
            messages.stop()
    assert fates(scene, ids) == "rdrd"


def test_stop_ends_the_loop_after_the_body_and_returns_what_has_not_started(
    scene: Scene, aws: Any, options: Any
) -> None:
    ids = numbered(scene, 3)
    messages = protected_messages(aws, scene.url, batch_size=3, **options)
    for _ in messages:
        messages.stop()
    assert fates(scene, ids) == "drr"
    receipts = len(scene.wire.exchanges("ReceiveMessage"))
    assert list(messages) == []
    assert len(scene.wire.exchanges("ReceiveMessage")) == receipts


def test_a_stop_from_another_thread_ends_a_loop_that_waits(scene: Scene, aws: Any, options: Any) -> None:
    messages = protected_messages(aws, scene.url, **options)

    def stop() -> None:
        scene.wire.until(lambda: len(scene.wire.exchanges("ReceiveMessage")) == 2, what=lambda: "it waits again")
        messages.stop()

    with_thread = threading.Thread(target=stop, daemon=True)
    with_thread.start()
    assert list(messages) == []
    with_thread.join()


def test_two_loops_over_the_same_are_two_runs(scene: Scene, aws: Any, options: Any) -> None:
    ids = numbered(scene, 2)
    messages = protected_messages(aws, scene.url, **options)
    for place in range(2):
        for message in messages:
            assert number_of(message) == place
            message.done()
            break
    assert fates(scene, ids) == "dd"


def test_the_end_of_with_gives_back_what_is_in_hand_and_stops(scene: Scene, aws: Any, options: Any) -> None:
    ids = numbered(scene, 3)
    with protected_messages(aws, scene.url, batch_size=3, on_failure="return", **options) as messages:
        iterator = iter(messages)  # which is not dropped when the loop is left
        next(iterator)
    assert fates(scene, ids) == "rrr"
    assert list(messages) == []
    assert next(iterator, None) is None


def test_a_message_has_what_sqs_said_of_it(scene: Scene, aws: Any, options: Any) -> None:
    attribute = {"DataType": "String", "StringValue": "blue"}
    scene.aws.send_message(QueueUrl=scene.url, MessageBody="a text", MessageAttributes={"colour": attribute})
    for message in protected_messages(aws, scene.url, **options):
        assert (message.body, message["Body"], message.raw["Body"]) == ("a text", "a text", "a text")
        assert (message.id, message.receipt_handle) == (message["MessageId"], message["ReceiptHandle"])
        assert (message.receive_count, message.attributes["ApproximateReceiveCount"]) == (1, "1")
        assert message.message_attributes["colour"]["StringValue"] == "blue"
        assert message.group_id is None
        assert not message.lost.is_set()
        assert message.lost.wait(0) is False
        assert repr(message) == f"<Message {message.id}>"
        message.done()
        break
    assert not message.lost.is_set()


# -- in batches


@pytest.mark.parametrize("on_failure", ["leave", "return"])
def test_a_batch_is_settled_at_the_end_of_its_with(scene: Scene, aws: Any, options: Any, on_failure: str) -> None:
    ids = numbered(scene, 5)
    batches = protected_batches(aws, scene.url, on_failure=on_failure, **options)
    for batch in batches:
        with batch:
            assert len(batch) == len(list(batch)) == 5
            for message in batch:
                if number_of(message) in (0, 3):
                    message.done()
                if number_of(message) == 4:
                    message.failed()
            assert fates(scene, ids) == "lllll"
        other = on_failure[0]
        assert fates(scene, ids) == f"d{other}{other}d{other}"
        batches.stop()


def test_an_error_in_a_batch_settles_what_was_done_and_leaves_the_loop(scene: Scene, aws: Any, options: Any) -> None:
    ids = numbered(scene, 3)

    def loop() -> None:
        for batch in protected_batches(aws, scene.url, on_failure="return", **options):
            with batch:
                for message in batch:
                    if number_of(message) == 1:
                        raise JobError
                    message.done()

    with pytest.raises(JobError):
        loop()
    assert fates(scene, ids) == "drr"


def test_a_batch_without_its_with_is_settled_when_the_loop_goes_on(scene: Scene, aws: Any, options: Any) -> None:
    ids = numbered(scene, 2)
    batches = protected_batches(aws, scene.url, on_failure="return", **options)
    for batch in batches:
        for message in batch:
            if number_of(message) == 0:
                message.done()
        batches.stop()
    assert fates(scene, ids) == "dr"


def test_batches_are_no_larger_than_wanted(scene: Scene, aws: Any, options: Any) -> None:
    ids = numbered(scene, 5)
    sizes = []
    batches = protected_batches(aws, scene.url, batch_size=2, **options)
    for batch in batches:
        with batch:
            sizes.append(len(batch))
            for message in batch:
                message.done()
        if sum(sizes) == 5:
            batches.stop()
    assert sizes == [2, 2, 1]
    assert fates(scene, ids) == "ddddd"


# -- in asyncio


def in_asyncio(scene: Scene, loop: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(BOUND_S), async_client(scene.wire.url) as aws:
            await loop(aws)

    asyncio.run(main())


@pytest.mark.parametrize("inside_with", [True, False])
@pytest.mark.parametrize("leaves", ["break", "raise"])
def test_an_async_loop_that_is_left_settles_too(scene: Scene, options: Any, leaves: str, inside_with: bool) -> None:
    ids = numbered(scene, 3)

    async def consume(messages: Any) -> None:
        async for message in messages:
            if number_of(message) == 1:
                if leaves == "raise":
                    raise JobError
                break

    async def loop(aws: Any) -> None:
        messages = protected_messages(aws, scene.url, batch_size=3, on_failure="return", **options)
        try:
            if inside_with:
                async with messages:
                    await consume(messages)
            else:
                await consume(messages)
        except JobError:
            assert leaves == "raise"
        while not inside_with and fates(scene, ids) != "drr":  # noqa: ASYNC110 - it ends by itself, soon after
            await asyncio.sleep(0.02)

    in_asyncio(scene, loop)
    assert fates(scene, ids) == "drr"


def test_an_async_batch_is_settled_at_the_end_of_its_with(scene: Scene, options: Any) -> None:
    ids = numbered(scene, 3)

    async def loop(aws: Any) -> None:
        batches = protected_batches(aws, scene.url, on_failure="return", **options)
        async for batch in batches:
            async with batch:
                next(iter(batch)).done()
            assert fates(scene, ids) == "drr"
            batches.stop()

    in_asyncio(scene, loop)


def test_the_other_kind_of_with_is_refused_and_nothing_is_lost(scene: Scene, aws: Any, options: Any) -> None:
    numbered(scene, 1)

    async def wrong_with() -> None:
        for batch in protected_batches(aws, scene.url, on_failure="return", **options):
            async with batch:
                pass

    async def wrong(aws: Any) -> None:
        async with protected_batches(aws, scene.url, on_failure="return", **options) as batches:
            async for batch in batches:
                with batch:
                    pass

    with pytest.raises(SettingsError, match="used with `with` in this loop"):
        asyncio.run(wrong_with())
    with pytest.raises(SettingsError, match="used with `async with` in this loop"):
        in_asyncio(scene, wrong)
    assert scene.visible() == 1


def test_a_loop_in_asyncio_does_not_hold_up_others(scene: Scene, options: Any) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async def loop(aws: Any) -> None:
        ticking = asyncio.create_task(tick())
        messages = protected_messages(aws, scene.url, **options)
        asyncio.get_running_loop().call_later(0.3, messages.stop)
        async for _ in messages:
            raise AssertionError
        ticking.cancel()

    in_asyncio(scene, loop)
    assert ticks > 5
