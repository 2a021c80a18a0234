"""The end comes in time where SQS hangs: after it no call begins that would be later than that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from protectwork_sqs._bell import Stop
from protectwork_sqs._clients import Pair, async_client, client
from protectwork_sqs._consuming import Consuming
from protectwork_sqs._custody import InHand
from protectwork_sqs._flow import Flow, Wait
from protectwork_sqs._options import Options

from protectwork import ProtectionManager

from .sqs_client import URL, options

HANGS_S = 8.0
AWS_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/jobs"


class Clock:
    """A clock that stands still but for what a test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in ("_bell", "_flow", "_settling"):
        monkeypatch.setattr(f"protectwork_sqs.{module}.steady_now", clock)
    return clock


@pytest.fixture
def stop() -> Stop:
    return Stop()


@pytest.fixture
def consuming(manager: ProtectionManager, stop: Stop, clock: Clock) -> Iterator[Consuming]:
    consuming = Consuming(Options.of(URL, **options(manager)), stop)
    yield consuming
    consuming.leave(consuming.custody.all())
    consuming.end()


def received(consuming: Consuming, count: int) -> list[InHand]:
    raws = [{"MessageId": f"m{number}", "ReceiptHandle": f"m{number}/1"} for number in range(count)]
    items = consuming.custody.take(raws, asked_at=consuming.custody.take.__globals__["steady_now"]())
    for item in items:
        item.message.done()
    return items


def calls(flow: Flow[Any], clock: Clock) -> list[float]:
    """Run a flow where every call hangs and fails; return when each began."""
    began: list[float] = []
    effect = flow.send(None)
    while True:
        try:
            if isinstance(effect, Wait):
                clock.now += effect.seconds
                effect = flow.send(None)
            else:
                began.append(clock.now)
                clock.now += HANGS_S
                effect = flow.throw(TimeoutError())
        except StopIteration:
            return began


def test_after_the_end_no_try_to_delete_begins_that_is_later_than_ten_seconds(
    consuming: Consuming, stop: Stop, clock: Clock
) -> None:
    items = received(consuming, 30)
    stop.set()
    clock.now += 60  # the body takes its time
    ended = clock.now
    consuming.came()
    began = calls(consuming.settle(items, lambda _: []), clock)
    assert began[0] == ended
    assert 1 < len(began) < 30
    assert max(began) < ended + 10
    assert not consuming.custody


def test_the_word_to_stop_bounds_tries_that_are_under_way(consuming: Consuming, stop: Stop, clock: Clock) -> None:
    flow = consuming.settle(received(consuming, 1), lambda _: [])
    flow.send(None)
    flow.throw(TimeoutError())
    stop.set()
    stopped = clock.now
    clock.now += 0.2
    assert max(calls(flow, clock)) < stopped + 10


def test_before_the_end_each_message_is_tried_five_times(consuming: Consuming, clock: Clock) -> None:
    assert len(calls(consuming.settle(received(consuming, 1), lambda _: []), clock)) == 5


def test_after_the_end_what_has_not_started_is_given_back_only_for_a_while(
    consuming: Consuming, stop: Stop, clock: Clock
) -> None:
    items = received(consuming, 30)
    stop.set()
    assert len(calls(consuming.give_back(items), clock)) == 1
    assert not consuming.custody


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_consumers_own_client_tries_once_and_lets_only_a_receipt_take_the_time_of_a_long_poll(
    monkeypatch: pytest.MonkeyPatch, *, asynchronous: bool
) -> None:
    async def made() -> Pair:
        async with async_client(given, connections=1) as pair:
            return pair

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    given = Options.of(AWS_URL, wait_time=20)
    pair: Any = asyncio.run(made()) if asynchronous else client(given, connections=1)
    receives, deletes, hides = (
        operation.__self__.meta.config
        for operation in (pair.receive_message, pair.delete_message_batch, pair.change_message_visibility_batch)
    )
    assert receives.read_timeout == 25
    assert deletes.connect_timeout + deletes.read_timeout == 8
    assert hides is deletes
    assert {config.retries["total_max_attempts"] for config in (receives, deletes)} == {1}
