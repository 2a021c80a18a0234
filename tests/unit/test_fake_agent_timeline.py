"""The timeline of FakeAgent tells what became of the task, and what was asked and answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from protectwork._errors import SettingsError
from protectwork.testing import Call, Cause, FakeAgent, FakeClock, Span
from protectwork.testing.faults import LandLate, Refuse

from .agent_client import ask, get, put


@pytest.fixture
def agent(fake_clock: FakeClock) -> Iterator[FakeAgent]:
    with FakeAgent(clock=fake_clock, delay_scale=0) as agent:
        yield agent


def test_the_timeline_tells_every_change_and_its_cause(agent: FakeAgent, fake_clock: FakeClock):
    began = fake_clock.now()
    put(agent, enabled=False)  # nothing changes
    put(agent, enabled=True, minutes=1)
    fake_clock.advance(90)
    agent.task.enable(5)
    fake_clock.advance(10)
    put(agent, enabled=False)

    assert [(change.time - began, change.protected, change.cause) for change in agent.changes] == [
        (0, True, Cause.CALL),
        (60, False, Cause.EXPIRY),
        (90, True, Cause.OUTSIDE),
        (100, False, Cause.CALL),
    ]


def test_late_writes_land_in_the_order_of_their_landing(agent: FakeAgent, fake_clock: FakeClock):
    began = fake_clock.now()
    put(agent, enabled=True, minutes=1)
    agent.fail(LandLate(90))
    put(agent, enabled=True, minutes=1)
    agent.fail(LandLate(30))
    put(agent, enabled=False)
    fake_clock.advance(200)

    assert [(change.time - began, change.protected, change.cause) for change in agent.changes] == [
        (0, True, Cause.CALL),
        (30, False, Cause.LATE_CALL),
        (90, True, Cause.LATE_CALL),
        (150, False, Cause.EXPIRY),
    ]


def test_protection_may_run_out_before_a_late_write_lands(agent: FakeAgent, fake_clock: FakeClock):
    put(agent, enabled=True, minutes=1)
    agent.fail(LandLate(90))
    put(agent, enabled=True, minutes=1)
    fake_clock.advance(100)

    assert [change.cause for change in agent.changes] == [Cause.CALL, Cause.EXPIRY, Cause.LATE_CALL]


def test_was_protected_asks_for_the_whole_time(agent: FakeAgent, fake_clock: FakeClock):
    began = fake_clock.now()
    fake_clock.advance(10)
    put(agent, enabled=True, minutes=1)
    fake_clock.advance(100)

    def was_protected(start: float, end: float) -> bool:
        return agent.was_protected(began + start, began + end)

    assert was_protected(10, 70)
    assert was_protected(20, 20)
    assert not was_protected(70, 70)
    assert not was_protected(9, 20)
    assert not was_protected(20, 71)
    assert not was_protected(0, 0)
    assert not was_protected(80, 90)


def test_unprotected_spans_are_what_was_protected_leaves(agent: FakeAgent, fake_clock: FakeClock):
    began = fake_clock.now()
    assert agent.unprotected_spans(began, began) == []
    for _ in range(2):
        fake_clock.advance(10)
        put(agent, enabled=True, minutes=1)
        fake_clock.advance(20)
        put(agent, enabled=False)

    assert agent.unprotected_spans(began, began + 60) == [
        Span(start=began, end=began + 10),
        Span(start=began + 30, end=began + 40),
    ]
    assert agent.unprotected_spans(began + 5, began + 35) == [
        Span(start=began + 5, end=began + 10),
        Span(start=began + 30, end=began + 35),
    ]


@pytest.mark.parametrize(("start", "end"), [(5.0, 4.0), (0.0, 1.0), (float("nan"), 0.0)])
def test_the_timeline_ends_now(agent: FakeAgent, start: float, end: float):
    with pytest.raises(SettingsError, match="end must be from start"):
        agent.was_protected(agent.now() + start, agent.now() + end)


def test_the_timeline_has_every_request_and_what_was_answered(agent: FakeAgent):
    agent.fail(Refuse("MISSING"))
    get(agent)
    put(agent, enabled=True, minutes=7)
    put(agent, enabled=False)
    ask(agent, "PUT", "garbage")
    ask(agent, "POST")
    get(agent, endpoint="nope")

    assert [(seen.method, seen.status, seen.call, seen.minutes, seen.fault) for seen in agent.calls] == [
        ("GET", 200, Call.GET, None, Refuse("MISSING")),
        ("PUT", 200, Call.ENABLE, 7, None),
        ("PUT", 200, Call.DISABLE, None, None),
        ("PUT", 400, None, None, None),
        ("POST", 405, None, None, None),
        ("GET", 404, None, None, None),
    ]
    assert {seen.time for seen in agent.calls} == {agent.now()}
    assert agent.calls[1].path == "/api/good/task-protection/v1/state"
    assert b"MISSING" in agent.calls[0].reply.body
    assert agent.puts == agent.calls[1:4]
    assert agent.gets == (agent.calls[0], agent.calls[5])
    assert agent.enables == (agent.calls[1],)
    assert agent.disables == (agent.calls[2],)


def test_a_test_can_wait_for_a_request(agent: FakeAgent):
    asking = threading.Timer(0.05, get, [agent])
    asking.start()

    assert agent.wait_until(lambda: len(agent.gets) == 1)
    assert not agent.wait_until(lambda: len(agent.gets) == 2, timeout_s=0.01)
    asking.join()
