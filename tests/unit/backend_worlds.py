"""The two ways to ECS, each with its fake and its wire: what holds for any backend is shown of both."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Protocol

import boto3

from protectwork import Backend
from protectwork._clock import Clock
from protectwork.backends.agent import AgentBackend
from protectwork.backends.ecs import EcsBackend
from protectwork.testing import FakeAgent, FakeEcsApi, FakeTask

ARN = "arn:aws:ecs:eu-west-1:111122223333:task/work/0123456789abcdef"
REGION = "eu-west-1"
PATIENT_S = 60.0
"""A deadline for calls that are to be answered, on a machine however busy."""


class World(Protocol):
    """One way to ECS.

    Attributes:
        name: What its backend is called.
        confirming: The body of an answer that confirms an enable until 2030-01-02 03:04:05 UTC.
    """

    name: str
    confirming: bytes

    def fake(self, task: FakeTask | None = None) -> FakeAgent | FakeEcsApi:
        """A fake of what is at the end of it."""
        ...

    def backend(self, fake: Any, *, deadline_s: float = PATIENT_S, clock: Clock | None = None) -> Backend:
        """A backend for the task of its fake."""
        ...

    def backend_at(self, where: str, *, deadline_s: float = PATIENT_S, clock: Clock | None = None) -> Backend:
        """A backend for whatever is at ``host:port``."""
        ...


class AgentWorld:
    """The container agent."""

    name = "agent"
    confirming = json.dumps(
        {"protection": {"ExpirationDate": "2030-01-02T03:04:05Z", "ProtectionEnabled": True, "TaskArn": ARN}}
    ).encode()

    def fake(self, task: FakeTask | None = None) -> FakeAgent:
        return FakeAgent(task)

    def backend(self, fake: FakeAgent, *, deadline_s: float = PATIENT_S, clock: Clock | None = None) -> Backend:
        return AgentBackend(fake.uri, deadline_s=deadline_s, clock=clock)

    def backend_at(self, where: str, *, deadline_s: float = PATIENT_S, clock: Clock | None = None) -> Backend:
        host = where.rpartition(":")[0]
        uri = f"http://{where}/api/id"
        return AgentBackend(uri, allow_endpoint=[host], deadline_s=deadline_s, clock=clock)


class EcsWorld:
    """The ECS API, by boto3."""

    name = "ecs"
    confirming = json.dumps(
        {"protectedTasks": [{"taskArn": ARN, "protectionEnabled": True, "expirationDate": 1893553445}], "failures": []}
    ).encode()

    def fake(self, task: FakeTask | None = None) -> FakeEcsApi:
        return FakeEcsApi(task)

    def backend(self, fake: FakeEcsApi, *, deadline_s: float = PATIENT_S, clock: Clock | None = None) -> Backend:
        return EcsBackend(
            fake.metadata_uri, endpoint_url=fake.url, session=session(), deadline_s=deadline_s, clock=clock
        )

    def backend_at(self, where: str, *, deadline_s: float = PATIENT_S, clock: Clock | None = None) -> Backend:
        return EcsBackend(
            cluster="work",
            task=ARN,
            region=REGION,
            endpoint_url=f"http://{where}",
            session=session(),
            deadline_s=deadline_s,
            clock=clock,
        )


@cache
def session() -> Any:
    """One session for all: each costs 0.3 s; and clients may be made at once when the first one has been."""
    made = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="example", region_name=REGION)
    made.client("ecs").close()
    return made


WORLDS: tuple[World, ...] = (AgentWorld(), EcsWorld())
