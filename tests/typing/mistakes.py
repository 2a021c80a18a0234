"""What type checkers must refuse: a comment names each error, and is itself one where there is none. Never run."""

from __future__ import annotations

from typing import Any

from protectwork_sqs import AsyncSQSConsumer, Batch, Message, SQSConsumer, protected_batches, protected_messages

from protectwork import Event, Hold, ProtectionManager, Settings, configure, get_manager, protect, protected


@protected
def bare(number: int) -> float:
    return number


@protected(label="nightly")
def with_options(number: int) -> float:
    return number


@protected
async def coroutine(number: int) -> float:
    return number


class Worker:
    @protected
    def method(self, number: int) -> float:
        return number

    @protected
    @classmethod
    def class_method(cls, number: int) -> float:
        return number

    @staticmethod
    @protected
    def static_method(number: int) -> float:
        return number


async def signatures() -> None:
    bare("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bare()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    bare(1, 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with_options("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    get_manager().protected(bare)("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await coroutine("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    text: str = await coroutine(1)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    text.upper()
    Worker().method("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker.class_method("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker.static_method("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def options(manager: ProtectionManager) -> None:
    protected(5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    protected(label=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    protected(lable="x")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    manager.protected(label=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    protect(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    protect(max_duration="2h")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    protect(on_unprotected="stop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    protect("label", 60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    protect(on_lost=takes_nothing)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    configure(settings="off")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Settings(on_unprotected="stop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    manager.subscribe(NoObserver())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def takes_nothing() -> None: ...


class NoObserver:
    def on_event(self, event: Event, more: int) -> None: ...


def holds(hold: Hold) -> None:
    hold.confirmed = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    hold.nothing = 1  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def of_queues(client: Any, manager: ProtectionManager) -> None:
    protected_messages(client)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    protected_messages(client, "", 10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    protected_messages(client, "", visibility=60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    protected_messages(client, "", on_failure="drop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    protected_batches(client, "", wait_time="5s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SQSConsumer("", takes_nothing)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SQSConsumer("", print, batch_size=10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncSQSConsumer("", handler)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    manager.tell("skipped")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def handler(message: Message) -> None:
    message.done = True  # type: ignore[assignment, method-assign]  # pyright: ignore[reportAttributeAccessIssue]
    message.text = ""  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def of_a_batch(batch: Batch) -> None:
    batch.__aiter__()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
