"""One queue, one ECS task that consumes it, and what became of its messages; within a `with`.

with Scene(sqs, tmp_path) as scene:
    scene.send(Order(run_s=0.3))
    worker = scene.worker(scene.plan("consumer", visibility_timeout=2))
    scene.settled(1)
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from integrations.celery_worker.journal import Journal, Run
from integrations.sqs.accountant import Accounts
from integrations.sqs.consuming import Consuming
from integrations.sqs.program import Order, Plan, Shape, client
from integrations.sqs.servers import Server
from integrations.sqs.wire import BOUND_S, Wire
from integrations.sqs.workers import Worker
from processes.fast_clock import FastClock

from protectwork import AdapterEvent, Event, ProtectionManager, Settings
from protectwork.backends.agent import AgentBackend
from protectwork.testing import FakeAgent

LINGER_S = 0.2
FAST = 20.0
"""How much faster the time of managers in this process runs, so that no test waits for its second call to ECS."""
FAST_LINGER_S = 4.0
_AT_ONCE = 10
_numbers = itertools.count(1)


class Scene:
    """A queue of its own, a wire to it, and an agent.

    Args:
        server: Where the queue is.
        directory: The task's, for state, journal and logs.
        fifo: Whether it is a FIFO queue.

    Attributes:
        agent: The agent of the task.
        wire: What the task's clients ask over.
        url: The URL of the queue.
        journal: Where handlers note their runs.
        aws: A client that asks the server itself; what it does is on no wire.
    """

    def __init__(self, server: Server, directory: Path, *, fifo: bool = False) -> None:
        self._server, self._fifo = server, fifo
        self._stack = ExitStack()
        self._directory = directory
        self._state = directory / "state"
        self._state.mkdir(mode=0o700, parents=True)
        self.journal = directory / "journal"
        self._noted = Journal(self.journal)
        self._told: list[AdapterEvent] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.agent = stack.enter_context(FakeAgent())
            self.wire = stack.enter_context(Wire(self._server.url))
            self.aws = client(self._server.url)
            stack.callback(self.aws.close)
            name = f"jobs-{os.getpid()}-{next(_numbers)}" + (".fifo" if self._fifo else "")
            attributes = {"FifoQueue": "true"} if self._fifo else {}
            # Over the wire: a queue's URL has the host that its creator asked, and some servers know it by that.
            over_the_wire = client(self.wire.url)
            stack.callback(over_the_wire.close)
            self.url = str(over_the_wire.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    # -- what is done

    def send(self, *orders: Order, group: Callable[[Order], str] = lambda _: "g") -> list[str]:
        """Send messages; their ids, in that order."""
        ids: list[str] = []
        for start in range(0, len(orders), _AT_ONCE):
            entries = [self._entry(order, group) for order in orders[start : start + _AT_ONCE]]
            reply = self.aws.send_message_batch(QueueUrl=self.url, Entries=entries)
            by_entry = {sent["Id"]: sent["MessageId"] for sent in reply["Successful"]}
            ids += [by_entry[entry["Id"]] for entry in entries]
        return ids

    def _entry(self, order: Order, group: Callable[[Order], str]) -> dict[str, str]:
        number = str(next(_numbers))
        entry = {"Id": number, "MessageBody": order.text()}
        return entry | ({"MessageGroupId": group(order), "MessageDeduplicationId": number} if self._fifo else {})

    def plan(self, shape: Shape, *, concurrency: int = 8, **options: Any) -> Plan:
        """A plan to consume the queue."""
        given = {**OPTIONS, **options}
        return Plan(
            shape=shape,
            queue=self.url,
            endpoint=self.wire.url,
            journal=str(self.journal),
            concurrency=concurrency,
            options=given,
        )

    def worker(self, plan: Plan, *, hears: bool = True) -> Worker:
        """Start a worker of the task."""
        environ = {**self.agent.environ(), "PROTECTWORK_STATE_DIR": str(self._state)}
        environ["PROTECTWORK_LINGER"] = str(LINGER_S)
        log = self._directory / f"log-{next(_numbers)}"
        worker = Worker(plan, log=log, cwd=self._directory, environ=environ, hears=hears)
        self._stack.callback(worker.kill)
        return worker

    @contextmanager
    def consuming(self, shape: Shape, *, concurrency: int = 8, **options: Any) -> Generator[Consuming]:
        """Consume the queue on a thread of this process; that is stopped at the end of the `with`, and then over."""
        if "manager" not in options:
            options["manager"] = self.manager()
        consuming = Consuming(self.plan(shape, concurrency=concurrency, **options))
        try:
            yield consuming
        finally:
            consuming.stop()
            consuming.over()

    def manager(self, *, speed: float = FAST, **settings: Any) -> ProtectionManager:
        """A manager for a consumer in this process, whose time runs faster than everybody else's."""
        clock = FastClock(speed=speed)
        # The durations of its settings are fast ones.
        given = Settings(**{"linger": FAST_LINGER_S, "acquire_timeout": 300, "state_dir": self._state, **settings})
        manager = ProtectionManager(AgentBackend(self.agent.uri, clock=clock), settings=given, clock=clock)
        self._stack.enter_context(manager)
        manager.subscribe(self)
        return manager

    def protected_manager(self) -> ProtectionManager:
        """One that ECS has confirmed already, and whose task stays protected: for tests of something else."""
        manager = self.manager()
        self._stack.enter_context(manager.protect("a test"))
        return manager

    # -- what became of it

    def runs(self) -> list[Run]:
        """The runs of handlers so far."""
        return self._noted.runs()

    def told(self) -> list[str]:
        """What the observers of its managers were told of messages, in that order: the names of the events."""
        return [type(event).__name__ for event in self._told]

    def on_event(self, event: Event) -> None:
        """Hear of it."""
        if isinstance(event, AdapterEvent):
            self._told.append(event)

    def accounts(self) -> Accounts:
        """The books, as of now."""
        return Accounts(self.wire, self.runs(), self.agent)

    def begun(self, number: int = 1) -> list[Run]:
        """Wait until so many runs have begun; all that there are."""
        self.until(lambda: len(self.runs()) >= number, what=f"{number} handlers have begun")
        return self.runs()

    def visible(self) -> int:
        """How many messages could be received now."""
        return self._count("ApproximateNumberOfMessages")

    def settled(self, number: int, *, workers: Sequence[Worker] = (), bound_s: float = BOUND_S) -> None:
        """Wait until so many messages were deleted."""
        self.wire.until(
            lambda: self.wire.deleted >= number,
            what=lambda: f"{number} messages are deleted{_logs(workers)}",
            bound_s=bound_s,
        )

    def is_empty(self) -> bool:
        """Whether no message is left, visible or not."""
        return not self.visible() and not self._count("ApproximateNumberOfMessagesNotVisible")

    def _count(self, name: str) -> int:
        reply = self.aws.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
        return int(reply["Attributes"][name])

    def receive(self, *, wait_s: int = 0) -> list[dict[str, Any]]:
        """What anybody else would receive now; it is hidden for a second by that."""
        reply = self.aws.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=wait_s,
            VisibilityTimeout=1,
            AttributeNames=["All"],
        )
        return list(reply.get("Messages") or ())

    def until(self, fact: Callable[[], bool], *, what: str, workers: Sequence[Worker] = ()) -> None:
        """Look for a fact until it holds, within a bound."""
        deadline = time.monotonic() + BOUND_S
        while not fact():
            assert time.monotonic() < deadline, f"waited {BOUND_S:g} s in vain until {what}{_logs(workers)}"
            time.sleep(0.03)


OPTIONS: dict[str, Any] = {"wait_time": 1, "visibility_timeout": 4}
"""What everything is consumed with that is not told otherwise."""


def _logs(workers: Sequence[Worker]) -> str:
    return "".join(f"\n{worker.log()[-3000:]}" for worker in workers)
