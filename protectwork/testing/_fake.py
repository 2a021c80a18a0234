"""What the fakes that listen have in common: a port, faults that wait in line, a time, a task, a memory."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self

from protectwork._clock import Clock
from protectwork._errors import SettingsError
from protectwork._types import Seconds
from protectwork.testing._ecs_time import EcsTime
from protectwork.testing._exchange import Armed, Ask, Call, Exchange, Fault, Reply, Request
from protectwork.testing._quota import Quota
from protectwork.testing._task import Change, FakeTask, Span
from protectwork.testing._wire import send

__all__ = ["Fake", "Server", "ServerFactory"]

_PROTECTION = frozenset({Call.ENABLE, Call.DISABLE, Call.GET})


class Server(Protocol):
    """Something that listens on a loopback port."""

    port: int

    def close(self) -> None:
        """Stop at once, and leave no thread and no connection."""
        ...


class ServerFactory(Protocol):
    """Makes a server that hands every request to `respond`, with the connection to answer on."""

    def __call__(self, respond: Callable[[Request, socket.socket], None], /, *, port: int) -> Server:
        """Start to listen."""
        ...


class Fake(ABC):
    """One thing that listens on loopback in ECS's stead, around one task. Any thread may use it.

    Its times are seconds of CLOCK_BOOTTIME, where there is one (see `now`).

    Args:
        task: Its task, where other fakes share it.
        clock: What its time runs with, instead of the machine's clock; not together with a task, which has a time.
        delay_scale: What every delay is multiplied by; 0 for none. Delays are waited in real time.
        quota: The account's bucket of task protection actions; without one they are not counted.

    Attributes:
        task: Its task.
        time: The time at ECS.
        port: The port.
        quota: The account's bucket of task protection actions.
    """

    def __init__(
        self,
        task: FakeTask | None,
        *,
        clock: Clock | None,
        delay_scale: float,
        quota: Quota | None,
    ) -> None:
        self.task = _task(task, clock)
        self.time = self.task.time
        self.quota = quota
        self._delay_scale = delay_scale
        self._seen = threading.Condition()  # guards the two below; tells of every request
        self._armed: list[Armed] = []
        self._calls: list[Exchange] = []
        self._closed = False

    def _listen(self, port: int, server: ServerFactory | None) -> None:
        """Begin to answer; to be called when everything is in place."""
        self._server = (server or _stdlib_server)(self._respond, port=port)
        self.port = self._server.port

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop: every hang and delay ends at once, and no thread is left. What it remembers stays; twice is as once."""
        if not self._closed:
            self._closed = True
            self._server.close()

    # -- what goes wrong

    def _arm(self, fault: Fault, *, times: int | None, only: str | None, known: Collection[Call]) -> None:
        if times is not None and times < 1:
            raise SettingsError(setting="times", rule="1 or more, or None", value=str(times))
        if only is not None and only not in known:
            raise SettingsError(setting="only", rule=f"one of {', '.join(known)}", value=repr(only))
        with self._seen:
            self._armed.append(Armed(fault=fault, times=times, only=Call(only) if only else None))

    def heal(self) -> None:
        """Let nothing go wrong any more. What hangs goes on hanging, and what was to land late still lands."""
        with self._seen:
            self._armed.clear()

    # -- its time

    def now(self) -> float:
        """The time at ECS: seconds of CLOCK_BOOTTIME, where there is one, plus what `advance` added."""
        return self.time.now()

    def advance(self, seconds: Seconds) -> None:
        """Move the time at ECS ahead: protection runs out, and late writes land. No clock but this one moves.

        Raises:
            SettingsError: `seconds` is negative or not finite.
        """
        self.time.advance(seconds)

    # -- what became of the task

    @property
    def protected(self) -> bool:
        """Whether the task is protected now."""
        return self.task.protected

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every change of its protection so far, oldest first; that it ran out is one of them."""
        return self.task.changes

    def was_protected(self, start: float, end: float) -> bool:
        """Whether it was protected from `start` to `end`, all the time; both in seconds as `now` gives them.

        Raises:
            SettingsError: `end` lies before `start`, or has not come yet.
        """
        return self.task.was_protected(start, end)

    def unprotected_spans(self, start: float, end: float) -> list[Span]:
        """When it was not protected between `start` and `end`, oldest first.

        Raises:
            SettingsError: `end` lies before `start`, or has not come yet.
        """
        return self.task.unprotected_spans(start, end)

    # -- what was asked

    @property
    def calls(self) -> tuple[Exchange, ...]:
        """Every request so far, oldest first; each is in it before it is answered."""
        with self._seen:
            return tuple(self._calls)

    @property
    def enables(self) -> tuple[Exchange, ...]:
        """The requests of `calls` that asked ECS for protection, whatever was answered."""
        return tuple(call for call in self.calls if call.call is Call.ENABLE)

    @property
    def disables(self) -> tuple[Exchange, ...]:
        """The requests of `calls` that asked ECS to end protection, whatever was answered."""
        return tuple(call for call in self.calls if call.call is Call.DISABLE)

    def wait_until(self, condition: Callable[[], bool], *, timeout_s: float = 10.0) -> bool:
        """Wait until `condition` holds; it is asked again after each request. Returns whether it does.

        Args:
            condition: For example ``lambda: len(agent.disables) == 1``; it must not block.
            timeout_s: For how long to wait at most, in real time.
        """
        with self._seen:
            return self._seen.wait_for(condition, timeout_s)

    # -- how it answers

    @abstractmethod
    def _read(self, request: Request, now: float) -> Ask | Reply:
        """What a request asks, or what is said to one that is no good."""

    @abstractmethod
    def _tasks(self, ask: Ask) -> Iterable[FakeTask]:
        """The tasks to which is done what is asked."""

    def _respond(self, request: Request, connection: socket.socket) -> None:
        send(self._decide(request), connection, delay_scale=self._delay_scale)

    def _decide(self, request: Request) -> Reply:
        with self._seen:
            now = self.now()
            ask = self._read(request, now)
            reply = ask if isinstance(ask, Reply) else replace(self._ecs(ask), ask=ask)
            if reply.spent:
                self._spend(reply.spent)
            if reply.ask and reply.write:
                for task in self._tasks(reply.ask):
                    task.write(reply.write)
            self._calls.append(Exchange(time=now, request=request, reply=reply))
            self._seen.notify_all()
            return reply

    def _ecs(self, ask: Ask) -> Reply:
        """What comes of it at ECS."""
        if self.quota and ask.call in _PROTECTION and not self.quota.take():
            return ask.error(400, "ThrottlingException", "Rate exceeded")
        for waiting in self._armed:
            if waiting.hits(ask.call):
                return replace(waiting.fault.reply(ask), spent=waiting)
        return ask.answered()

    def _spend(self, armed: Armed) -> None:
        place = self._armed.index(armed)
        left = None if armed.times is None else armed.times - 1
        self._armed[place : place + 1] = [] if left == 0 else [replace(armed, times=left)]


def _task(task: FakeTask | None, clock: Clock | None) -> FakeTask:
    if task and clock:
        raise SettingsError(setting="clock", rule="left out where a task brings its time", value=repr(clock))
    return task or FakeTask(time=EcsTime(clock))


def _stdlib_server(respond: Callable[[Request, socket.socket], None], /, *, port: int) -> Server:
    from protectwork.testing._server import StdlibServer  # noqa: PLC0415 - http.server costs 50 ms, a plugin none

    return StdlibServer(respond, port=port)
