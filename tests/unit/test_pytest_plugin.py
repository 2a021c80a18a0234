"""The fixtures: a user's own worker is tested in two lines, and a run that uses none of them pays for none."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from protectwork import ProtectionManager, get_manager, protected
from protectwork.testing import Call, FakeAgent, FakeClock, RecordingBackend

from .ecs_client import client_of

pytest_plugins = ["pytester"]


@protected
def one_job() -> bool:
    return get_manager().status().confirmed


def test_a_worker_is_tested_in_two_lines(fake_agent: FakeAgent):
    assert one_job()
    assert [call.call for call in fake_agent.puts] == [Call.ENABLE]


def test_a_manager_runs_in_fake_time_on_a_backend_in_memory(recording_backend: RecordingBackend, fake_clock: FakeClock):
    with ProtectionManager(recording_backend, clock=fake_clock) as manager:
        manager.start()
        fake_clock.advance(10)  # for the question whether it is protected, and until a next call may come
        with manager.protect() as hold:
            fake_clock.advance(24 * 3600)

            assert hold.confirmed
            assert recording_backend.protected
            assert 20 <= len(recording_backend.calls) <= 30


def test_every_test_has_an_agent_and_a_manager_of_its_own(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """In a run of its own, with nothing but what the installed distribution brings."""
    monkeypatch.delenv("ECS_AGENT_URI", raising=False)
    pytester.makepyfile(
        """
        import os
        from protectwork import protect

        agents = []

        def test_one(fake_agent):
            agents.append(fake_agent)
            with protect() as hold:
                assert hold.confirmed
            assert fake_agent.protected

        def test_another(fake_agent):
            assert os.environ["ECS_AGENT_URI"] == fake_agent.uri
            assert fake_agent.calls == ()

        def test_what_is_left():
            assert "ECS_AGENT_URI" not in os.environ
            assert len(agents[0].disables) == 1
            assert not agents[0].protected
        """
    )

    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist").assert_outcomes(passed=3)


def test_the_api_of_ecs_takes_the_place_of_the_agent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ECS_AGENT_URI", "http://127.0.0.1:9/api/gone")

    ecs = request.getfixturevalue("fake_ecs_api")

    with client_of(ecs) as client:
        client.update_task_protection(cluster="work", tasks=[ecs.task.arn], protectionEnabled=True)
    assert ecs.protected
    assert ecs.environ().items() <= os.environ.items()
    assert "ECS_AGENT_URI" not in os.environ


@pytest.mark.parametrize("fixture", ["fake_agent", "fake_ecs_api"])
def test_without_pytest_httpserver_the_fixture_says_what_to_install(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, fixture: str
):
    monkeypatch.setitem(sys.modules, "pytest_httpserver", None)

    with pytest.raises(pytest.fail.Exception, match=rf'{fixture} needs .*: pip install "protectwork\[testing\]"'):
        request.getfixturevalue(fixture)


def test_a_run_that_uses_no_fixture_loads_no_server_and_no_client():
    program = "import sys, protectwork.testing._plugin as p; print(*{'httpx', 'boto3', 'http.server'} & {*sys.modules})"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout.split()

    assert loaded == []


def test_no_fixture_takes_a_name_of_pytest_httpserver():
    from pytest_httpserver import pytest_plugin as theirs

    from protectwork.testing import _plugin as ours

    assert set(ours.__all__).isdisjoint(vars(theirs))
