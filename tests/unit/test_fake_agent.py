"""FakeAgent holds real state with a real expiry, shares it with others, and goes wrong when it is told to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from protectwork._clock import steady_now
from protectwork._errors import SettingsError
from protectwork._types import Outcome
from protectwork.backends.agent import AgentBackend
from protectwork.testing import Call, Endpoint, FakeAgent, FakeClock, FakeTask
from protectwork.testing.faults import Refuse, Throttle

from .agent_client import ask, get, put


@pytest.fixture
def agent(fake_clock: FakeClock) -> Iterator[FakeAgent]:
    with FakeAgent(clock=fake_clock, delay_scale=0) as agent:
        yield agent


# -- state


def test_protection_runs_out_when_its_time_is_over(agent: FakeAgent, fake_clock: FakeClock):
    put(agent, enabled=True, minutes=2)

    fake_clock.advance(119)
    assert agent.protected
    assert get(agent).said["protection"]["ProtectionEnabled"] is True

    fake_clock.advance(1)
    assert not agent.protected
    assert get(agent).said["protection"] == {
        "ExpirationDate": None,
        "ProtectionEnabled": False,
        "TaskArn": agent.task.arn,
    }


def test_protection_lasts_two_hours_unless_asked_otherwise(agent: FakeAgent):
    put(agent, enabled=True)

    assert agent.changes[-1].expires == agent.now() + 120 * 60


def test_every_enable_replaces_the_expiry_a_shorter_one_too(agent: FakeAgent):
    put(agent, enabled=True, minutes=60)
    put(agent, enabled=True, minutes=5)

    assert [change.expires for change in agent.changes] == [agent.now() + 3600, agent.now() + 300]


def test_a_disable_ends_protection_whatever_minutes_it_names(agent: FakeAgent):
    put(agent, enabled=True)
    put(agent, enabled=False, minutes=0)

    assert not agent.protected


@pytest.mark.parametrize("minutes", [0, -1, 2881, 2**40])
def test_minutes_outside_the_range_change_nothing(agent: FakeAgent, minutes: int):
    put(agent, enabled=True, minutes=2880)

    got = put(agent, enabled=True, minutes=minutes)

    assert (got.status, got.said["error"]["Code"]) == (400, "InvalidParameterException")
    assert [change.expires for change in agent.changes] == [agent.now() + 2880 * 60]


@pytest.mark.parametrize(
    "body",
    [
        '{"ProtectionEnabled":NaN}',
        '{"ProtectionEnabled":{}}',
        '{"ProtectionEnabled":true} {}',
        '{"ProtectionEnabled":true,"ExpiresInMinutes":true}',
        '{"ExpiresInMinutes":99999999999999999999}',
        "[]",
        "7",
        pytest.param("[" * 100_000, id="deep"),
        pytest.param("\ufeff{}", id="byte order mark"),
    ],
)
def test_what_go_cannot_decode_is_refused(agent: FakeAgent, body: str):
    got = ask(agent, "PUT", body)

    assert (got.status, got.said["error"]["Message"]) == (400, "UpdateTaskProtection: failed to decode request")


def test_the_last_of_two_fields_with_one_name_wins(agent: FakeAgent):
    ask(agent, "PUT", '{"ProtectionEnabled":true,"protectionenabled":false}')

    assert not agent.protected
    assert [call.call for call in agent.calls] == [Call.DISABLE]


def test_answers_carry_the_date_at_ecs_which_the_wall_clock_here_does_not_move(agent: FakeAgent, fake_clock: FakeClock):
    began = datetime.fromtimestamp(fake_clock.wall(), UTC)
    fake_clock.jump_wall(3600)

    said = put(agent, enabled=True, minutes=10).said["protection"]["ExpirationDate"]

    assert datetime.fromisoformat(said) == began + timedelta(minutes=10)


def test_each_task_behind_an_agent_has_its_own_protection(agent: FakeAgent):
    agent.endpoints["side"] = Endpoint(task=agent.task)
    other = FakeTask("arn:aws:ecs:us-west-2:111122223333:task/other", time=agent.time)
    agent.endpoints["other"] = Endpoint(task=other)

    put(agent, enabled=True, endpoint="side")
    assert (agent.protected, other.protected) == (True, False)

    put(agent, enabled=True, minutes=5, endpoint="other")
    put(agent, enabled=False)
    assert (agent.protected, other.protected) == (False, True)
    assert get(agent, endpoint="other").said["protection"]["TaskArn"] == other.arn


def test_agents_may_share_a_task(agent: FakeAgent):
    with FakeAgent(agent.task) as another:
        put(another, enabled=True, minutes=5)

        assert agent.protected
        assert agent.calls == ()


def test_a_task_brings_its_own_time(agent: FakeAgent, fake_clock: FakeClock):
    with pytest.raises(SettingsError, match="clock must be left out"):
        FakeAgent(agent.task, clock=fake_clock)


def test_the_environment_of_a_container_leads_to_it(agent: FakeAgent):
    assert agent.environ() == {"ECS_AGENT_URI": agent.uri}
    backend = AgentBackend(agent.uri)
    assert backend.enable(60).outcome is Outcome.CONFIRMED
    assert AgentBackend(agent.uri_of("good")).get().protected


def test_no_two_agents_have_the_same_endpoint_even_at_one_port(agent: FakeAgent) -> None:
    with FakeAgent() as other:
        assert agent.uri.rpartition("/")[2] != other.uri.rpartition("/")[2]


# -- time


def test_advance_moves_the_time_at_ecs_alone(agent: FakeAgent, fake_clock: FakeClock):
    put(agent, enabled=True, minutes=1)
    here, there = fake_clock.now(), agent.now()

    agent.advance(timedelta(minutes=1))

    assert (fake_clock.now(), agent.now()) == (here, there + 60)
    assert not agent.protected


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_the_time_at_ecs_does_not_go_back(agent: FakeAgent, seconds: float):
    with pytest.raises(SettingsError, match="0 s or more"):
        agent.advance(seconds)


def test_its_times_compare_with_those_of_other_processes():
    program = "from protectwork._clock import steady_now; print(steady_now())"
    with FakeAgent() as agent:
        before = agent.now()
        put(agent, enabled=True)
        elsewhere = float(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)

        assert before < elsewhere < agent.now()
        assert agent.was_protected(elsewhere, steady_now())
        assert not agent.was_protected(before, elsewhere)


# -- changes from outside


def test_somebody_else_may_change_the_protection(agent: FakeAgent):
    agent.task.enable(60)
    assert get(agent).said["protection"]["ProtectionEnabled"] is True

    agent.task.disable()
    assert get(agent).said["protection"]["ProtectionEnabled"] is False
    assert agent.puts == ()


@pytest.mark.parametrize("minutes", [0, 2881])
def test_ecs_refuses_the_minutes_of_somebody_else_too(agent: FakeAgent, minutes: int):
    with pytest.raises(SettingsError, match="minutes must be from 1 to 2880"):
        agent.task.enable(minutes)


# -- how faults wait in line


def test_faults_hit_as_many_requests_as_they_are_told_to_and_one_after_the_other(agent: FakeAgent):
    agent.fail(Refuse(), times=2)
    agent.fail(Throttle())

    assert [next(iter(put(agent, enabled=True).said)) for _ in range(4)] == [
        "failure",
        "failure",
        "requestID",
        "protection",
    ]


def test_a_fault_may_last_until_it_is_healed(agent: FakeAgent):
    agent.fail(Throttle(), times=None)
    assert [get(agent).status for _ in range(3)] == [400] * 3

    agent.heal()
    assert get(agent).status == 200


def test_a_fault_may_hit_some_calls_alone(agent: FakeAgent):
    agent.fail(Refuse(), only="enable", times=None)
    agent.fail(Throttle(), only="disable")

    assert "protection" in get(agent).said
    assert "failure" in put(agent, enabled=True).said
    assert put(agent, enabled=False).status == 400
    assert put(agent, enabled=False).status == 200


def test_a_request_that_the_agent_refuses_itself_uses_up_no_fault(agent: FakeAgent):
    agent.fail(Throttle())
    ask(agent, "PUT", "garbage")
    ask(agent, "POST")
    get(agent, endpoint="nope")
    put(agent, enabled=True, minutes=0)

    assert get(agent).status == 400
    assert get(agent).status == 200


@pytest.mark.parametrize("times", [0, -1])
def test_a_fault_hits_at_least_once(agent: FakeAgent, times: int):
    with pytest.raises(SettingsError, match="times must be 1 or more, or None"):
        agent.fail(Refuse(), times=times)


def test_a_fault_hits_calls_that_exist(agent: FakeAgent):
    with pytest.raises(SettingsError, match="only must be one of enable, disable, get"):
        agent.fail(Refuse(), only="renew")  # type: ignore[arg-type] - the point of the test
