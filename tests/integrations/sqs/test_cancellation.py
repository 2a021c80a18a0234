"""A cancellation in asyncio strands no message: none that is being delivered, none that waits, none at work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from integrations.sqs.program import Order, Plan, Shape, async_client
from integrations.sqs.scene import Scene
from integrations.sqs.wire import Held
from protectwork_sqs import AsyncSQSConsumer, Message

from protectwork.testing.faults import Hang

SHAPES: tuple[Shape, ...] = ("async for", "async batches", "async consumer")
ROUNDS = 5
VISIBILITY_S = 30  # what is only visible again because its time is over was stranded


def plan_of(scene: Scene, shape: Shape, **options: object) -> Plan:
    return scene.plan(shape, manager=scene.manager(), visibility_timeout=VISIBILITY_S, **options)


def assert_all_came_back(scene: Scene, *, times: int = 1) -> None:
    """Each message was received so often, and can be received at once by anybody else."""
    accounts, found = scene.accounts(), scene.receive(wait_s=1)
    assert [*accounts.not_given_back(), *accounts.faults((), visibility_s=VISIBILITY_S)] == []
    assert [int(message["Attributes"]["ApproximateReceiveCount"]) for message in found] == [times + 1]


async def cancel(task: asyncio.Task[None], *, then: Callable[[], object] = lambda: None) -> None:
    """Cancel it, do something once it knows, and wait until it is over; it must end by that."""
    task.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    then()
    with pytest.raises(asyncio.CancelledError):
        await task


async def reached(held: Held) -> None:
    await asyncio.get_running_loop().run_in_executor(None, held.reached)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_being_delivered_when_it_is_cancelled_goes_back_every_time(scene: Scene, shape: Shape) -> None:
    scene.send(Order())

    async def main() -> None:
        for _ in range(ROUNDS):
            with scene.wire.hold("ReceiveMessage", answers=True) as held:
                task = asyncio.create_task(plan_of(scene, shape).carry_out_async())
                await reached(held)
                await cancel(task, then=held.release)

    asyncio.run(main())
    assert len(scene.accounts().receipts) == ROUNDS
    assert not scene.runs()
    assert_all_came_back(scene, times=ROUNDS)


@pytest.mark.parametrize("shape", SHAPES)
def test_being_cancelled_twice_is_no_different(scene: Scene, shape: Shape) -> None:
    scene.send(Order())

    async def main() -> None:
        with scene.wire.hold("ReceiveMessage", answers=True) as held:
            task = asyncio.create_task(plan_of(scene, shape).carry_out_async())
            await reached(held)
            task.cancel()
            for _ in range(3):
                await asyncio.sleep(0)
            await cancel(task, then=held.release)

    asyncio.run(main())
    assert_all_came_back(scene)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_end_of_asyncio_run_which_cancels_every_task_strands_nothing(scene: Scene, shape: Shape) -> None:
    scene.send(Order())

    async def main(held: Held) -> None:
        asyncio.create_task(plan_of(scene, shape).carry_out_async())  # noqa: RUF006 - forgotten, as it happens
        asyncio.create_task(when_cancelled(held.release))  # noqa: RUF006
        await reached(held)

    with scene.wire.hold("ReceiveMessage", answers=True) as held:
        asyncio.run(main(held))
    assert_all_came_back(scene)


async def when_cancelled(do: Callable[[], object]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        do()


@pytest.mark.parametrize("shape", SHAPES)
def test_what_waits_for_ecs_when_it_is_cancelled_goes_back(scene: Scene, shape: Shape) -> None:
    scene.agent.fail(Hang(), times=None)
    scene.send(Order())

    async def main() -> None:
        task = asyncio.create_task(plan_of(scene, shape).carry_out_async())
        await until(lambda: bool(scene.agent.calls))
        await cancel(task)

    asyncio.run(main())
    assert not scene.runs()
    assert_all_came_back(scene)


@pytest.mark.parametrize("at_the_end_of_run", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_being_handled_when_it_is_cancelled_goes_back(
    scene: Scene, shape: Shape, at_the_end_of_run: bool
) -> None:
    scene.send(Order(run_s=60))

    async def main() -> None:
        task = asyncio.create_task(plan_of(scene, shape, on_failure="return").carry_out_async())
        await until(lambda: bool(scene.runs()))
        if not at_the_end_of_run:
            await cancel(task)

    asyncio.run(main())
    (run,) = scene.runs()
    assert run.ended
    assert "result" not in run.remarks
    assert_all_came_back(scene)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_being_deleted_when_it_is_cancelled_is_deleted(scene: Scene, shape: Shape) -> None:
    ids = scene.send(Order())

    async def main() -> None:
        with scene.wire.hold("DeleteMessageBatch", answers=True) as held:
            task = asyncio.create_task(plan_of(scene, shape).carry_out_async())
            await reached(held)
            await cancel(task, then=held.release)

    asyncio.run(main())
    assert scene.accounts().faults(ids, visibility_s=VISIBILITY_S) == []
    assert scene.is_empty()


def test_a_handler_that_swallows_its_cancellation_and_ends_well_has_handled_its_message(scene: Scene) -> None:
    scene.send(Order())

    async def stubborn(_: Message) -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def main() -> None:
        async with async_client(scene.wire.url) as aws:
            consumer = AsyncSQSConsumer(scene.url, stubborn, client=aws, manager=scene.manager(), wait_time=1)
            task = asyncio.create_task(consumer.run())
            await begun.wait()
            await cancel(task)

    begun = asyncio.Event()
    asyncio.run(main())
    assert scene.is_empty()


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not fact():  # noqa: ASYNC110 - what is waited for is written by other threads
            await asyncio.sleep(0.02)
