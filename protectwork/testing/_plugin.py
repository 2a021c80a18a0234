"""The pytest fixtures: a user tests a worker in two lines. Cheap to import, for pytest does so in every run."""

from __future__ import annotations

import importlib.util
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from protectwork.testing import FakeAgent, FakeClock, FakeEcsApi, RecordingBackend

__all__ = ["fake_agent", "fake_clock", "fake_ecs_api", "recording_backend"]


@pytest.fixture
def fake_agent(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeAgent]:
    """An ECS agent on this machine, which the process's own manager uses for the time of the test.

        def test_the_worker_is_protected_while_it_works(fake_agent):
            run_one_job()
            assert [call.call for call in fake_agent.puts] == ["enable"]

    ``ECS_AGENT_URI`` leads to it, and ``PROTECTWORK_STATE_DIR`` to a directory of the test's own. The process's own
    manager is closed and forgotten before the test and after it.
    """
    _need_a_server("fake_agent")
    from protectwork.testing import FakeAgent  # noqa: PLC0415 - a run without this fixture pays for none of it
    from protectwork.testing._pytest_server import PytestServer  # noqa: PLC0415

    with FakeAgent(server=PytestServer) as agent, _task_of(agent.environ(), monkeypatch, tmp_path_factory):
        yield agent


@pytest.fixture
def fake_ecs_api(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeEcsApi]:
    """ECS's own API and the task metadata endpoint on this machine, for the time of the test.

    As `fake_agent`, but that the variables which lead to it are those of an AWS client, ``AWS_ENDPOINT_URL_ECS`` and
    its like, and ``ECS_CONTAINER_METADATA_URI_V4``; ``ECS_AGENT_URI`` is not there.
    """
    _need_a_server("fake_ecs_api")
    from protectwork.testing import FakeEcsApi  # noqa: PLC0415 - as above
    from protectwork.testing._pytest_server import PytestServer  # noqa: PLC0415

    with FakeEcsApi(server=PytestServer) as ecs, _task_of(ecs.environ(), monkeypatch, tmp_path_factory):
        monkeypatch.delenv("ECS_AGENT_URI", raising=False)
        yield ecs


def _need_a_server(fixture: str) -> None:
    if not importlib.util.find_spec("pytest_httpserver"):
        message = f'the fixture {fixture} needs pytest-httpserver: pip install "protectwork[testing]"'
        pytest.fail(message, pytrace=False)


@contextmanager
def _task_of(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Generator[None]:
    """Let this process be one of the task with that environment."""
    from protectwork._process import reset_manager  # noqa: PLC0415 - as above

    reset_manager()
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PROTECTWORK_STATE_DIR", str(tmp_path_factory.mktemp("protectwork")))
    try:
        yield
    finally:
        reset_manager()


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that stands still until the test moves it; to be handed to a manager and to a backend."""
    from protectwork.testing import FakeClock  # noqa: PLC0415

    return FakeClock()


@pytest.fixture
def recording_backend(fake_clock: FakeClock) -> RecordingBackend:
    """A backend in memory that runs on `fake_clock`."""
    from protectwork.testing import RecordingBackend  # noqa: PLC0415

    return RecordingBackend(clock=fake_clock)
