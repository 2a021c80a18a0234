"""The console script as such: what it needs, how it starts, how it is interrupted."""

import signal
import subprocess
import sys

import commands
import pytest
from click.testing import CliRunner
from commands import Command

from protectwork import __version__
from protectwork.__main__ import main
from protectwork.cli import cli
from protectwork.testing import faults

PROTECTWORK = ("-m", "protectwork")
BOUND_S = 60.0


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_there_is_one_line_with_the_remedy(missing, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, missing, None)  # as good as not installed
    with pytest.raises(SystemExit) as exit_info:
        main()
    out, err = capsys.readouterr()
    assert (exit_info.value.code, out) == (2, "")
    assert err.count("\n") == 1
    assert 'pip install "protectwork[cli]"' in err


def test_an_extra_that_is_there_but_broken_is_not_called_missing(monkeypatch, tmp_path):
    (tmp_path / "rich.py").write_text("import a_dependency_of_rich")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "rich", raising=False)
    with pytest.raises(ModuleNotFoundError, match="a_dependency_of_rich"):
        main()


def test_help_names_every_command():
    done = commands.run(*PROTECTWORK, "--help")
    for command in ("status", "run", "doctor", "fleet", "fake-agent", "demo"):
        assert f"  {command} " in done.stdout


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("status", "    3  no usable answer: refused, throttled, ambiguous, unavailable,"),
        ("run", "     75  --on-unprotected raise, and the task is not protected: not started"),
        ("fake-agent", "    export ECS_AGENT_URI=http://127.0.0.1:8099/api/good"),
        ("doctor", "    1  there are warnings"),
        ("fleet", "    0  ECS has answered, whatever it says of single tasks"),
        ("demo", "    1  some was, or there was none"),
    ],
)
def test_help_keeps_its_tables_in_lines(command, line):
    assert line in CliRunner().invoke(cli, [command, "--help"]).stdout.splitlines()


def test_the_version_is_that_of_the_package():
    done = commands.run(*PROTECTWORK, "--version")
    assert done.stdout == f"protectwork {__version__}\n"


def test_run_loads_neither_rich_tables_nor_the_fakes():
    code = "import sys; import protectwork.cli.run; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"httpx", "rich.console", "protectwork.testing", "http.server"}


def test_an_interrupt_ends_a_command_with_130_and_no_traceback(fake_agent):
    fake_agent.fail(faults.Hang(), times=None)
    with Command(*PROTECTWORK, "status") as status:
        assert fake_agent.wait_until(lambda: bool(fake_agent.gets), timeout_s=BOUND_S)
        status.send_signal(signal.SIGINT)
        out, err = status.communicate(timeout=BOUND_S)
    assert (status.returncode, out, err) == (130, "", "")
