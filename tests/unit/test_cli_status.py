"""protectwork status: one GET, its exit codes, and its two forms."""

import json
from datetime import UTC, datetime, timedelta

import click
import pytest
from click.testing import CliRunner

from protectwork.cli import cli
from protectwork.testing import FakeAgent, faults

KEYS = {
    "state",
    "protected",
    "expires_at",
    "seconds_left",
    "task_arn",
    "backend",
    "outcome",
    "reason",
    "detail",
    "remedy",
}


def status(*options, **environ):
    return CliRunner().invoke(cli, ["status", *options], env=environ)


def as_json(**environ):
    result = status("--json", **environ)
    found = json.loads(result.stdout)
    assert found.keys() == KEYS
    return result.exit_code, found


def test_of_a_protected_task_it_says_until_when(fake_agent):
    fake_agent.task.enable(minutes=90)
    code, found = as_json()
    assert (code, found["state"], found["protected"], found["outcome"]) == (0, "protected", True, "confirmed")
    assert found["task_arn"] == fake_agent.task.arn
    assert 5390 < found["seconds_left"] <= 5400
    assert datetime.fromisoformat(found["expires_at"]) - datetime.now(UTC) < timedelta(minutes=90)
    assert (found["backend"], found["reason"], found["detail"], found["remedy"]) == ("agent", None, None, None)


def test_of_an_unprotected_task_it_says_so(fake_agent):
    code, found = as_json()
    assert (code, found["state"], found["protected"], found["expires_at"]) == (1, "unprotected", False, None)
    assert found["task_arn"] == fake_agent.task.arn


def test_it_makes_one_get_and_changes_nothing(fake_agent):
    fake_agent.task.enable()
    status()
    assert [call.call for call in fake_agent.calls] == ["get"]
    assert fake_agent.protected


@pytest.mark.parametrize(
    ("fault", "outcome", "remedy"),
    [
        (faults.Refuse("MISSING"), "refused", "ask again later"),
        (faults.Refuse("TASK_NOT_VALID"), "not-a-service-task", "PROTECTWORK_BACKEND=off"),
        (faults.Throttle(), "throttled", "ask again in a minute"),
        (faults.Error(500), "ambiguous", "ask again"),
        (faults.Garbage(), "ambiguous", "ask again"),
        (faults.Ecs("access_denied"), "misconfigured", "ecs:GetTaskProtection"),
    ],
    ids=str,
)
def test_without_a_usable_answer_it_says_why_and_what_to_do(fault, outcome, remedy, fake_agent):
    fake_agent.fail(fault)
    code, found = as_json()
    assert (code, found["state"], found["protected"], found["outcome"]) == (3, "unknown", None, outcome)
    assert remedy in found["remedy"]


def test_a_missing_task_role_is_told_apart_from_missing_permissions(fake_agent):
    code, found = as_json(ECS_AGENT_URI=fake_agent.uri_of("nocreds"))
    assert (code, found["outcome"]) == (3, "misconfigured")
    assert "needs a task role" in found["remedy"]


def test_where_nobody_listens_it_is_unavailable():
    with FakeAgent() as agent:
        uri = agent.uri
    code, found = as_json(ECS_AGENT_URI=uri)
    assert (code, found["outcome"]) == (3, "unavailable")
    assert "inside the task" in found["remedy"]


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({}, "ECS_AGENT_URI is not set"),
        ({"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}, "this is ECS, but ECS_AGENT_URI is missing"),
        ({"ECS_AGENT_URI": "http://127.0.0.1:1/api/x", "PROTECTWORK_BACKEND": "off"}, "unset PROTECTWORK_BACKEND"),
    ],
)
def test_where_it_is_off_it_says_why(environ, why):
    code, found = as_json(**environ)
    assert (code, found["state"], found["protected"], found["backend"]) == (4, "off", None, "off")
    assert why in found["remedy"]


def test_bad_settings_are_told_with_their_rule():
    result = status(PROTECTWORK_LEASE="3s")
    assert result.exit_code == 2
    assert "PROTECTWORK_LEASE must be from 1 min to 48 h, got 3 s" in result.stderr


def test_an_address_that_may_not_be_called_is_a_bad_setting():
    result = status(ECS_AGENT_URI="http://192.0.2.1/api/x")
    assert result.exit_code == 2
    assert "loopback, link-local or private" in result.stderr


def test_a_misspelt_variable_is_told():
    result = status(PROTECTWORK_LEESE="2h")
    assert "did you mean PROTECTWORK_LEASE" in result.stderr


@pytest.mark.parametrize(("minutes", "left"), [(1, " 5"), (30, " 29 min "), (120, " 1 h 59 min ")])
def test_for_people_it_says_how_long_protection_lasts(minutes, left, fake_agent):
    fake_agent.task.enable(minutes=minutes)
    result = status()
    assert result.stdout.startswith(f"protected for{left}")
    assert " UTC\n" in result.stdout


def test_for_people_it_says_that_it_is_off():
    assert status().stdout.splitlines()[0] == "off: nothing is protected from here"


def test_on_a_terminal_long_texts_are_wrapped_below_themselves(fake_agent):
    fake_agent.fail(faults.Throttle())
    shown = click.unstyle(status(FORCE_COLOR="1", COLUMNS="40").stdout).splitlines()
    assert shown[-3:] == [
        "  remedy   too many calls in this",
        "           account and Region: ask again",
        "           in a minute",
    ]
    assert max(map(len, shown)) <= 40


def test_what_is_piped_stands_in_whole_lines(fake_agent):
    fake_agent.fail(faults.Refuse("MISSING", detail="x " * 90))
    lines = status().stdout.splitlines()
    assert lines[0] == "no usable answer: refused"
    assert [line.split()[0] for line in lines[1:]] == ["task", "backend", "reason", "detail", "remedy"]
    assert lines == [line.rstrip() for line in lines]
