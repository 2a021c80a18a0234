"""What a worker does in the tests: it consumes one queue in one of the shapes that people write, and notes each run.

The body of a message says, as JSON, how it is to be handled: see `Order`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from integrations.celery_worker.journal import BEAT_S, ENDLESS_S, Body
from protectwork_sqs import (
    AsyncSQSConsumer,
    Message,
    ProtectedBatches,
    ProtectedMessages,
    SQSConsumer,
    protected_batches,
    protected_messages,
)

from protectwork._clock import steady_now

Shape = Literal["for", "batches", "consumer", "async for", "async batches", "async consumer"]

AWS = {"region_name": "us-east-1", "aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
_ONCE: dict[str, Any] = {"retries": {"total_max_attempts": 1}}  # so that it is ours who tries again
_making = threading.Lock()  # botocore's session is for one thread at a time
CHILD = "child"
"""What a forked child is called in the journal."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """How a message is to be handled.

    Attributes:
        run_s: How long its handler runs.
        fails: At which receipts it fails, of those that SQS counts.
        until_lost: Whether its handler runs on until it is lost, when it was received for the first time.
        fork: What a child does that its handler forks: one of `FORKS`.
        number: To tell one from another.
    """

    run_s: float = 0.0
    fails: tuple[int, ...] = ()
    until_lost: bool = False
    fork: str = ""
    number: int = 0

    def text(self) -> str:
        """The body of the message."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Order:
        """What the body of a message says."""
        return cls(**json.loads(text))


class JobError(Exception):
    """What a handler raises that was told to fail."""


class Handler:
    """Does what a message says, and notes it.

    Args:
        journal: Where.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal

    def handle(self, message: Message) -> None:
        """In this thread."""
        order = Order.of(message.body)
        with self._body(message, order) as body:
            if order.fork:
                if not (child := os.fork()):
                    FORKS[order.fork](Body(CHILD, task_id=message.id, journal=self._journal))
                    return
                while not (ended := os.waitpid(child, os.WNOHANG))[0]:
                    body.busy(BEAT_S)
                body.note("child", str(os.waitstatus_to_exitcode(ended[1])))
            body.busy(order.run_s)
            if order.until_lost and message.receive_count == 1:
                message.lost.wait(ENDLESS_S)
            _conclude(order, message, body)

    async def handle_async(self, message: Message) -> None:
        """In this task."""
        order = Order.of(message.body)
        with self._body(message, order) as body:
            until = steady_now() + order.run_s
            while (left_s := until - steady_now()) > 0:
                await asyncio.sleep(min(left_s, BEAT_S))
                body.note("busy")
            if order.until_lost and message.receive_count == 1:
                await message.lost.wait_async()
            _conclude(order, message, body)

    @contextmanager
    def _body(self, message: Message, order: Order) -> Generator[Body]:
        with Body("job", task_id=message.id, journal=self._journal) as body:
            body.note("receipt", message.receipt_handle)
            body.note("number", str(order.number))
            yield body


def _conclude(order: Order, message: Message, body: Body) -> None:
    if message.lost.is_set():
        body.note("lost", "yes")
    if message.receive_count in order.fails:
        body.note("result", "failed")
        raise JobError
    body.note("result", "handled")


def _goes_on(body: Body) -> None:
    with body:
        pass


def _raises(body: Body) -> None:
    with body:
        raise RuntimeError("in a child")


def _exits(body: Body) -> None:
    with body:
        sys.exit(7)


def _waits(body: Body) -> None:
    with body:
        body.busy(ENDLESS_S)


FORKS = {"goes on": _goes_on, "raises": _raises, "exits": _exits, "waits": _waits}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a worker is to do.

    Attributes:
        shape: How it consumes.
        queue: The URL of its queue.
        endpoint: Where SQS is.
        journal: Where its handlers note their runs.
        concurrency: How many messages a consumer handles at once.
        options: What it consumes with.
    """

    shape: Shape
    queue: str
    endpoint: str
    journal: str
    concurrency: int = 8
    options: dict[str, Any] = field(default_factory=dict)

    def carry_out(self, told: Callable[[Any], object] = lambda _: None) -> None:
        """Consume until that is stopped.

        Args:
            told: Called with what can be stopped, before anything is received.
        """
        if self.shape.startswith("async"):
            asyncio.run(self.carry_out_async(told))
            return
        with closing(client(self.endpoint)) as aws:
            told(consuming := self._made(aws))
            CONSUME[self.shape](consuming, Handler(Path(self.journal)))

    async def carry_out_async(self, told: Callable[[Any], object] = lambda _: None) -> None:
        """The same in a running loop."""
        async with async_client(self.endpoint) as aws:
            told(consuming := self._made(aws))
            await CONSUME[self.shape](consuming, Handler(Path(self.journal)))

    def _made(self, aws: Any) -> Any:
        handler = Handler(Path(self.journal))
        if self.shape == "consumer":
            return SQSConsumer(self.queue, handler.handle, concurrency=self.concurrency, client=aws, **self.options)
        if self.shape == "async consumer":
            return AsyncSQSConsumer(
                self.queue, handler.handle_async, concurrency=self.concurrency, client=aws, **self.options
            )
        make: Callable[..., Any] = protected_batches if self.shape.endswith("batches") else protected_messages
        return make(aws, self.queue, **self.options)


