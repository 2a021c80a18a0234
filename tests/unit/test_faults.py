"""Each fault answers as it says, and does to the task what it says; each has a name for the command line."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from contextlib import suppress

import pytest

from protectwork._errors import SettingsError
from protectwork.testing import FakeAgent, FakeClock, Fault, Reply, faults, parse_fault
from protectwork.testing.faults import (
    ApplyThenDrop,
    Ask,
    Delay,
    Digits,
    Drip,
    Drop,
    Ecs,
    Error,
    Garbage,
    Hang,
    LandLate,
    Limit,
    Oversized,
    Redirect,
    Refuse,
    Throttle,
)

from .agent_client import get, put


@pytest.fixture
def agent(fake_clock: FakeClock) -> Iterator[FakeAgent]:
    with FakeAgent(clock=fake_clock, delay_scale=0) as agent:
        yield agent


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        (Refuse(), 200, rb'\{"failure":\{"Arn":"arn.*","Detail":null,"Reason":"DEPLOYMENT_BLOCKED"\}\}'),
        (Refuse("MISSING", detail="gone"), 200, rb'.*"Detail":"gone","Reason":"MISSING"\}\}'),
        (Throttle(), 400, rb'\{"requestID":".+","error":\{.*"Code":"ThrottlingException".*'),
        (Limit(), 429, rb"[^{]+"),
        (Error(), 500, rb'\{"requestID":".+","error":\{.*"Code":"ServerException".*'),
        (Error(503), 503, rb'\{"requestID":"","error":\{.*"Code":"UnknownError".*'),
        (Error(504), 504, rb'\{"error":\{.*"Code":"RequestCanceled".*'),
        (Garbage(), 200, rb"[^{]+"),
        (Garbage("empty"), 200, rb""),
        (Garbage("shape"), 200, rb'\{"protection":\[.*\]\}'),
        (Garbage("strings"), 200, rb'.*"ProtectionEnabled":"true".*'),
        (Garbage("both"), 200, rb'\{"protection":\{.*"ProtectionEnabled":true,.*\},"failure":\{.*\}\}'),
        (Garbage("opposite"), 200, rb'.*"ProtectionEnabled":false.*'),
        (Oversized(), 200, rb'\{"protection":\{.*"ProtectionEnabled":true.*0{100000}.*\}\}'),
        (Redirect(), 301, rb""),
        (Redirect("http://127.0.0.1:9/", status=307), 307, rb""),
    ],
    ids=repr,
)
def test_a_fault_that_answers_does_nothing_to_the_task(agent: FakeAgent, fault: Fault, status: int, said: bytes):
    agent.fail(fault)

    got = put(agent, enabled=True, minutes=5)

    assert got.status == status
    assert re.fullmatch(said, got.body)
    assert agent.changes == ()
    assert [call.fault for call in agent.calls] == [fault]


@pytest.mark.parametrize("fault", [Drop(), Drop(reset=True)], ids=repr)
def test_a_dropped_request_does_nothing_to_the_task(agent: FakeAgent, fault: Fault):
    agent.fail(fault)

    with pytest.raises(ConnectionError):
        put(agent, enabled=True)

    assert agent.changes == ()
    assert [call.status for call in agent.calls] == [None]


@pytest.mark.parametrize("fault", [Drip(), Drip("headers"), Delay(3.9), Digits(9)], ids=repr)
def test_a_slow_answer_is_a_right_answer(agent: FakeAgent, fault: Fault):
    agent.fail(fault, times=2)

    assert put(agent, enabled=True, minutes=5).said["protection"]["ProtectionEnabled"] is True
    assert agent.protected
    assert put(agent, enabled=False).said["protection"]["ProtectionEnabled"] is False
    assert not agent.protected


def test_an_answer_that_is_too_late_is_a_504_to_what_was_done(agent: FakeAgent):
    agent.fail(Delay(4))

    assert put(agent, enabled=True).status == 504
    assert agent.protected


def test_apply_then_drop_does_what_was_asked(agent: FakeAgent):
    agent.fail(ApplyThenDrop())

    with pytest.raises(http.client.RemoteDisconnected):
        put(agent, enabled=True, minutes=5)

    assert [change.expires for change in agent.changes] == [agent.now() + 300]


@pytest.mark.parametrize("answered", [True, False])
def test_land_late_does_what_was_asked_later(agent: FakeAgent, fake_clock: FakeClock, answered: bool):
    agent.fail(LandLate(7, answered=answered))
    if answered:
        assert put(agent, enabled=True, minutes=5).status == 504
    else:
        with pytest.raises(http.client.RemoteDisconnected):
            put(agent, enabled=True, minutes=5)

    fake_clock.advance(6)
    assert not agent.protected
    fake_clock.advance(1)
    assert [change.expires for change in agent.changes] == [agent.now() + 300]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Ecs("server_error", tries=2), 200),
        (Ecs("server_error", tries=3), 500),
        (Ecs("drop", tries=2), 200),
        (Ecs("unavailable", tries=1), 200),
        (Ecs("unavailable", tries=2), 504),
        (Ecs("hang", tries=1), 504),
        (Ecs("access_denied", tries=1), 400),
    ],
    ids=repr,
)
def test_the_agent_tries_again_before_it_gives_up(agent: FakeAgent, fault: Fault, status: int):
    agent.fail(fault)

    assert put(agent, enabled=True).status == status
    assert agent.protected is (status == 200)


@pytest.mark.parametrize("fault", [LandLate(7), ApplyThenDrop(), Delay(4)], ids=repr)
def test_a_get_that_goes_wrong_changes_nothing(agent: FakeAgent, fake_clock: FakeClock, fault: Fault):
    agent.fail(fault)
    with suppress(http.client.RemoteDisconnected):
        get(agent)
    fake_clock.advance(10)

    assert agent.changes == ()


@pytest.mark.parametrize("kind", ["both", "opposite", "shape", "strings"])
def test_garbage_about_a_get_is_built_of_what_is_true(agent: FakeAgent, kind: str):
    agent.task.enable(5)
    agent.fail(parse_fault(f"garbage:{kind}"))

    assert b"rue" in get(agent).body


def test_a_disable_answered_with_the_opposite_seems_to_protect(agent: FakeAgent):
    agent.fail(Garbage("opposite"))

    assert put(agent, enabled=False).said["protection"]["ProtectionEnabled"] is True
    assert agent.changes == ()


@pytest.mark.parametrize("size", [65537, 200_000])
def test_an_oversized_answer_has_the_size_it_is_told_to_have(agent: FakeAgent, size: int):
    agent.fail(Oversized(size))

    assert len(get(agent).body) == size


def test_a_redirect_says_where_to(agent: FakeAgent):
    agent.fail(Redirect("http://127.0.0.1:9/x"))

    assert get(agent).headers["Location"] == "http://127.0.0.1:9/x"


def test_the_date_has_as_many_digits_as_it_is_told_to_have(agent: FakeAgent):
    for digits in range(10):
        agent.fail(Digits(digits))
        date = put(agent, enabled=True).said["protection"]["ExpirationDate"]
        assert re.fullmatch(r"[\d-]+T\d\d:\d\d:\d\d" + (rf"\.\d{{{digits}}}" if digits else "") + "Z", date)


def test_a_fault_may_be_of_a_users_own_making(agent: FakeAgent):
    class Teapot:
        def reply(self, ask: Ask, /) -> Reply:
            return Reply(status=418, body=ask.task.arn.encode())

    agent.fail(Teapot())

    assert (got := get(agent)).status == 418
    assert got.body.decode() == agent.task.arn


# -- bad arguments


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: Error(418), "status must be one of 500, 503, 504, got 418"),  # type: ignore[arg-type]
        (lambda: Redirect(status=200), "status must be one of 301, 302, 307, 308, got 200"),  # type: ignore[arg-type]
        (lambda: Drip("tail"), "part must be one of headers, body, got tail"),  # type: ignore[arg-type]
        (lambda: Drip(interval_s=-1), "interval_s must be 0 or more, got -1"),
        (lambda: Garbage("old"), "kind must be one of text, empty, shape, strings, both, neither, opposite, got old"),  # type: ignore[arg-type]
        (lambda: LandLate(float("inf")), "seconds must be 0 or more, got inf"),
        (lambda: Delay(-1), "seconds must be 0 or more, got -1"),
        (lambda: Oversized(65536), "size must be 65537 or more, got 65536"),
        (lambda: Digits(10), "digits must be one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, got 10"),
        (lambda: Ecs("drop", tries=0), "tries must be 1 or more, got 0"),
    ],
)
def test_a_fault_says_what_its_arguments_must_be(make: type[Fault], rule: str):
    with pytest.raises(SettingsError, match=re.escape(rule)):
        make()


# -- names


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("apply-then-drop", ApplyThenDrop()),
        ("delay:2.5", Delay(2.5)),
        ("digits:9", Digits(9)),
        ("drip", Drip("body")),
        ("drip:headers", Drip("headers")),
        ("drop", Drop()),
        ("drop:reset", Drop(reset=True)),
        ("ecs:two_tasks", Ecs("two_tasks")),
        ("error", Error(500)),
        ("error:504", Error(504)),
        ("garbage", Garbage("text")),
        ("garbage:both", Garbage("both")),
        ("hang", Hang()),
        ("hang:after-headers", Hang(after_headers=True)),
        ("land-late", LandLate(5.0)),
        ("land-late:12", LandLate(12)),
        ("limit", Limit()),
        ("oversized", Oversized()),
        ("oversized:70000", Oversized(70_000)),
        ("redirect", Redirect()),
        ("redirect:http://127.0.0.1:9/x", Redirect("http://127.0.0.1:9/x")),
        ("refuse", Refuse("DEPLOYMENT_BLOCKED")),
        ("refuse:MISSING", Refuse("MISSING")),
        ("throttle", Throttle()),
    ],
)
def test_every_fault_has_a_name(text: str, fault: Fault):
    assert parse_fault(text) == fault


@pytest.mark.parametrize("text", ["", "hung", "hang:", "throttle:3", "HANG", "refuse:", "delay"])
def test_an_unknown_name_is_answered_with_the_list_of_faults(text: str):
    with pytest.raises(
        SettingsError, match=r"a fault must be one of apply-then-drop, delay:SECONDS, .*, throttle, got"
    ):
        parse_fault(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("land-late:soon", "the seconds of the fault land-late must be a number, got 'soon'"),
        ("land-late:-5", "the seconds of the fault land-late must be 0 or more, got -5"),
        ("error:404", "the status of the fault error must be one of 500, 503, 504, got 404"),
        ("error:5oo", "the status of the fault error must be a number, got '5oo'"),
        (
            "garbage:none",
            "the kind of the fault garbage must be one of text, empty, shape, strings, both, neither, opposite",
        ),
    ],
)
def test_a_bad_argument_is_answered_with_its_rule_and_the_list_of_faults(text: str, message: str):
    with pytest.raises(SettingsError, match=re.escape(message)) as error:
        parse_fault(text)

    assert f"the faults are {', '.join(faults.FAULTS)}" in str(error.value)
