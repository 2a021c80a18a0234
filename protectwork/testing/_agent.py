"""FakeAgent: an ECS agent's task protection endpoint on loopback, with real state and a timeline of everything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast
from uuid import uuid4

from protectwork._clock import Clock
from protectwork.testing._agent_ask import AgentAsk
from protectwork.testing._agent_requests import EndpointState, read
from protectwork.testing._exchange import Ask, Call, Exchange, Fault, Reply, Request
from protectwork.testing._fake import Fake, ServerFactory
from protectwork.testing._quota import Quota
from protectwork.testing._task import FakeTask

__all__ = ["Endpoint", "FakeAgent"]

_KNOWN = (Call.ENABLE, Call.DISABLE, Call.GET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What is behind one endpoint id: the task of its container, and whether that task has a role.

    Attributes:
        task: The task; None: the agent has forgotten it.
        credentials: Whether the task has a role.
    """

    task: FakeTask | None
    credentials: bool = True

    def state(self, *, enable: bool) -> EndpointState:
        """The same, now, as a request for protection or any other one finds it."""
        task = self.task.state(enable=enable) if self.task else None
        return EndpointState(task=task, credentials=self.credentials)


class FakeAgent(Fake):
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
        quota: The account's bucket of task protection actions, where other fakes share it; without one they are not
            counted.

    Attributes:
        task: The task behind `uri` and ``good``.
        time: The time at ECS.
        endpoints: What is behind each endpoint id.
        port: The port.
        quota: The account's bucket of task protection actions.
    """

    def __init__(
        self,
        task: FakeTask | None = None,
        *,
        clock: Clock | None = None,
        port: int = 0,
        delay_scale: float = 1.0,
        server: ServerFactory | None = None,
        quota: Quota | None = None,
    ) -> None:
        super().__init__(task, clock=clock, delay_scale=delay_scale, quota=quota)
        # No other task ever has the same id: what is left of an earlier agent's task is not taken for this one's.
        self._own = "good" if port else uuid4().hex
        without_role = FakeTask(f"{self.task.arn.rpartition('/')[0]}/{'0' * 32}", time=self.time)
        self.endpoints = {
            "good": Endpoint(task=self.task),
            self._own: Endpoint(task=self.task),
            "orphan": Endpoint(task=None),
            "nocreds": Endpoint(task=without_role, credentials=False),
        }
        self._listen(port, server)

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
        self._arm(fault, times=times, only=only, known=_KNOWN)

    # -- what was asked

    @property
    def puts(self) -> tuple[Exchange, ...]:
        """The requests of `calls` that were PUTs."""
        return tuple(call for call in self.calls if call.method == "PUT")

    @property
    def gets(self) -> tuple[Exchange, ...]:
        """The requests of `calls` that were GETs."""
        return tuple(call for call in self.calls if call.method == "GET")

    # -- how it answers

    def _read(self, request: Request, now: float) -> Ask | Reply:
        def look_up(name: str, enable: bool) -> EndpointState | None:  # noqa: FBT001 - see `LookUp`
            endpoint = self.endpoints.get(name)
            return endpoint.state(enable=enable) if endpoint else None

        return read(request, look_up=look_up, now=now, today=self.time.date(now))

    def _tasks(self, ask: Ask) -> Iterable[FakeTask]:
        task = self.endpoints[cast("AgentAsk", ask).endpoint].task
        return [task] if task else []
