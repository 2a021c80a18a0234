"""Clients of a queue in memory, one for threads and one for asyncio: the three operations that consuming needs.

Everything is in this process, so that a test can break it between any two steps.

It is as strict as SQS about receipt handles, and in a FIFO queue about groups. What a test puts into `instead` is
asked first: an error to raise, or a function of the arguments that gives one, or an answer, or None: the queue's own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from protectwork import ProtectionManager

URL = "http://127.0.0.1:1/1/jobs"
FIFO_URL = f"{URL}.fifo"
BOUND_S = 20.0
_POLL = 0.05  # of a second's long poll

Instead = BaseException | Callable[[dict[str, Any]], Any]


@dataclass(kw_only=True, eq=False)
class Stored:
    """One message: until when it is hidden, and what names its newest receipt."""

    id: str
    group: str
    hidden_until: float = 0.0
    received: int = 0

    @property
    def handle(self) -> str:
        return f"{self.id}/{self.received}"


@dataclass(kw_only=True, eq=False)
class MemoryClient:
    """For threads; made with so many messages, all of one group unless `groups` says otherwise."""

    messages: int = 0
    fifo: bool = False
    groups: Callable[[int], str] = lambda _number: "g"
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    instead: dict[str, deque[Instead]] = field(default_factory=lambda: defaultdict(deque))

    def __post_init__(self) -> None:
        self._changed = threading.Condition()  # guards the next, and the calls
        self._received: dict[str, int] = {}
        self.stored = [Stored(id=f"m{number}", group=self.groups(number)) for number in range(self.messages)]

    # -- what the adapter asks

    def receive_message(self, **arguments: Any) -> Any:
        return self._answer("receive_message", arguments)

    def delete_message_batch(self, **arguments: Any) -> Any:
        return self._answer("delete_message_batch", arguments)

    def change_message_visibility_batch(self, **arguments: Any) -> Any:
        return self._answer("change_message_visibility_batch", arguments)

    # -- what a test asks

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """The arguments of such calls so far."""
        with self._changed:
            return [arguments for name, arguments in self.calls if name == operation]

    def visible(self) -> list[str]:
        """The ids of those that anybody could receive now."""
        with self._changed:
            return [message.id for message in self.stored if message.hidden_until <= time.monotonic()]

    def left(self) -> list[str]:
        """The ids of those that are not deleted."""
        with self._changed:
            return [message.id for message in self.stored]

    def received(self) -> dict[str, int]:
        """How often each was received."""
        with self._changed:
            return dict(self._received)

    # -- how it answers

    def _answer(self, operation: str, arguments: dict[str, Any]) -> Any:
        with self._changed:
            self.calls.append((operation, arguments))
            instead = self.instead[operation].popleft() if self.instead[operation] else None
        said = instead(arguments) if callable(instead) else instead
        if isinstance(said, BaseException):
            raise said
        return getattr(self, f"_{operation}")(arguments) if said is None else said

    def _receive_message(self, arguments: dict[str, Any]) -> Any:
        ends = time.monotonic() + arguments["WaitTimeSeconds"] * _POLL
        with self._changed:
            while not (found := self._found(arguments)) and (left_s := ends - time.monotonic()) > 0:
                self._changed.wait(min(left_s, 0.01))
        return {"Messages": found} if found else {}

    def _found(self, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        now = time.monotonic()
        blocked = {message.group for message in self.stored if message.hidden_until > now} if self.fifo else set()
        free = [message for message in self.stored if message.hidden_until <= now and message.group not in blocked]
        return [self._taken(message, now, arguments) for message in free[: arguments["MaxNumberOfMessages"]]]

    def _taken(self, message: Stored, now: float, arguments: dict[str, Any]) -> dict[str, Any]:
        message.received += 1
        self._received[message.id] = message.received
        message.hidden_until = now + arguments["VisibilityTimeout"]
        attributes = {"MessageGroupId": message.group, "ApproximateReceiveCount": str(message.received)}
        return {"MessageId": message.id, "ReceiptHandle": message.handle, "Body": message.id, "Attributes": attributes}

    def _delete_message_batch(self, arguments: dict[str, Any]) -> Any:
        return self._each(arguments, lambda message, _: self.stored.remove(message))

    def _change_message_visibility_batch(self, arguments: dict[str, Any]) -> Any:
        def hide(message: Stored, entry: dict[str, Any]) -> None:
            message.hidden_until = time.monotonic() + entry["VisibilityTimeout"]

        return self._each(arguments, hide)

    def _each(self, arguments: dict[str, Any], do: Callable[[Stored, dict[str, Any]], None]) -> Any:
        done, failed = [], []
        with self._changed:
            held = {message.handle: message for message in self.stored if message.hidden_until > time.monotonic()}
            for entry in arguments["Entries"]:
                if message := held.get(entry["ReceiptHandle"]):
                    do(message, entry)
                    done.append({"Id": entry["Id"]})
                else:
                    failed.append({"Id": entry["Id"], "Code": "ReceiptHandleIsInvalid", "SenderFault": True})
            self._changed.notify_all()
        return {"Successful": done, "Failed": failed}


class AsyncMemoryClient(MemoryClient):
    """For asyncio."""

    async def receive_message(self, **arguments: Any) -> Any:
        return await self._answer_async("receive_message", arguments)

    async def delete_message_batch(self, **arguments: Any) -> Any:
        return await self._answer_async("delete_message_batch", arguments)

    async def change_message_visibility_batch(self, **arguments: Any) -> Any:
        return await self._answer_async("change_message_visibility_batch", arguments)

    async def _answer_async(self, operation: str, arguments: dict[str, Any]) -> Any:
        ends = time.monotonic() + arguments.get("WaitTimeSeconds", 0) * _POLL
        answer = self._answer(operation, {**arguments, "WaitTimeSeconds": 0})
        while asyncio.iscoroutine(answer):
            answer = await answer
        if answer is None:
            answer = getattr(self, f"_{operation}")({**arguments, "WaitTimeSeconds": 0})
        while answer == {} and time.monotonic() < ends:
            await asyncio.sleep(0.01)
            answer = self._receive_message({**arguments, "WaitTimeSeconds": 0})
        return answer


def hanging(hangs: asyncio.Event) -> Callable[[dict[str, Any]], Awaitable[None]]:
    """For `instead`: hang until that is set."""

    async def hang(_: dict[str, Any]) -> None:
        await hangs.wait()

    return hang


def options(manager: ProtectionManager, **more: Any) -> dict[str, Any]:
    """What everything is consumed with that is not told otherwise."""
    return {"wait_time": 1, "visibility_timeout": 30, "manager": manager, **more}


def held(manager: ProtectionManager) -> list[str]:
    """The labels of what is in flight."""
    return [hold.label for hold in manager.status().holds]


def until(fact: Callable[[], bool]) -> None:
    """Look for a fact until it holds, within a bound."""
    ends = time.monotonic() + BOUND_S
    while not fact():
        assert time.monotonic() < ends
        time.sleep(0.005)


async def until_async(fact: Callable[[], bool]) -> None:
    """The same in a task."""
    async with asyncio.timeout(BOUND_S):
        while not fact():  # noqa: ASYNC110 - a fact is no event
            await asyncio.sleep(0.005)
