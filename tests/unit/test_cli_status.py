"""protectwork status: one GET, its exit codes, who holds, and its two forms."""

import json
import os
import shutil
import stat
import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import click
import pytest
from click.testing import CliRunner
from nursery import CORE
from programs import run

from protectwork._ledger import open_state
from protectwork.backends.agent import AgentBackend
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
    "in_flight",
    "processes",
    "shared_state",
}
NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as a second user")

# Looks as another user, who may not be able to import anything any more.
STRANGER = f"""
import os, sys
from protectwork._ledger import look_in
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
view = look_in(None, endpoint=sys.argv[1])
print(os.getpid(), view.available, view.told, view.reason)
"""


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
    place = shown.index("  remedy   too many calls in this")
    assert shown[place + 1 : place + 3] == ["           account and Region: ask again", "           in a minute"]
    assert max(map(len, shown)) <= 40


def test_what_is_piped_stands_in_whole_lines(fake_agent):
    fake_agent.fail(faults.Refuse("MISSING", detail="x " * 90))
    lines = status().stdout.splitlines()
    assert lines[0] == "no usable answer: refused"
    names = [line.split()[0] for line in lines[1:]]
    assert names == ["task", "backend", "reason", "detail", "remedy", "holds", "shared"]
    assert lines == [line.rstrip() for line in lines]


# --- who holds


@pytest.fixture
def state_dir(tmp_path, monkeypatch):
    """The state that the user has named."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("PROTECTWORK_STATE_DIR", str(path))
    return path


@pytest.fixture
def found(fake_agent, monkeypatch):
    """The state of a process of this task, in the directory that processes find by themselves."""
    monkeypatch.delenv("PROTECTWORK_STATE_DIR")
    monkeypatch.setenv("ECS_AGENT_URI", uri := fake_agent.uri_of(uuid4().hex))
    with closing(open_state(state_dir=None, endpoint=AgentBackend(uri).scope)) as state:
        state.publish(told(pid=7, label="found"))
        yield state
    shutil.rmtree(state.directory)


def told(*, pid=17, in_flight=1, label="batch-17", age_s=90.0):
    """What a process publishes."""
    return json.dumps({"pid": pid, "in_flight": in_flight, "holds": [{"label": label, "since": time.time() - age_s}]})


def published(state_dir, *texts):
    """The states of as many processes, each of which has told one of the texts."""
    states = []
    for text in texts:
        states.append(open_state(state_dir=str(state_dir), endpoint=""))
        states[-1].publish(text)
    return states


def close(states):
    for state in states:
        state.close()


def everything(directory: Path):
    """All that would show a write, a removal or a change, down to the time of the last one."""
    facts = {}
    for path in [directory, *directory.rglob("*")]:
        found = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(found.st_mode) else path.is_symlink() and path.readlink()
        facts[path] = (found.st_ino, found.st_mode, found.st_uid, found.st_mtime_ns, found.st_ctime_ns, content)
    return facts


def open_below(directory: Path):
    """The descriptors of this process that lead there; those of the agent's connections come and go."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of this very list
            found += [descriptor.name] if descriptor.readlink().is_relative_to(directory) else []
    return sorted(found)


def test_it_says_who_holds(fake_agent, state_dir):
    states = published(state_dir, told(), json.dumps({"pid": 5, "in_flight": 0, "holds": []}))
    _, found = as_json()
    idle, busy = found["processes"]
    assert found["in_flight"] == 1
    assert found["shared_state"] == {"directory": str(state_dir), "available": True, "reason": None}
    assert idle == {"pid": 5, "in_flight": 0, "holds": []}
    assert (busy["pid"], busy["in_flight"], busy["holds"][0]["label"]) == (17, 1, "batch-17")
    assert 90 <= busy["holds"][0]["age_s"] < 100
    lines = status().stdout.splitlines()
    assert lines[-5:-2] == [
        "  holds    1 in flight in 2 processes",
        "           pid 5: idle",
        "           pid 17: 1 in flight",
    ]
    assert lines[-2].startswith("             batch-17, for 1 min 3")
    assert lines[-1] == f"  shared   {state_dir}"
    close(states)


def test_the_dead_are_not_shown(fake_agent, state_dir):
    states = published(state_dir, told())
    (state_dir / "alive" / "0123456789ab").write_text(
        told(pid=18)
    )  # what a killed process leaves: nobody has it locked
    assert [process["pid"] for process in as_json()[1]["processes"]] == [17]
    close(states)


def test_more_holds_than_are_named_are_counted(fake_agent, state_dir):
    states = published(state_dir, told(in_flight=25))
    assert as_json()[1]["in_flight"] == 25
    assert status().stdout.splitlines()[-2] == "             and 24 more"
    close(states)


def test_it_only_looks(fake_agent, state_dir):
    states = published(state_dir, told(), "unreadable")
    (state_dir / "alive" / "0123456789ab").write_text(told())
    before, descriptors = everything(state_dir), open_below(state_dir)
    assert len(as_json()[1]["processes"]) == 2
    assert everything(state_dir) == before
    assert open_below(state_dir) == descriptors  # and no lock is kept without one
    close(states)


def test_nobody_has_shared_anything_yet_and_it_makes_no_directory(fake_agent, monkeypatch):
    monkeypatch.delenv("PROTECTWORK_STATE_DIR")
    uri = fake_agent.uri_of(uuid4().hex)
    for _ in range(2):  # the second time it would find what it had made the first time
        _, found = as_json(ECS_AGENT_URI=uri)
        assert (found["in_flight"], found["processes"]) == (0, [])
        assert found["shared_state"]["directory"] is found["shared_state"]["available"] is None
    assert "no process of this task has shared its state here yet" in status(ECS_AGENT_URI=uri).stdout


