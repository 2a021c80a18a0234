"""What protectwork is tested with, for tests of your own workers: an ECS that runs on this machine, and its time."""

from protectwork.testing import faults
from protectwork.testing._agent import Endpoint, FakeAgent
from protectwork.testing._cluster import (
    DeploymentStatus,
    FakeCluster,
    FakeDeployment,
    FakeService,
    RolloutState,
)
from protectwork.testing._ecs_api import FakeEcsApi
from protectwork.testing._ecs_time import EcsTime
from protectwork.testing._exchange import Call, Exchange, Reply, Request
from protectwork.testing._fake_clock import FakeClock
from protectwork.testing._placement import Placement
from protectwork.testing._quota import Quota
from protectwork.testing._recording import RecordedCall, RecordingBackend
from protectwork.testing._task import Cause, Change, FakeTask, Refusal, Span
from protectwork.testing.faults import Fault, parse_fault

__all__ = [
    "Call",
    "Cause",
    "Change",
    "DeploymentStatus",
    "EcsTime",
    "Endpoint",
    "Exchange",
    "FakeAgent",
    "FakeClock",
    "FakeCluster",
    "FakeDeployment",
    "FakeEcsApi",
    "FakeService",
    "FakeTask",
    "Fault",
    "Placement",
    "Quota",
    "RecordedCall",
    "RecordingBackend",
    "Refusal",
    "Reply",
    "Request",
    "RolloutState",
    "Span",
    "faults",
    "parse_fault",
]
