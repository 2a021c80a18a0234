"""The values of one exchange: the request, what it asks of ECS, the reply, and how that goes over the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from protectwork.testing._kinds import EcsMode, ErrorStatus, GarbageKind
from protectwork.testing._task import DEFAULT_MINUTES, TaskState, Write

__all__ = ["Armed", "Ask", "Call", "Exchange", "Fault", "Reply", "Request", "Wire", "write_of"]


class Call(StrEnum):
    """What a request asks for."""

    ENABLE = "enable"
    DISABLE = "disable"
    GET = "get"
    LIST_TASKS = "list-tasks"
    DESCRIBE_TASKS = "describe-tasks"
    DESCRIBE_SERVICES = "describe-services"
    METADATA = "metadata"
    """The task metadata endpoint, which asks nothing of ECS."""


def write_of(call: Call, minutes: int | None) -> Write | None:
    """What a call that is granted does to its task."""
    match call:
        case Call.ENABLE:
            return Write(minutes=DEFAULT_MINUTES if minutes is None else minutes)
        case Call.DISABLE:
            return Write(minutes=None)
        case _:
            return None


class Wire(StrEnum):
    """How a reply goes over the wire."""

    PLAIN = "plain"
    """At once, whole; then the connection is closed."""
    HANG = "hang"
    """Nothing is sent; the connection stays open until somebody closes it."""
    HANG_AFTER_HEADERS = "hang after the headers"
    """The headers, and then as in `HANG`."""
    DRIP_HEADERS = "drip the headers"
    """The headers one byte per interval, the body at once."""
    DRIP_BODY = "drip the body"
    """The headers at once, the body one byte per interval."""
    DROP = "drop"
    """Nothing is sent; the connection is closed."""
    RESET = "reset"
    """Nothing is sent; the connection is reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, as it came: `path` with its query and its escapes, the names of `headers` in small letters."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


class Ask(Protocol):
    """What a good request asks for, and every way to answer it: faults are made of these.

    Attributes:
        call: What is to be done.
        operation: What ECS calls it: ``UpdateTaskProtection``.
        minutes: For how long; None where the request did not say.
        task: The task that it speaks of, now: the first, where it names several.
        now: The time.
        today: The same moment as a date (aware, UTC).
        write: What it does to each of its tasks that ECS does not refuse.
    """

    @property
    def call(self) -> Call: ...
    @property
    def operation(self) -> str: ...
    @property
    def minutes(self) -> int | None: ...
    @property
    def task(self) -> TaskState: ...
    @property
    def now(self) -> float: ...
    @property
    def today(self) -> datetime: ...
    @property
    def write(self) -> Write | None: ...

    def answered(self, *, digits: int | None = None) -> Reply:
        """As ever; dates with so many `digits` after the second."""
        ...

    def refused(self, reason: str, *, detail: str | None = None) -> Reply:
        """With ECS's no, in a good answer."""
        ...

    def error(self, status: int, code: str, message: str) -> Reply:
        """With an error of ECS."""
        ...

    def failed(self, status: ErrorStatus) -> Reply:
        """With a failure of ECS, told at once."""
        ...

    def delayed(self, seconds: float) -> Reply:
        """As ever, but so much later."""
        ...

    def under(self, mode: EcsMode, *, tries: int | None = None) -> Reply:
        """As it is when ECS behaves in that way, for so many tries within this one request; None: for all."""
        ...

    def garbage(self, kind: GarbageKind) -> Reply:
        """With nothing that confirms anything."""
        ...

    def padded(self, size: int) -> Reply:
        """As ever, but so many bytes long."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered, and what becomes of the tasks.

    Attributes:
        status: The HTTP status; None where nothing is sent.
        content_type: The content type; None for no such header.
        headers: Further headers.
        body: The body.
        wire: How it goes over the wire.
        delay_s: After how many seconds it goes.
        interval_s: The time between two bytes that drip.
        write: What becomes of the tasks that were asked for, those apart that ECS refuses.
        ask: What was asked; None of a request that was no good.
        spent: The fault that decided the answer, as it was armed.
    """

    status: int | None
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    wire: Wire = Wire.PLAIN
    delay_s: float = 0.0
    interval_s: float = 0.0
    write: Write | None = None
    ask: Ask | None = None
    spent: Armed | None = None


class Fault(Protocol):
    """What goes wrong with a request that reaches ECS: it takes the place of the ordinary answer."""

    def reply(self, ask: Ask, /) -> Reply:
        """The answer to `ask`; a pure function, which says in `Reply.write` what becomes of the task."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Armed:
    """A fault that waits for its requests.

    Attributes:
        fault: What goes wrong.
        times: With how many requests; None: with every one.
        only: With which calls; None: with all.
    """

    fault: Fault
    times: int | None
    only: Call | None

    def hits(self, call: Call) -> bool:
        """Whether it goes wrong with such a call; with one for metadata, which never reach ECS, only if told so."""
        return self.only is call or (self.only is None and call is not Call.METADATA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request in the timeline: when it came, what it was, and what was answered."""

    time: float
    request: Request
    reply: Reply

    @property
    def method(self) -> str:
        """The method of the request."""
        return self.request.method

    @property
    def path(self) -> str:
        """The path of the request, with its query."""
        return self.request.path

    @property
    def call(self) -> Call | None:
        """What was asked; None of a request that was no good."""
        return self.reply.ask.call if self.reply.ask else None

    @property
    def operation(self) -> str | None:
        """What ECS calls it, of a request that named it or asked for it: ``UpdateTaskProtection``."""
        named = self.request.headers.get("x-amz-target", "").rpartition(".")[2]
        return named or (self.reply.ask.operation if self.reply.ask else None)

    @property
    def minutes(self) -> int | None:
        """The minutes that were asked for."""
        return self.reply.ask.minutes if self.reply.ask else None

    @property
    def status(self) -> int | None:
        """The status that was answered; None where nothing was."""
        return self.reply.status

    @property
    def fault(self) -> Fault | None:
        """What went wrong with it."""
        return self.reply.spent.fault if self.reply.spent else None
