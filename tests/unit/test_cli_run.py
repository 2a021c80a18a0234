"""protectwork run: real programs, real signals; protection is judged by the agent's timeline."""

import os
import pty
import signal
import subprocess
import sys
from contextlib import contextmanager

import commands
import pytest
from commands import Command

from protectwork._clock import steady_now
from protectwork.testing import FakeAgent, faults

ARGUMENTS = ("-m", "protectwork", "run")
RUN = (sys.executable, *ARGUMENTS)
TIMEOUT_S = 120

# Tells when it is ready, and each signal that it gets; ends with 7 at SIGTERM, and in any case.
LISTENER = """
import signal, sys
def told(number, frame):
    print(signal.Signals(number).name, flush=True)
    if number == signal.SIGTERM:
        sys.exit(7)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, told)
signal.alarm(300)
print("ready", flush=True)
while True:
    signal.pause()
"""
# Does not end at SIGTERM, but when its input does.
STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: print("not yet", flush=True))
print("ready", flush=True)
sys.stdin.read()
"""


def run(*arguments, stdin="", environ=None):
    return commands.run(*ARGUMENTS, *arguments, text=stdin, environ={**os.environ, **(environ or {})})


def python(code):
    return ["--", sys.executable, "-c", code]


@contextmanager
def listening():
    """A listener that `protectwork run` has started."""
    with Command(*ARGUMENTS, *python(LISTENER)) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.terminate()  # a kill would leave the program behind
            process.wait(TIMEOUT_S)


# --- exit status


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$", 137), ("kill -PIPE $$", 141), ("kill -INT $$", 130)],
)
def test_the_exit_status_is_that_of_the_program(script, status):
    assert run("--", "sh", "-c", script).returncode == status


def test_a_program_that_is_not_there_is_127(tmp_path):
    done = run("--", str(tmp_path / "nothing"))
    assert (done.returncode, done.stdout) == (127, "")
    assert "nothing: No such file or directory" in done.stderr


def test_a_program_that_cannot_be_executed_is_126(tmp_path):
    (tmp_path / "data").write_text("data")
    done = run("--", str(tmp_path / "data"))
    assert done.returncode == 126
    assert "Permission denied" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Missing argument"),
        (["--lable", "x", "--", "true"], "No such option"),
        (["--max-duration", "soon", "--", "true"], "a duration such as 90s, 30m or 2h, got 'soon'"),
        (["--max-duration", "49h", "--", "true"], "max_duration must be"),
        (["--on-unprotected", "pray", "--", "true"], "'run', 'raise'"),
    ],
)
def test_wrong_usage_is_2_and_starts_nothing(arguments, says):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_options_after_the_program_are_its_own():
    assert run("echo", "--label", "x").stdout == "--label x\n"


def test_the_input_and_the_output_are_the_programs():
    assert run("--", "sh", "-c", "cat; echo oops >&2", stdin="hello").stdout == "hello"


def test_descriptors_that_the_shell_opened_reach_the_program():
    reads, writes = os.pipe()
    with Command(*ARGUMENTS, *python(f"import os; os.write({writes}, b'hello')"), pass_fds=[writes]) as process:
        assert process.wait(TIMEOUT_S) == 0
    os.close(writes)
    with os.fdopen(reads) as pipe:
        assert pipe.read() == "hello"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only the first process gets the orphans")
def test_orphans_that_come_to_it_as_the_first_process_are_collected():
    as_the_first = (
        "import ctypes, os, sys; assert ctypes.CDLL(None).prctl(36, 1) == 0;"  # PR_SET_CHILD_SUBREAPER
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    leaves_one_behind = (
        "import os, subprocess, time\n"
        "orphan = subprocess.check_output(['sh', '-c', 'sleep 0.1 >&- & echo $!'], text=True).strip()\n"
        "ends = time.monotonic() + 10\n"
        "while os.path.exists(f'/proc/{orphan}') and time.monotonic() < ends: time.sleep(0.01)\n"
        "print(os.path.exists(f'/proc/{orphan}'))"
    )
    command = [sys.executable, "-c", as_the_first, *RUN, *python(leaves_one_behind)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    assert done.stdout == "False\n"


# --- protection


@pytest.fixture(scope="module")
def protected_run():
    """The agent that saw one whole run of a program, and when the program started and ended."""
    program = python("from protectwork._clock import steady_now as now; print(now()); print(now())")
    with FakeAgent() as agent:
        done = run("--max-duration", "5h", *program, environ=agent.environ())
        assert done.returncode == 0
        yield agent, *map(float, done.stdout.split())


def test_the_task_is_protected_from_before_the_program_starts_until_it_has_ended(protected_run):
    agent, starts, ends = protected_run
    assert starts < ends
    assert agent.was_protected(starts, ends)


def test_the_task_is_released_when_the_program_has_ended(protected_run):
    agent, _, _ = protected_run
    assert not agent.protected
    assert [call.call for call in agent.calls] == ["get", "enable", "disable"]


def test_max_duration_makes_the_lease_long_enough(protected_run):
    agent, _, _ = protected_run
    assert agent.enables[0].minutes >= 300


def test_a_program_that_insists_on_protection_is_not_started_without(fake_agent):
    fake_agent.fail(faults.Refuse(), times=None, only="enable")
    done = run("--on-unprotected", "raise", "--label", "nightly", "--", "echo", "started")
    assert (done.returncode, done.stdout) == (75, "")
    assert "'nightly' was not started: the task is not protected: DEPLOYMENT_BLOCKED" in done.stderr


def test_any_other_program_is_started_all_the_same(fake_agent):
    fake_agent.fail(faults.Refuse(), times=None, only="enable")
    done = run("--", "echo", "started")
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert "DEPLOYMENT_BLOCKED" in done.stderr


def test_a_bad_environment_does_not_break_the_job(monkeypatch):
    monkeypatch.setenv("PROTECTWORK_LEASE", "soon")
    done = run("--", "echo", "started")
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert "PROTECTWORK_LEASE must be" in done.stderr


def test_a_bad_environment_stops_the_job_that_insists_on_protection(monkeypatch):
    monkeypatch.setenv("PROTECTWORK_LEASE", "soon")
    done = run("--on-unprotected", "raise", "--", "echo", "started")
    assert (done.returncode, done.stdout) == (2, "")
    assert "PROTECTWORK_LEASE must be" in done.stderr


# --- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1], ids=lambda number: number.name)
def test_signals_are_forwarded_and_the_program_decides(number):
    with listening() as process:
        process.send_signal(number)
        assert process.stdout.readline() == f"{number.name}\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "SIGTERM\n"
        assert process.wait(TIMEOUT_S) == 7


def test_after_sigterm_the_task_stays_protected_until_the_program_has_ended(fake_agent):
    with Command(*ARGUMENTS, *python(STUBBORN)) as process:
        assert process.stdout.readline() == "ready\n"
        starts = steady_now()
        process.terminate()
        assert process.stdout.readline() == "not yet\n"
        ends = steady_now()
        process.stdin.close()
        assert process.wait(TIMEOUT_S) == 0
    assert fake_agent.was_protected(starts, ends)
    assert [call.call for call in fake_agent.calls] == ["get", "enable", "disable"]


def test_a_sigterm_that_comes_before_the_program_keeps_it_from_starting(fake_agent):
    fake_agent.fail(faults.Hang(), times=None)
    with Command(*ARGUMENTS, "--", "echo", "started") as process:
        assert fake_agent.wait_until(lambda: bool(fake_agent.gets), timeout_s=TIMEOUT_S)
        sent = steady_now()
        process.terminate()
        out, _ = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (143, "")
    assert steady_now() - sent < 5  # the call that hangs is not waited for


@contextmanager
def at_a_terminal(*command):
    """A command in the foreground of a terminal of its own, and the other end of that terminal."""
    ours, theirs = pty.openpty()
    login = "import os, sys; os.login_tty(int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"
    with (
        os.fdopen(ours, "r+b", buffering=0) as terminal,
        subprocess.Popen([sys.executable, "-c", login, str(theirs), *command], pass_fds=[theirs]) as process,
    ):
        os.close(theirs)
        try:
            yield process, terminal
        finally:
            process.terminate()  # not kill: that would leave the program behind


def read_until(terminal, word):
    seen = b""
    while word not in seen:
        seen += terminal.read(1024)
    return seen


def test_ctrl_c_at_a_terminal_reaches_the_program_once():
    with at_a_terminal(*RUN, *python(LISTENER)) as (process, terminal):
        seen = read_until(terminal, b"ready")
        terminal.write(b"\x03")
        seen += read_until(terminal, b"SIGINT")
        process.send_signal(signal.SIGUSR1)  # what else comes of the interrupt comes before this
        seen += read_until(terminal, b"SIGUSR1")
        assert seen.count(b"SIGINT") == 1


def test_an_interrupt_by_hand_is_forwarded_at_a_terminal_too():
    with at_a_terminal(*RUN, *python(LISTENER)) as (process, terminal):
        read_until(terminal, b"ready")
        process.send_signal(signal.SIGINT)
        read_until(terminal, b"SIGINT")
        process.terminate()
        read_until(terminal, b"SIGTERM")
        assert process.wait(TIMEOUT_S) == 7


def test_a_terminal_that_hangs_up_is_told_to_the_program(tmp_path):
    told = tmp_path / "told"
    program = python(
        "import pathlib, signal, sys\n"
        f"signal.signal(signal.SIGHUP, lambda *_: sys.exit(pathlib.Path({str(told)!r}).write_text('SIGHUP') and 9))\n"
        "signal.alarm(300); print('ready', flush=True); signal.pause()"
    )
    with at_a_terminal(*RUN, *program) as (process, terminal):
        read_until(terminal, b"ready\r\n")  # the whole line: a hang-up in the middle of it is an error of the program's
        terminal.close()
        assert process.wait(TIMEOUT_S) == 9
    assert told.read_text() == "SIGHUP"
