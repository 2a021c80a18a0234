"""Which backend is chosen, by the setting and the environment; and what is said where there is none."""

from __future__ import annotations

import logging
import sys

import pytest

from protectwork import ProtectionManager, Settings, State, get_manager
from protectwork._errors import SettingsError
from protectwork._process import reset_manager
from protectwork._types import Outcome
from protectwork._waiting import SystemClock
from protectwork.backends import choose_backend

AGENT = {"ECS_AGENT_URI": "http://169.254.170.2/api/id"}
METADATA = {"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/id"}


@pytest.fixture
def no_boto3(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] in {"boto3", "botocore"}]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "boto3", None)


def choose(name: str, environ: dict[str, str], *, allow: tuple[str, ...] = ()):
    return choose_backend(name, environ=environ, allow_endpoint=allow, clock=SystemClock())


CHOSEN = [
    ("auto", AGENT, "agent"),
    ("agent", AGENT, "agent"),
    ("auto", AGENT | METADATA, "agent"),
    ("agent", AGENT | METADATA, "agent"),
    ("auto", METADATA, "ecs"),
    ("auto", METADATA | {"ECS_AGENT_URI": ""}, "ecs"),
    ("ecs", METADATA, "ecs"),
    ("ecs", AGENT | METADATA, "ecs"),
    ("auto", {}, "off"),
    ("auto", {"ECS_AGENT_URI": ""}, "off"),
    ("auto", {"ECS_AGENT_URI": "", "ECS_CONTAINER_METADATA_URI_V4": ""}, "off"),
    ("off", AGENT | METADATA, "off"),
    ("off", {"ECS_AGENT_URI": "nonsense", "ECS_CONTAINER_METADATA_URI_V4": "nonsense"}, "off"),
]


@pytest.mark.parametrize(("name", "environ", "chosen"), CHOSEN)
def test_the_backend_follows_the_setting_and_the_environment(name, environ, chosen):
    assert choose(name, environ).name == chosen


@pytest.mark.parametrize(("environ", "chosen"), [(AGENT | METADATA, "agent"), (METADATA, "off"), ({}, "off")])
def test_without_boto3_auto_does_without_the_api(no_boto3, environ, chosen):
    assert choose("auto", environ).name == chosen


NOT_TO_BE_HAD = [
    ("agent", {}, "ECS_AGENT_URI", "agent 1.65.0"),
    ("agent", METADATA | {"ECS_AGENT_URI": ""}, "ECS_AGENT_URI", "agent 1.65.0"),
    ("auto", {"ECS_AGENT_URI": "http://8.8.8.8"}, "ECS_AGENT_URI", "allow_endpoint"),
    ("ecs", {}, "ECS_CONTAINER_METADATA_URI_V4", "give cluster and task"),
    ("ecs", AGENT | {"ECS_CONTAINER_METADATA_URI_V4": ""}, "ECS_CONTAINER_METADATA_URI_V4", "give cluster and task"),
    (
        "ecs",
        {"ECS_CONTAINER_METADATA_URI_V4": "http://8.8.8.8/v4/x"},
        "ECS_CONTAINER_METADATA_URI_V4",
        "allow_endpoint",
    ),
    ("auto", {"ECS_CONTAINER_METADATA_URI_V4": "nonsense"}, "ECS_CONTAINER_METADATA_URI_V4", "as ECS sets it"),
]


@pytest.mark.parametrize(("name", "environ", "setting", "remedy"), NOT_TO_BE_HAD)
def test_a_backend_that_cannot_be_had_is_an_error_with_setting_and_remedy(name, environ, setting, remedy):
    with pytest.raises(SettingsError) as caught:
        choose(name, environ)
    assert caught.value.setting == setting
    assert remedy in (caught.value.remedy or "")


def test_the_api_without_boto3_is_an_error_that_says_how_to_get_it(no_boto3):
    with pytest.raises(SettingsError) as caught:
        choose("ecs", METADATA)
    assert str(caught.value) == (
        'boto3 must be installed for the backend ecs, got nothing; pip install "protectwork[ecs]"'
    )


def test_a_name_that_is_none_is_an_error():
    with pytest.raises(SettingsError, match="backend must be auto, agent, ecs or off, got 'telepathy'"):
        choose("telepathy", AGENT)


def test_the_chosen_backend_allows_what_it_was_handed():
    environ = {"ECS_AGENT_URI": "http://agent.example.com"}
    assert choose("auto", environ, allow=("agent.example.com",)).name == "agent"
    environ = {"ECS_CONTAINER_METADATA_URI_V4": "http://agent.example.com/v4/x"}
    assert choose("auto", environ, allow=("agent.example.com",)).name == "ecs"


def test_off_answers_that_there_is_nothing_to_protect():
    backend = choose("off", {})
    answers = {backend.enable(5), backend.disable(), backend.get()}
    assert {answer.outcome for answer in answers} == {Outcome.NOT_A_SERVICE_TASK}


# --- by a manager


@pytest.fixture
def environ(monkeypatch):
    for name in (*AGENT, *METADATA, "AWS_EXECUTION_ENV", "PROTECTWORK_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    reset_manager()
    yield monkeypatch
    reset_manager()


def told(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_settings_and_environment_take_the_api_by_its_name(environ):
    environ.setenv("ECS_CONTAINER_METADATA_URI_V4", METADATA["ECS_CONTAINER_METADATA_URI_V4"])
    environ.setenv("PROTECTWORK_BACKEND", "ecs")
    assert Settings(backend="ecs").backend == "ecs"
    with ProtectionManager() as manager:
        assert (manager.status().backend, manager.status().state) == ("ecs", State.IDLE)
    assert get_manager().status().backend == "ecs"


def test_ecs_without_agent_and_boto3_is_one_warning_that_names_the_extra(environ, caplog, no_boto3):
    environ.setenv("ECS_CONTAINER_METADATA_URI_V4", METADATA["ECS_CONTAINER_METADATA_URI_V4"])
    assert get_manager().status().state is State.OFF
    [line] = told(caplog)
    assert line == (
        "ECS_CONTAINER_METADATA_URI_V4 is set, but nothing can be protected: ECS_AGENT_URI is missing, and for the ECS"
        ' API so is boto3: pip install "protectwork[ecs]"'
    )


def test_ecs_without_any_of_its_variables_is_one_warning_that_names_the_agent(environ, caplog):
    environ.setenv("AWS_EXECUTION_ENV", "AWS_ECS_EC2")
    assert get_manager().status().state is State.OFF
    [line] = told(caplog)
    assert line == (
        "AWS_EXECUTION_ENV is 'AWS_ECS_EC2', but nothing can be protected: ECS_AGENT_URI is missing: it takes container"
        " agent 1.65.0 or later, and has to reach this process"
    )


def test_where_the_api_is_chosen_nothing_is_said(environ, caplog):
    environ.setenv("AWS_EXECUTION_ENV", "AWS_ECS_EC2")
    environ.setenv("ECS_CONTAINER_METADATA_URI_V4", METADATA["ECS_CONTAINER_METADATA_URI_V4"])
    assert get_manager().status().backend == "ecs"
    assert told(caplog) == []


def test_a_bad_metadata_uri_breaks_no_job_and_is_told(environ, caplog):
    environ.setenv("ECS_CONTAINER_METADATA_URI_V4", "http://8.8.8.8/v4/x")
    with get_manager().protect("job") as hold:
        assert not hold.confirmed
    [line] = told(caplog)
    assert line.startswith("protection is off: ECS_CONTAINER_METADATA_URI_V4 must be a loopback, link-local or private")
