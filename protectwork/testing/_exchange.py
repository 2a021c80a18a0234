"""The values of one exchange: the request, what it asks of ECS, the reply, and how that goes over the wire."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from protectwork.testing._task import DEFAULT_MINUTES, TaskState, Write

__all__ = ["Armed", "Ask", "Call", "Exchange", "Fault", "Reply", "Request", "Wire"]


class Call(StrEnum):
    """What a request asks of ECS."""

    ENABLE = "enable"
    DISABLE = "disable"
    GET = "get"


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
    """One HTTP request, as it came: `path` with its query and its escapes."""

    method: str
    path: str
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a good request asks of ECS, with all that the answer depends on.

    Attributes:
        call: What is to be done.
        minutes: For how long; None where the request did not say.
        task: The task that it speaks of, now.
        now: The time.
        today: The same moment as a date (aware, UTC).
    """

    call: Call
    minutes: int | None
    task: TaskState
    now: float
    today: datetime

    @property
    def write(self) -> Write | None:
        """What it does to the task if it is granted."""
        if self.call is Call.GET:
            return None
        minutes = DEFAULT_MINUTES if self.minutes is None else self.minutes
        return Write(minutes=minutes if self.call is Call.ENABLE else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered, and what becomes of the task.

    Attributes:
        status: The HTTP status; None where nothing is sent.
        content_type: The content type; None for no such header.
        headers: Further headers.
        body: The body.
        wire: How it goes over the wire.
        delay_s: After how many seconds it goes.
        interval_s: The time between two bytes that drip.
        write: What becomes of the task.
        ask: What was asked of ECS; None of a request that asked nothing of it.
        endpoint: The id in the path of the request; None without one.
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
    endpoint: str | None = None
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
        """What was asked of ECS; None of a request that asked nothing of it."""
        return self.reply.ask.call if self.reply.ask else None

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
