"""What the tests of the Celery adapter run against: a Redis for each file, an agent for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from integrations.celery_worker.redis_server import RedisServer

from protectwork.testing import FakeAgent


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    with FakeAgent() as agent:
        yield agent
