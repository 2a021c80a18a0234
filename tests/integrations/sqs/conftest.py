"""What the tests of the SQS adapter run against: one server, and scenes on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from integrations.sqs import servers
from integrations.sqs.scene import Scene
from integrations.sqs.servers import Server
from integrations.sqs.stage import Stage


@pytest.fixture(scope="session", params=["moto", pytest.param("fauxqs", marks=pytest.mark.external)])
def sqs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with getattr(servers, request.param)(tmp_path_factory.mktemp("sqs")) as server:
        yield server


@pytest.fixture
def scene(sqs: Server, tmp_path: Path) -> Iterator[Scene]:
    with Scene(sqs, tmp_path / "task") as scene:
        yield scene


@pytest.fixture
def stage(sqs: Server, tmp_path: Path) -> Stage:
    return Stage(sqs, tmp_path)
