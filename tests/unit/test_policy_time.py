"""In a lab leases, their expiry and the linger pass up to ten times as fast; calls and waits for them do not."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from protectwork import ProtectionManager, SettingsError, State, get_manager
from protectwork._policy_time import check_scale, time_scale
from protectwork._process import reset_manager
from protectwork._settings import Settings, unknown_variables
from protectwork.backends.agent import AgentBackend
from protectwork.testing import EcsTime, FakeAgent, FakeClock, FakeTask

VARIABLE = "PROTECTWORK_LAB_TIME_SCALE"


@pytest.fixture
def agent(fake_clock: FakeClock) -> Iterator[FakeAgent]:
    """An agent of a lab in which policy time passes ten times as fast."""
    with FakeAgent(FakeTask(time=EcsTime(fake_clock, minute_s=6))) as agent:
        yield agent


def manager_of(agent: FakeAgent, clock: FakeClock, **settings: float) -> ProtectionManager:
    return ProtectionManager(AgentBackend(agent.uri, clock=clock), settings=Settings(**settings), clock=clock)  # type: ignore[arg-type] - numbers all


@pytest.mark.parametrize(("text", "scale"), [(None, 1), ("", 1), ("1", 1), ("10", 10), (" 2.5 ", 2.5)])
def test_outside_a_lab_policy_time_is_time(text: str | None, scale: float):
    assert time_scale({} if text is None else {VARIABLE: text}) == scale


@pytest.mark.parametrize("text", ["0", "0.5", "10.1", "-1", "nan", "inf", "fast"])
def test_the_scale_has_its_rule(text: str):
    with pytest.raises(SettingsError, match=f"{VARIABLE} must be a number from 1 to 10, got"):
        time_scale({VARIABLE: text})


def test_whoever_takes_a_scale_is_named():
    assert check_scale(3, setting="time_scale") == 3
    with pytest.raises(SettingsError, match="time_scale must be a number from 1 to 10, got 11"):
        check_scale(11, setting="time_scale")


def test_the_variables_of_a_lab_are_no_unknown_settings():
    assert unknown_variables({VARIABLE: "2", "PROTECTWORK_LAB_JOURNAL": "x", "PROTECTWORK_LABS": "y"}) == (
        "PROTECTWORK_LABS is no setting; did you mean PROTECTWORK_LEASE?",
    )


def test_a_lease_of_a_minute_is_renewed_in_time_where_a_minute_lasts_six_seconds(
    agent: FakeAgent, fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(VARIABLE, "10")
    with manager_of(agent, fake_clock, lease=60, linger=20) as manager:
        manager.start()
        fake_clock.advance(7)
        with manager.protect() as hold:
            began = fake_clock.now()
            assert hold.confirmed
            fake_clock.advance(60)
            assert agent.was_protected(began, fake_clock.now())
            assert {call.minutes for call in agent.enables} == {1}
            assert 60 / 3 <= len(agent.enables) <= 60 / 2.7 + 2
        fake_clock.advance(1)
        assert agent.protected, "the linger is 2 s, give or take a quarter, and over before the lease is"
        fake_clock.advance(3)
        assert not agent.protected
        assert len(agent.disables) == 1


def test_declared_work_is_covered_in_policy_time_too(
    agent: FakeAgent, fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(VARIABLE, "10")
    with manager_of(agent, fake_clock, lease=60) as manager:
        manager.start()
        fake_clock.advance(7)
        with manager.protect(max_duration=120):
            assert agent.task.expires
            assert agent.task.expires >= fake_clock.now() + 120
            assert [call.minutes for call in agent.enables] == [21]  # of 6 s each: the work, and a quarter of the lease


def test_work_beyond_the_longest_lease_asks_for_that_once(
    agent: FakeAgent, fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(VARIABLE, "10")
    with manager_of(agent, fake_clock) as manager:
        manager.start()
        fake_clock.advance(7)
        for _ in range(10):
            with manager.protect(max_duration=6 * 3600):  # the longest lease lasts 4.8 h here
                fake_clock.advance(2)
        assert [call.minutes for call in agent.enables] == [2880]


def test_work_waits_for_its_lease_as_long_as_ever(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "10")
    with FakeAgent(clock=fake_clock) as agent, manager_of(agent, fake_clock, linger=10) as manager:
        policy = manager._keeper.lease.policy
        assert (policy.lease_s, policy.linger_s, policy.acquire_timeout_s, policy.minute_s) == (720, 1, 15, 6)


def test_a_bad_scale_breaks_no_job(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setenv(VARIABLE, "100")
    reset_manager()
    with FakeAgent() as agent:
        monkeypatch.setenv("ECS_AGENT_URI", agent.uri)
        with caplog.at_level(logging.ERROR), get_manager().protect():
            assert get_manager().status().state is State.OFF
        assert f"protection is off: {VARIABLE} must be a number from 1 to 10, got 100" in caplog.text
        with pytest.raises(SettingsError, match=VARIABLE):
            ProtectionManager()
        assert agent.calls == ()
    reset_manager()
