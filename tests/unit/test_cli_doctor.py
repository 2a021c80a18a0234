"""protectwork doctor: what it finds against the fakes, what it never changes, its exit codes and its two forms."""

import json
import os
import threading
import time

import pytest
from click.testing import CliRunner

from protectwork import ProtectionManager, Settings
from protectwork._ledger import look_in
from protectwork.backends.agent import AgentBackend
from protectwork.cli import cli
from protectwork.testing import FakeAgent, FakeEcsApi, faults

BOUND_S = 30.0
KEYS = {"status", "backend", "task_arn", "findings", "settings"}
CAUGHT, IGNORED = "SigCgt:\t0000000000004002\n", "SigCgt:\t0000000000000002\n"
# Of tini 0.19: while it waits by sigtimedwait, what it waits for does not count as blocked.
TINI = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000300000\nSigCgt:\t0000000000000000\n"
# Of what waits by a signalfd.
SIGNALFD = "SigBlk:\tfffffffe7bfa7a25\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n"
STATEMENT = (
    '{"Effect": "Allow", "Action": ["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"],'
    ' "Resource": "arn:aws:ecs:us-west-2:111122223333:task/work/*"}'
)


class Here:
    """A container on this machine: its environment, and its first process."""

    def __init__(self, init, agent, ecs):
        self.init, self.agent, self.ecs = init, agent, ecs
        self.environ = {**agent.environ(), **ecs.environ(), "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}
        del self.environ["AWS_ACCESS_KEY_ID"]
        self.environ["AWS_CONFIG_FILE"] = str(init / "config")
        self.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(init / "credentials")
        self.begins_with("python", CAUGHT)

    def begins_with(self, name, status):
        (self.init / "comm").write_text(f"{name}\n")
        (self.init / "status").write_text(f"Name:\t{name}\n{status}")

    def doctor(self, *options, **environ):
        environ = dict.fromkeys(os.environ, None) | {"PATH": os.environ["PATH"]} | self.environ | environ
        return CliRunner().invoke(cli, ["doctor", *options], env=environ)

    def found(self, *options, **environ):
        """The exit code, what was said, and the findings by what was looked at."""
        result = self.doctor("--json", *options, **environ)
        said = json.loads(result.stdout)
        assert said.keys() == KEYS
        return result.exit_code, said, {finding["check"]: finding for finding in said["findings"]}


@pytest.fixture
def here(tmp_path, monkeypatch):
    init = tmp_path / "init"
    init.mkdir()
    for room in ("_init_process", "_trial"):
        monkeypatch.setattr(f"protectwork.cli.{room}._INIT", init)
    with FakeEcsApi() as ecs, FakeAgent(ecs.task) as agent:
        yield Here(init, agent, ecs)
        assert look_in(None, endpoint=AgentBackend(agent.uri).scope).directory is None, "files are left behind"


@pytest.fixture
def protected(here):
    """One whose task is protected: nothing is asked for there, which would take a second."""
    here.ecs.task.enable(minutes=90)
    return here


def calls(here):
    return [str(call.call) for call in here.agent.calls]


# -- all is well


def test_of_a_task_with_which_all_is_well_it_says_so_and_changes_nothing(here):
    code, said, found = here.found()
    assert (code, said["status"], said["backend"], said["task_arn"]) == (0, "ok", "agent", here.ecs.task.arn)
    assert {check: finding["level"] for check, finding in found.items()} == {
        "settings": "ok",
        "backend": "ok",
        "get": "ok",
        "put": "ok",
        "role": "ok",
        "task": "ok",
        "stop": "note",
        "service": "ok",
        "state": "note",
        "init": "ok",
    }
    assert here.agent.changes == ()
    assert "answered in" in found["get"]["text"]
    assert calls(here) == ["get", "get", "disable"], "the second is asked in the name of all processes of the task"


def test_people_are_told_the_same(here):
    result = here.doctor()
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "ok       settings     every setting is within its rule"
    assert "lease                   2 h  default" in lines
    assert lines[-1] == "ok"


def test_the_ecs_api_is_examined_when_there_is_no_agent(here):
    del here.environ["ECS_AGENT_URI"]
    credentials = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}
    code, said, found = here.found(**credentials)
    assert (code, said["backend"]) == (1, "ecs")
    assert "metadata and boto3" in found["backend"]["text"]
    assert found["put"]["level"] == "ok"
    assert found["credentials"]["level"] == "warning"
    assert found["role"]["level"] == "warning"
    assert [call.operation for call in here.ecs.calls if call.operation != "metadata"] == [
        "GetTaskProtection",
        "GetTaskProtection",
        "UpdateTaskProtection",
    ]
    assert here.ecs.changes == ()


