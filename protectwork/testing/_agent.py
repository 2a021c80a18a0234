"""FakeAgent: an ECS agent's task protection endpoint on loopback, with real state and a timeline of everything."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal, Protocol, Self
from uuid import uuid4

from protectwork._clock import Clock
from protectwork._errors import SettingsError
from protectwork._types import Seconds
from protectwork.testing._answer import EndpointState, answer
from protectwork.testing._ecs_time import EcsTime
from protectwork.testing._exchange import Armed, Call, Exchange, Fault, Reply, Request
from protectwork.testing._task import Change, FakeTask, Span
from protectwork.testing._wire import send

__all__ = ["Endpoint", "FakeAgent", "Server", "ServerFactory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What is behind one endpoint id: the task of its container, and whether that task has a role.

    Attributes:
        task: The task; None: the agent has forgotten it.
        credentials: Whether the task has a role.
    """

    task: FakeTask | None
    credentials: bool = True

    def state(self) -> EndpointState:
        """The same, now."""
        return EndpointState(task=self.task.state() if self.task else None, credentials=self.credentials)


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


class FakeAgent:
    """The agent of one container instance, for tests and for work on a machine that is not in ECS.

    It answers as the real one does, byte by byte, keeps real state with a real expiry, goes wrong as it is told
    (`fail`), and remembers everything. Any thread may use it.

        with FakeAgent() as agent:
            run_my_worker(env=agent.environ())
            assert agent.was_protected(start, end)

    The endpoint ids are that of `uri`, drawn anew for each agent; ``good``, for the same task; ``orphan``, whose task
    is gone; ``nocreds``, whose task has no role; and whatever is added to `endpoints`. Its times are seconds of
    CLOCK_BOOTTIME, where there is one (see `now`).

    Args:
        task: The task behind `uri` and ``good``, where other fakes share it.
        clock: What its time runs with, instead of the machine's clock; not together with a task, which has a time.
        port: The port on 127.0.0.1; 0 for a free one.
        delay_scale: What every delay is multiplied by; 0 for none. Delays are waited in real time.
        server: What listens; the standard library's server by default.

    Attributes:
        task: The task behind `uri` and ``good``.
        time: The time at ECS.
        endpoints: What is behind each endpoint id.
        port: The port.
    """

    def __init__(
        self,
        task: FakeTask | None = None,
        *,
        clock: Clock | None = None,
        port: int = 0,
        delay_scale: float = 1.0,
        server: ServerFactory | None = None,
    ) -> None:
        if task and clock:
            raise SettingsError(setting="clock", rule="left out where a task brings its time", value=repr(clock))
        self.task = task or FakeTask(time=EcsTime(clock))
        self.time = self.task.time
        without_role = FakeTask(f"{self.task.arn.rpartition('/')[0]}/{'0' * 32}", time=self.time)
        # No other task ever has the same id: what is left of an earlier agent's task is not taken for this one's.
        self._own = "good" if port else uuid4().hex
        self.endpoints = {
            "good": Endpoint(task=self.task),
            self._own: Endpoint(task=self.task),
            "orphan": Endpoint(task=None),
            "nocreds": Endpoint(task=without_role, credentials=False),
        }
        self._delay_scale = delay_scale
        self._seen = threading.Condition()  # guards the two below; tells of every request
        self._armed: list[Armed] = []
        self._calls: list[Exchange] = []
        self._closed = False
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

    # -- where it is

    @property
    def uri(self) -> str:
        """The value of ``ECS_AGENT_URI`` for a container of the task: with the id ``good`` if a port was given."""
        return self.uri_of(self._own)

    def uri_of(self, endpoint: str) -> str:
        """The value of ``ECS_AGENT_URI`` for the container with that endpoint id."""
        return f"http://127.0.0.1:{self.port}/api/{endpoint}"

    def environ(self) -> dict[str, str]:
        """What the agent puts into the environment of a container of the task."""
        return {"ECS_AGENT_URI": self.uri}

    # -- what goes wrong

    def fail(
        self, fault: Fault, *, times: int | None = 1, only: Literal["enable", "disable", "get"] | None = None
    ) -> None:
        """Let something go wrong with the next requests. Faults wait in line: one after the other.

        Args:
            fault: What goes wrong; see `protectwork.testing.faults`.
            times: With how many requests; None: with every one until `heal`.
            only: With which calls; None: with all.

        Raises:
            SettingsError: `times` is less than 1, or `only` is no call.
        """
        if times is not None and times < 1:
            raise SettingsError(setting="times", rule="1 or more, or None", value=str(times))
        if only is not None and only not in set(Call):
            raise SettingsError(setting="only", rule=f"one of {', '.join(Call)}", value=repr(only))
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
        """Whether the task behind ``good`` is protected now."""
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
    def puts(self) -> tuple[Exchange, ...]:
        """The requests of `calls` that were PUTs."""
        return tuple(call for call in self.calls if call.method == "PUT")

    @property
    def gets(self) -> tuple[Exchange, ...]:
        """The requests of `calls` that were GETs."""
        return tuple(call for call in self.calls if call.method == "GET")

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

    def _respond(self, request: Request, connection: socket.socket) -> None:
        send(self._decide(request), connection, delay_scale=self._delay_scale)

    def _decide(self, request: Request) -> Reply:
        with self._seen:
            now = self.now()
            endpoints = {name: endpoint.state() for name, endpoint in list(self.endpoints.items())}
            reply = answer(request, endpoints=endpoints, armed=self._armed, now=now, today=self.time.date(now))
            if reply.spent:
                self._spend(reply.spent)
            task = self.endpoints[reply.endpoint].task if reply.endpoint and reply.write else None
            if task and reply.write:
                task.write(reply.write)
            self._calls.append(Exchange(time=now, request=request, reply=reply))
            self._seen.notify_all()
            return reply

    def _spend(self, armed: Armed) -> None:
        place = self._armed.index(armed)
        left = None if armed.times is None else armed.times - 1
        self._armed[place : place + 1] = [] if left == 0 else [replace(armed, times=left)]


def _stdlib_server(respond: Callable[[Request, socket.socket], None], /, *, port: int) -> Server:
    from protectwork.testing._server import StdlibServer  # noqa: PLC0415 - http.server costs 50 ms, a plugin none

    return StdlibServer(respond, port=port)
