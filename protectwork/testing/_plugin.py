"""The pytest fixtures: a user tests a worker in two lines. Cheap to import, for pytest does so in every run."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from protectwork.testing import FakeAgent, FakeClock, RecordingBackend

__all__ = ["fake_agent", "fake_clock", "recording_backend"]


@pytest.fixture
def fake_agent(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeAgent]:
    """An ECS agent on this machine, which the process's own manager uses for the time of the test.

        def test_the_worker_is_protected_while_it_works(fake_agent):
            run_one_job()
            assert [call.call for call in fake_agent.puts] == ["enable"]

    ``ECS_AGENT_URI`` leads to it, and ``PROTECTWORK_STATE_DIR`` to a directory of the test's own. The process's own
    manager is closed and forgotten before the test and after it.
    """
    if not importlib.util.find_spec("pytest_httpserver"):
        pytest.fail('the fixture fake_agent needs pytest-httpserver: pip install "protectwork[testing]"', pytrace=False)
    from protectwork._process import reset_manager  # noqa: PLC0415 - a run without this fixture pays for none of it
    from protectwork.testing import FakeAgent  # noqa: PLC0415
    from protectwork.testing._pytest_server import PytestServer  # noqa: PLC0415

    reset_manager()
    with FakeAgent(server=PytestServer) as agent:
        for name, value in agent.environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PROTECTWORK_STATE_DIR", str(tmp_path_factory.mktemp("protectwork")))
        try:
            yield agent
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