def test_credentials_of_a_file_hide_the_task_role_too(protected):
    (protected.init / "credentials").write_text("[default]\naws_access_key_id=AKIAAPP\naws_secret_access_key=s\n")
    code, _, found = protected.found("--backend", "ecs")
    assert (code, found["credentials"]["level"]) == (1, "warning")
    assert found["credentials"]["text"].startswith("AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials: boto3 takes")


def test_a_profile_that_is_not_there_hides_the_task_role_too(protected):
    _, _, found = protected.found("--backend", "ecs", AWS_PROFILE="no-such")
    assert "ProfileNotFound" in found["credentials"]["text"]
    assert "AWS_PROFILE" in found["credentials"]["remedy"]


def test_another_way_to_ecs_may_be_named_and_is_an_argument(protected):
    _, said, found = protected.found("--backend", "ecs", AWS_ACCESS_KEY_ID="AKIDEXAMPLE")
    assert said["settings"]["backend"] == {"value": "ecs", "origin": "argument"}
    assert found["backend"]["text"] == "ecs: chosen by argument"
    assert calls(protected) == []


def test_a_metadata_endpoint_that_is_not_there_is_not_blamed_on_the_way_to_ecs(here):
    code, _, found = here.found("--backend", "ecs", ECS_CONTAINER_METADATA_URI_V4="http://127.0.0.1:9/v4/x")
    assert code == 2
    assert found["get"]["remedy"] == found["task"]["remedy"] == METADATA
    assert METADATA not in found["task"]["text"], "once is enough"


METADATA = "look at ECS_CONTAINER_METADATA_URI_V4, which must be as ECS set it"


# -- outside ECS


def test_outside_ecs_there_is_nothing_wrong(here):
    here.environ.clear()
    code, said, found = here.found()
    assert (code, said["status"], said["backend"], said["task_arn"]) == (0, "ok", "off", None)
    assert set(found) == {"settings", "backend"}
    assert found["backend"]["level"] == "note"


def test_an_agent_that_is_too_old_is_broken(here, monkeypatch):
    monkeypatch.setattr("protectwork.backends.find_spec", lambda _: None)
    del here.environ["ECS_AGENT_URI"]
    code, _, found = here.found()
    assert code == 2
    assert "container agent 1.65.0" not in found["backend"]["text"]
    assert 'pip install "protectwork[ecs]"' in found["backend"]["remedy"]


def test_protection_that_is_turned_off_inside_ecs_is_worth_a_warning(here):
    code, _, found = here.found(PROTECTWORK_BACKEND="off")
    assert code == 1
    assert found["backend"]["text"] == "turned off by environment: nothing is protected"
    assert calls(here) == []


# -- settings


def test_settings_are_told_with_where_they_come_from(protected):
    _, said, _ = protected.found(PROTECTWORK_LINGER="90s", PROTECTWORK_RETIRE_WHEN_SUPERSEDED="")
    assert said["settings"]["linger"] == {"value": "1.5 min", "origin": "environment"}
    assert said["settings"]["retire_when_superseded"] == {"value": "off", "origin": "default"}


def test_a_bad_setting_is_broken_and_everything_else_is_looked_at_all_the_same(protected):
    code, said, found = protected.found(PROTECTWORK_LEASE="3")
    assert code == 2
    assert found["settings"]["text"] == "PROTECTWORK_LEASE must be from 1 min to 48 h, got 3 s: nothing is protected"
    assert found["settings"]["remedy"] == "mend or unset PROTECTWORK_LEASE"
    assert said["settings"]["lease"] == {"value": "2 h", "origin": "default"}
    assert found["get"]["level"] == "ok"


def test_a_variable_that_is_no_setting_is_told_with_the_one_that_is_meant(protected):
    code, _, found = protected.found(PROTECTWORK_LINGR="3")
    assert code == 1
    assert "did you mean PROTECTWORK_LINGER?" in found["settings"]["text"]


def test_an_address_that_may_not_be_called_is_broken(here):
    code, said, found = here.found(ECS_AGENT_URI="http://example.com/api/x")
    assert (code, said["backend"]) == (2, None)
    assert found["backend"]["text"].startswith("ECS_AGENT_URI must be")
    assert "allow_endpoint" in found["backend"]["remedy"]
    assert "allow_endpoint" not in found["backend"]["text"]


# -- what ECS says