def client(endpoint: str, **config: Any) -> Any:
    """A client of boto3. Any thread may make one."""
    from botocore.config import Config

    given = {"endpoint_url": endpoint, **AWS, "config": Config(**_ONCE), **config}
    with _making:
        return _session().client("sqs", **given)


@cache
def _session() -> Any:
    """The one that has loaded what clients have in common, which takes longer than all the rest."""
    import boto3  # not at the head: whoever only collects tests has no use for it

    return boto3.Session()


def async_client(endpoint: str, **config: Any) -> Any:
    """One of aiobotocore, for `async with`. Any thread may make one."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    session = get_session()  # one for each: it makes its parts when they are asked for, and is for one thread
    with _making:
        session.register_component("data_loader", _session()._session.get_component("data_loader"))
    return session.create_client("sqs", endpoint_url=endpoint, **{**AWS, "config": AioConfig(**_ONCE), **config})


def _loop(messages: ProtectedMessages, handler: Handler) -> None:
    for message in messages:
        try:
            handler.handle(message)
        except JobError:
            message.failed()


def _batches(batches: ProtectedBatches, handler: Handler) -> None:
    for batch in batches:
        with batch:
            for message in batch:
                try:
                    handler.handle(message)
                except JobError:
                    continue
                message.done()


async def _async_loop(messages: ProtectedMessages, handler: Handler) -> None:
    async with messages:  # so that what is in hand goes back before the client is closed
        async for message in messages:
            try:
                await handler.handle_async(message)
            except JobError:
                message.failed()


async def _async_batches(batches: ProtectedBatches, handler: Handler) -> None:
    async for batch in batches:
        async with batch:
            for message in batch:
                try:
                    await handler.handle_async(message)
                except JobError:
                    continue
                message.done()


CONSUME: dict[Shape, Callable[[Any, Handler], Any]] = {
    "for": _loop,
    "batches": _batches,
    "consumer": lambda consumer, _: consumer.run(),
    "async for": _async_loop,
    "async batches": _async_batches,
    "async consumer": lambda consumer, _: consumer.run(),
}
SHAPES = tuple(CONSUME)
LOOPS: tuple[Shape, ...] = ("for", "batches", "async for", "async batches")
CONSUMERS: tuple[Shape, ...] = ("consumer", "async consumer")


def main(plan: dict[str, Any], *, hears: bool) -> None:
    """Carry out a plan.

    Args:
        plan: The arguments of `Plan`.
        hears: Whether it says so when SIGTERM has come.
    """

    def heard(_number: int, _frame: object) -> None:
        os.write(2, b"heard SIGTERM\n")

    if hears:
        signal.signal(signal.SIGTERM, heard)
    Plan(**plan).carry_out()