def test_where_it_is_off_nothing_is_known_of_anybody(state_dir):
    published_by = published(state_dir, told())
    _, found = as_json(PROTECTWORK_BACKEND="off")
    assert (found["in_flight"], found["processes"]) == (None, None)
    assert set(found["shared_state"].values()) == {None}
    close(published_by)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "[" * 60_000,
        '{"pid": 1',
        '{"pid": 1, "in_flight": 1}',
        '{"pid": 1, "in_flight": -1, "holds": []}',
        '{"pid": true, "in_flight": 1, "holds": []}',
        '{"pid": 1, "in_flight": 1e400, "holds": []}',
        f'{{"pid": {"9" * 4000}, "in_flight": 1, "holds": []}}',
        f'{{"pid": {"9" * 5000}, "in_flight": 1, "holds": []}}',
        '{"pid": 1, "in_flight": 1, "holds": "many"}',
    ],
    ids=lambda text: text[:30] or "nothing",
)
def test_what_a_process_tells_may_be_anything(text, fake_agent, state_dir):
    states = published(state_dir, text)
    code, found = as_json()
    assert (code, found["processes"]) == (1, [{"pid": None, "in_flight": None, "holds": []}])
    assert "  holds    0 in flight in 1 process\n           unreadable\n" in status().stdout
    close(states)


@pytest.mark.parametrize(
    "hold",
    [
        '"job"',
        '{"label": 1, "since": 1}',
        '{"label": "job"}',
        '{"label": "", "since": NaN}',
        '{"label": "", "since": 1e99}',
    ],
)
def test_a_hold_that_cannot_be_read_stays_in_the_count(hold, fake_agent, state_dir):
    states = published(state_dir, f'{{"pid": 1, "in_flight": 1, "holds": [{hold}]}}')
    assert as_json()[1]["processes"] == [{"pid": 1, "in_flight": 1, "holds": []}]
    assert "pid 1: 1 in flight\n  shared" in status().stdout
    close(states)


def test_labels_of_other_processes_forge_nothing_on_a_terminal(fake_agent, state_dir):
    states = published(state_dir, told(label="\x1b[2J\n  task     mine\u202e[bold]"), told(label="x" * 10_000))
    text = status().stdout
    assert r"\x1b[2J\n  task     mine\u202e[bold], for" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) < 250
    assert {len(process["holds"][0]["label"]) for process in as_json()[1]["processes"]} == {36, 200}
    close(states)


# --- the shared state cannot be used


def test_a_directory_that_is_not_there_is_told_with_the_remedy_and_the_exit_status_is_ecs_s(fake_agent, state_dir):
    fake_agent.task.enable()
    state_dir.rmdir()
    code, found = as_json()
    assert (code, found["in_flight"], found["processes"]) == (0, None, None)
    assert found["shared_state"]["available"] is False
    assert "state_dir must be a directory that exists" in found["shared_state"]["reason"]
    assert status().stdout.splitlines()[-1].startswith("  shared   not available: state_dir must be a directory that")
    assert not state_dir.exists()


def test_it_finds_what_the_processes_of_the_task_have_found(found):
    _, shown = as_json()
    assert shown["shared_state"] == {"directory": found.directory, "available": True, "reason": None}
    assert [process["pid"] for process in shown["processes"]] == [7]


def test_a_directory_that_others_may_write_to_is_not_looked_into(found):
    Path(found.directory).chmod(0o777)
    _, shown = as_json()
    assert (shown["processes"], shown["shared_state"]["available"]) == (None, False)
    assert "has mode 0777: remove it" in shown["shared_state"]["reason"]


@as_root
def test_what_belongs_to_another_user_is_said_to_and_still_looked_at(found):
    for path in (Path(found.directory), *Path(found.directory).rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    before = everything(Path(found.directory))
    _, shown = as_json()
    assert [process["pid"] for process in shown["processes"]] == [7]
    assert shown["shared_state"]["available"] is False
    assert f"belongs to user {NOBODY}, this process to user 0" in shown["shared_state"]["reason"]
    assert everything(Path(found.directory)) == before


@as_root
def test_another_user_learns_no_more_than_whose_it_is(found, fake_agent):
    done = run(STRANGER, AgentBackend(os.environ["ECS_AGENT_URI"]).scope, measured=False, loaded=CORE)
    pid, available, texts, reason = done.out.split(maxsplit=3)
    assert int(pid) != os.getpid()
    assert (available, texts) == ("False", "None")
    assert f"belongs to user 0, this process to user {NOBODY}" in reason


def test_planted_files_are_neither_followed_nor_waited_for(fake_agent, state_dir, tmp_path):
    states = published(state_dir, told())
    secret = tmp_path / "secret"
    secret.write_text(told(pid=99))
    os.mkfifo(state_dir / "alive" / "0123456789ab")
    (state_dir / "alive" / "0123456789ac").symlink_to(secret)
    (state_dir / "alive" / "0123456789ad").mkdir()
    assert [process["pid"] for process in as_json()[1]["processes"]] == [17]
    close(states)


def test_a_symbolic_link_in_the_place_of_the_alive_files_is_not_followed(fake_agent, state_dir, tmp_path):
    states = published(state_dir, told())
    (state_dir / "alive").rename(tmp_path / "elsewhere")
    (state_dir / "alive").symlink_to(tmp_path / "elsewhere")
    _, found = as_json()
    assert (found["processes"], found["shared_state"]["available"]) == (None, False)
    close(states)