@pytest.mark.parametrize(
    ("fault", "code", "remedy"),
    [
        (faults.Refuse("MISSING"), 1, "ask again later"),
        (faults.Throttle(), 1, "ask again in a minute"),
        (faults.Error(500), 2, "ask again"),
        (faults.Garbage(), 2, "ask again"),
        (faults.Ecs("cluster_not_found"), 2, "look at the name"),
    ],
    ids=str,
)
def test_without_a_usable_answer_it_says_why_and_asks_for_no_change(here, fault, code, remedy):
    here.agent.fail(fault, times=None, only="get")
    found_code, _, found = here.found()
    assert found_code == code
    assert remedy in found["get"]["remedy"]
    assert set(calls(here)) == {"get"}


def test_a_fault_that_passes_is_no_finding(protected):
    protected.agent.fail(faults.Error(500))
    code, _, found = protected.found()
    assert (code, found["get"]["level"]) == (0, "ok")
    assert calls(protected) == ["get", "get"]


@pytest.mark.parametrize(("only", "check"), [("get", "get"), ("disable", "put")])
def test_missing_permissions_come_with_the_statement_that_grants_them(here, only, check):
    here.agent.fail(faults.Ecs("access_denied"), times=None, only=only)
    code, _, found = here.found()
    assert code == 2
    assert found[check]["remedy"] == f"allow it on the task role: {STATEMENT}"


def test_a_missing_task_role_is_told_apart_from_missing_permissions(here):
    code, _, found = here.found(ECS_AGENT_URI=here.agent.uri_of("nocreds"))
    assert code == 2
    assert "needs a task role" in found["get"]["remedy"]
    assert "taskRoleArn" in found["role"]["remedy"]


def test_a_task_of_no_service_is_told_to_turn_it_off(here):
    here.agent.fail(faults.Refuse("TASK_NOT_VALID"), times=None)
    code, _, found = here.found()
    assert code == 1
    assert found["service"]["remedy"] == "set PROTECTWORK_BACKEND=off"
    assert found["get"]["level"] == "ok"


def test_where_nobody_listens_it_is_broken(here):
    here.agent.close()
    code, _, found = here.found()
    assert code == 2
    assert "inside the task" in found["get"]["remedy"]


# -- what it never changes


def test_the_expiry_of_protection_that_stands_is_left_alone(here):
    here.ecs.task.enable(minutes=90)
    changes = here.agent.changes
    code, _, found = here.found()
    assert (code, found["put"]["level"]) == (0, "note")
    assert "would replace the expiry" in found["put"]["text"]
    assert "1 h 29 min more" in found["get"]["text"]
    assert calls(here) == ["get"]
    assert here.agent.changes == changes


def manager_in(here, **settings):
    return ProtectionManager(AgentBackend(here.agent.uri), settings=Settings(linger=0, **settings))


def test_while_others_hold_nothing_is_asked_for_and_unprotected_work_is_told(here):
    here.agent.fail(faults.Refuse("DEPLOYMENT_BLOCKED"), times=None, only="enable")
    with manager_in(here) as manager, manager.protect("job"):
        here.agent.wait_until(lambda: here.agent.enables, timeout_s=BOUND_S)
        ends = time.monotonic() + BOUND_S
        while not (told := look_in(None, endpoint=AgentBackend(here.agent.uri).scope).told) or '"job"' not in told[0]:
            assert time.monotonic() < ends
            time.sleep(0.01)
        code, _, found = here.found()
        assert here.agent.disables == ()
    assert code == 1
    assert found["put"]["text"] == "not tried: work is in flight, or the task is protected by now"
    assert found["work"]["text"] == "1 in flight, and the task is not protected"


def test_work_that_begins_while_it_asks_is_protected_once_it_is_told_so(here):
    here.agent.fail(faults.Delay(1.0), only="disable")
    examined = threading.Thread(target=here.found)
    with manager_in(here) as manager:
        examined.start()
        here.agent.wait_until(lambda: here.agent.disables, timeout_s=BOUND_S)
        hold = manager.acquire("job", timeout=0)
        examined.join(BOUND_S)
        ends = time.monotonic() + BOUND_S
        while not hold.confirmed:
            assert time.monotonic() < ends
            time.sleep(0.01)
        assert here.agent.protected
        [disable], [enable] = here.agent.disables, here.agent.enables
        assert disable.time < enable.time
        hold.release()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as a second user")
def test_a_state_of_another_user_is_neither_made_nor_used(here):
    os.chown(here.init, 65534, 65534)
    code, _, found = here.found()
    assert code == 0
    assert "run it as the user of the workers" in found["put"]["text"]
    assert here.agent.disables == ()


def test_a_state_that_cannot_be_shared_is_told_and_nothing_is_asked_for(here):
    code, _, found = here.found(PROTECTWORK_STATE_DIR="/nonexistent/state")
    assert code == 1
    assert "mkdir -m 2770" in found["state"]["text"]
    assert "cannot see the others" in found["put"]["text"]
    assert here.agent.disables == ()


