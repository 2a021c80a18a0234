"""protectwork keeper: what it says, how it ends, and with which exit status."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from commands import Command, instead

from protectwork.cli import cli

KEEPER = ("-m", "protectwork", "keeper")
TIMEOUT_S = 20

# A keeper on a file system that is full from the first call on.
FULL = """
import errno, os
from protectwork._ledger import kernel
from protectwork.cli import cli

def full(name):
    if name == "symlink":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

kernel.hook = full
cli(["keeper"], prog_name="protectwork")
"""


def keeper(**environ):
    return CliRunner().invoke(cli, ["keeper"], env=environ)


@contextmanager
def running(state_dir, *command):
    """A keeper that has said that it looks after the task."""
    environ = {**os.environ, "PROTECTWORK_STATE_DIR": str(state_dir), "PROTECTWORK_LINGER": "0"}
    with Command(*(command or KEEPER), environ=environ) as process:
        line = process.stderr.readline()
        assert line == f"protectwork: looking after this task, by the agent; shared: {state_dir}\n"
        yield process


def ended(process):
    """What it said to the end, within a bound; one that hangs shows its stacks."""
    try:
        out, err = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        raise AssertionError(f"it did not end\n{process.communicate(timeout=TIMEOUT_S)[1]}") from None
    assert out == ""
    return process.returncode, err


@pytest.fixture
def state_dir(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state"


# --- it does not start


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({}, "ECS_AGENT_URI is not set"),
        ({"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}, "this is ECS, but ECS_AGENT_URI is missing"),
        ({"ECS_AGENT_URI": "http://127.0.0.1:1/api/x", "PROTECTWORK_BACKEND": "off"}, "unset PROTECTWORK_BACKEND"),
    ],
)
def test_where_it_is_off_it_says_why_and_ends_with_4(environ, why):
    result = keeper(**environ)
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.count("\n") == 1
    assert why in result.stderr


def test_bad_settings_are_told_with_their_rule_and_end_it_with_2():
    result = keeper(PROTECTWORK_LEASE="3s")
    assert result.exit_code == 2
    assert "PROTECTWORK_LEASE must be from 1 min to 48 h, got 3 s" in result.stderr


def test_a_misspelt_variable_is_told():
    assert "did you mean PROTECTWORK_LEASE" in keeper(PROTECTWORK_LEESE="2h").stderr


def test_it_does_not_look_after_nobody(fake_agent, tmp_path):
    result = keeper(PROTECTWORK_STATE_DIR=str(tmp_path / "nothing"))
    assert (result.exit_code, fake_agent.calls) == (3, ())
    assert "cannot see the other processes of the task: state_dir must be a directory that exists" in result.stderr
    assert "mkdir -m 2770" in result.stderr


def test_one_that_does_not_start_leaves_the_signals_as_they_were():
    before = signal.getsignal(signal.SIGCHLD), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    keeper()
    assert (signal.getsignal(signal.SIGCHLD), signal.pthread_sigmask(signal.SIG_BLOCK, ())) == before


def test_help_keeps_its_tables_in_lines():
    lines = CliRunner().invoke(cli, ["keeper", "--help"]).stdout.splitlines()
    assert "    exec python my_worker.py" in lines
    assert "    4  off: not inside ECS, or turned off by PROTECTWORK_BACKEND" in lines
    assert "keeper" in CliRunner().invoke(cli, ["--help"]).stdout


# --- it ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_and_it_leaves_no_file_of_its_own(number, fake_agent, state_dir):
    with running(state_dir) as process:
        process.send_signal(number)
        assert ended(process) == (0, "")
    assert list((state_dir / "alive").iterdir()) == []


def test_in_the_background_of_a_shell_it_is_no_business_of_ctrl_c(fake_agent, state_dir):
    as_a_shell_starts_it = ("sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, *KEEPER)
    with running(state_dir, *instead(*as_a_shell_starts_it)) as process:
        process.send_signal(signal.SIGINT)
        assert fake_agent.wait_until(lambda: bool(fake_agent.gets))  # it goes on to do what it is there for
        process.terminate()
        assert ended(process)[0] == 0


def test_it_ends_with_3_once_there_is_nobody_to_look_after_any_more(fake_agent, state_dir):
    with running(state_dir) as process:
        assert fake_agent.wait_until(lambda: bool(fake_agent.gets))
        shutil.rmtree(state_dir)
        code, err = ended(process)
    assert code == 3
    assert "does not see the other processes of the task any more: " in err


def test_a_full_file_system_does_not_end_it(fake_agent, state_dir):
    with running(state_dir):
        pass  # what the directory needs is in it from now on
    with running(state_dir, "-c", FULL) as process:
        assert "No space left on device" in process.stderr.readline()
        assert fake_agent.wait_until(lambda: bool(fake_agent.gets))
        process.terminate()
        assert ended(process)[0] == 0
