"""What type checkers must accept, and see: a protected function has the type that it had. Never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar, assert_type, overload

from protectwork_sqs import (
    AsyncSQSConsumer,
    Batch,
    Message,
    MessageLost,
    MessageReceived,
    MessageReturned,
    MessageSettled,
    ProtectedMessages,
    QueueError,
    SQSConsumer,
    protected_batches,
    protected_messages,
)

from protectwork import (
    AdapterEvent,
    Event,
    Hold,
    ProtectionManager,
    Settings,
    Status,
    TaskFailure,
    TaskProtection,
    TaskProtections,
    configure,
    get_manager,
    get_task_protection,
    protect,
    protected,
)

T = TypeVar("T")


@protected
def bare(number: int, *, text: str = "") -> float:
    return number + len(text)


@protected()
def called(number: int, *, text: str = "") -> float:
    return number + len(text)


@protected(label="nightly", max_duration=timedelta(hours=6), on_unprotected="raise", on_lost=print)
def with_options(number: int, *, text: str = "") -> float:
    return number + len(text)


@get_manager().protected
def of_a_manager(number: int, *, text: str = "") -> float:
    return number + len(text)


@get_manager().protected(max_duration=60.0)
def of_a_manager_with_options(number: int, *, text: str = "") -> float:
    return number + len(text)


def functions() -> None:
    assert_type(bare(1, text=""), float)
    assert_type(called(1, text=""), float)
    assert_type(with_options(1, text=""), float)
    assert_type(of_a_manager(1, text=""), float)
    assert_type(of_a_manager_with_options(1, text=""), float)
    assert_type(protected(partial(bare, 1))(text=""), float)
    assert_type(list(map(protected(str.upper), ["a"])), list[str])


@protected
def generic(items: Sequence[T]) -> T:
    return items[0]


@overload
def overloaded(value: int) -> int: ...
@overload
def overloaded(value: str) -> str: ...
@protected
def overloaded(value: int | str) -> int | str:
    return value


def generics() -> None:
    assert_type(generic([1]), int)
    assert_type(generic("a"), str)
    assert_type(overloaded(1), int)
    assert_type(overloaded("a"), str)


@protected
async def coroutine(number: int) -> float:
    return number


@protected(label="nightly")
async def coroutine_with_options(number: int) -> float:
    return number


@protected
def generator(number: int) -> Generator[int, str, bool]:
    return bool((yield number))


@protected(label="nightly")
def iterator(number: int) -> Iterator[int]:
    yield number


@protected
async def async_generator(number: int) -> AsyncGenerator[int, str]:
    yield len((yield number))


@protected(label="nightly")
async def async_iterator(number: int) -> AsyncIterator[int]:
    yield number


async def kinds() -> None:
    awaitable: Coroutine[Any, Any, float] = coroutine(1)
    assert_type(await awaitable, float)
    assert_type(await coroutine(1), float)
    assert_type(await coroutine_with_options(1), float)
    assert_type(generator(1), Generator[int, str, bool])
    assert_type(iterator(1), Iterator[int])
    assert_type(async_generator(1), AsyncGenerator[int, str])
    assert_type(await async_generator(1).asend(""), int)
    assert_type([number async for number in async_iterator(1)], list[int])


class Worker:
    @protected
    def method(self, number: int) -> float:
        return number

    @protected(label="nightly")
    async def method_async(self, number: int) -> float:
        return number

    @protected
    @classmethod
    def outside_a_classmethod(cls, number: int) -> float:
        return number

    @classmethod
    @protected
    def inside_a_classmethod(cls, number: int) -> float:
        return number

    @protected(label="nightly")
    @staticmethod
    def outside_a_staticmethod(number: int) -> float:
        return number

    @staticmethod
    @protected
    def inside_a_staticmethod(number: int) -> float:
        return number

    @property
    @protected
    def attribute(self) -> float:
        return 1


class Derived(Worker):
    @protected
    def method(self, number: int, more: int = 0) -> float:
        return super().method(number) + more


async def methods() -> None:
    worker = Worker()
    assert_type(worker.method(1), float)
    assert_type(Worker.method(worker, 1), float)
    assert_type(await worker.method_async(1), float)
    assert_type(Worker.outside_a_classmethod(1), float)
    assert_type(worker.outside_a_classmethod(1), float)
    assert_type(Worker.inside_a_classmethod(1), float)
    assert_type(worker.inside_a_classmethod(1), float)
    assert_type(Worker.outside_a_staticmethod(1), float)
    assert_type(worker.outside_a_staticmethod(1), float)
    assert_type(Worker.inside_a_staticmethod(1), float)
    assert_type(worker.inside_a_staticmethod(1), float)
    assert_type(worker.attribute, float)
    assert_type(Derived().method(1, 2), float)


def a_with_block_hides_no_return() -> int:
    with protect():
        return 1


async def an_async_with_block_hides_no_return() -> int:
    async with protect():
        return 1


def tell(hold: Hold) -> None:
    print(hold.label)


class Observer:
    def on_event(self, event: Event) -> None:
        print(event)


async def holds(manager: ProtectionManager) -> None:
    with protect() as hold:
        assert_type(hold, Hold)
        assert_type(hold.confirmed, bool)
        assert_type(hold.lost, bool)
        assert_type(hold.expires_at, datetime | None)
        assert_type(hold.label, str)
    with protect("label", max_duration=1.5, on_unprotected="run", on_lost=tell):
        pass
    with manager.protect("label", max_duration=timedelta(seconds=1)) as hold:
        assert_type(hold, Hold)
    async with protect("label") as hold, manager.protect():
        assert_type(hold, Hold)
    assert_type(manager.acquire("label"), Hold)
    assert_type(manager.status(), Status)
    assert_type(manager.drain(timedelta(seconds=1)), bool)
    assert_type(manager.subscribe(Observer()), Callable[[], None])
    with ProtectionManager(settings=Settings(lease=timedelta(hours=1))) as own:
        assert_type(own, ProtectionManager)
    configure(settings=Settings(on_unprotected="raise"))


def messages_of_a_loop(client: Any) -> None:
    for message in protected_messages(client, "https://sqs.us-east-1.amazonaws.com/1/jobs", batch_size=10):
        assert_type(message, Message)
        assert_type(message.body, str)
        assert_type(message.group_id, str | None)
        assert_type(message.lost.wait(1.0), bool)
    with protected_messages(client, "", wait_time=timedelta(seconds=5), strict=True) as messages:
        assert_type(messages, ProtectedMessages)
        messages.stop()


async def messages_of_a_loop_in_asyncio(client: Any) -> None:
    async with protected_messages(client, "", on_failure="return", max_duration=60.0) as messages:
        assert_type(messages, ProtectedMessages)
        async for message in messages:
            assert_type(message, Message)
            assert_type(await message.lost.wait_async(), None)


async def batches(client: Any) -> None:
    for batch in protected_batches(client, "", visibility_timeout=60):
        with batch as same:
            assert_type(same, Batch)
            assert_type(list(batch), list[Message])
    async for batch in protected_batches(client, "", when_refused="run"):
        async with batch as same:
            assert_type(same, Batch)
            assert_type(batch.messages, tuple[Message, ...])


def handler(message: Message) -> None: ...


async def async_handler(message: Message) -> int:
    return message.receive_count


async def consumers(manager: ProtectionManager) -> None:
    assert_type(SQSConsumer("", handler, concurrency=4, manager=manager, give_up_after=60).run(), None)
    assert_type(await AsyncSQSConsumer("", async_handler, concurrency=50, label="jobs").run(), None)


class FatesOfMessages:
    def on_event(self, event: Event) -> None:
        match event:
            case MessageReturned():
                assert_type(event.visible_in_s, float)
            case MessageReceived():
                assert_type(event.receive_count, int)
            case MessageSettled() | MessageLost():
                assert_type(event.message_id, str)
            case _:
                pass


class JobSkipped(AdapterEvent): ...


def tell_of(manager: ProtectionManager, error: QueueError) -> None:
    manager.subscribe(FatesOfMessages())
    assert_type(manager.tell(JobSkipped()), None)
    assert_type(error.remedy, str | None)


def a_fleet(tasks: list[str]) -> None:
    told = get_task_protection("work", (task for task in tasks), patience=timedelta(seconds=5))
    assert_type(told, TaskProtections)
    assert_type(told.protected_tasks, tuple[TaskProtection, ...])
    assert_type(told.failures, tuple[TaskFailure, ...])
    assert_type(told.protected_tasks[0].expires_at, datetime | None)
    assert_type(told.failures[0].task_arn, str | None)