# -- --try


def test_only_with_try_it_protects_and_releases_the_task(here):
    code, said, found = here.found("--try", PROTECTWORK_ACQUIRE_TIMEOUT="0")
    assert (code, found["put"]["level"]) == (0, "ok"), "it has a patience of its own"
    assert said["settings"]["acquire_timeout"] == {"value": "0 s", "origin": "environment"}
    assert [change.protected for change in here.agent.changes] == [True, False]
    [enable] = here.agent.enables
    assert enable.minutes == 1


def test_with_try_the_protection_of_running_work_is_joined_and_never_shortened(here):
    with manager_in(here) as manager, manager.protect("job") as hold:
        assert hold.confirmed
        expires = here.ecs.task.expires
        code, _, found = here.found("--try")
        assert (code, found["put"]["level"]) == (0, "ok")
        assert here.ecs.task.expires >= expires
        assert here.agent.protected


def test_with_try_a_refusal_is_told(here):
    here.agent.fail(faults.Refuse("DEPLOYMENT_BLOCKED"), times=None, only="enable")
    code, _, found = here.found("--try")
    assert code == 1
    assert "DEPLOYMENT_BLOCKED" in found["put"]["text"]


# -- the task around it


@pytest.mark.parametrize(
    ("name", "status", "level", "remedy"),
    [
        ("sh", IGNORED, "warning", "exec"),
        ("python", IGNORED, "warning", "let it handle SIGTERM"),
        ("bash", CAUGHT, "ok", None),
        ("tini", TINI, "ok", None),
        ("docker-init", TINI, "ok", None),
        ("init", TINI, "ok", None),
        ("dumb-init", TINI, "ok", None),
        ("catatonit", SIGNALFD, "ok", None),
    ],
)
def test_a_first_process_that_swallows_sigterm_is_told(protected, name, status, level, remedy):
    protected.begins_with(name, status)
    _, _, found = protected.found()
    assert found["init"]["level"] == level
    assert remedy is None or remedy in found["init"]["remedy"]


def test_a_task_that_stops_is_told(protected):
    protected.ecs.placement.stop()
    code, _, found = protected.found()
    assert code == 1
    assert "is stopping this task" in found["stop"]["text"]


def test_metadata_that_cannot_be_read_matters_only_to_those_who_need_it(protected):
    protected.ecs.fail(faults.Error(500), times=None, only="metadata")
    assert protected.found()[2]["task"]["level"] == "note"
    assert protected.found(PROTECTWORK_RETIRE_WHEN_SUPERSEDED="on")[2]["task"]["level"] == "warning"


CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "PROTECTWORK_RETIRE_WHEN_SUPERSEDED": "on"}


def test_retiring_is_examined_where_it_is_on(protected):
    _, _, found = protected.found(**CREDENTIALS)
    assert found["retire"]["level"] == "ok"
    protected.ecs.service.deploy()
    _, _, found = protected.found(**CREDENTIALS)
    assert (found["retire"]["level"], found["retire"]["text"][:32]) == ("note", "a newer deployment is primary: o")


def test_retiring_without_permissions_comes_with_its_statement(protected):
    protected.ecs.fail(faults.Ecs("access_denied"), times=None, only="describe-services")
    code, _, found = protected.found(**CREDENTIALS)
    assert code == 1
    prefix = "arn:aws:ecs:us-west-2:111122223333"
    assert found["retire"]["remedy"] == (
        'allow it on the task role: {"Effect": "Allow", "Action": ["ecs:DescribeServices", "ecs:DescribeTasks"],'
        f' "Resource": ["{prefix}:task/work/*", "{prefix}:service/work/*"]}}'
    )


def test_retiring_without_boto3_says_what_it_does_not_see(protected, monkeypatch):
    monkeypatch.setattr("protectwork.backends.find_spec", lambda _: None)
    _, _, found = protected.found(PROTECTWORK_RETIRE_WHEN_SUPERSEDED="on")
    assert found["retire"]["remedy"] == 'pip install "protectwork[ecs]"'


def test_no_secret_is_ever_shown(protected):
    secrets = {
        "AWS_ACCESS_KEY_ID": "AKIDSECRET",
        "AWS_SECRET_ACCESS_KEY": "topsecret",
        "AWS_SESSION_TOKEN": "secrettoken",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "secretauth",
    }
    for options in ((), ("--json",), ("--backend", "ecs")):
        output = protected.doctor(*options, **secrets).output
        assert not any(secret in output for secret in secrets.values())
