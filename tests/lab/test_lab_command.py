"""protectwork lab run: real services, as a log, at a terminal and for machines; whatever ends it, nothing is left."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from lab.services import gone, marked
from rich.console import Console

from protectwork.cli import cli
from protectwork.cli._agent_log import Line
from protectwork.cli._lab_screen import draw
from protectwork.cli._lab_verdict import Verdict
from protectwork.cli._repeated import repeated
from protectwork.lab import Cause, DeploymentFacts, KilledJob, Snapshot, TaskRow
from protectwork.lab._calls import CallCounts
from protectwork.lab._report import Report
from protectwork.lab.scenarios import SCENARIOS

LAB = (sys.executable, "-m", "protectwork", "lab", "run")
EXAMPLE = str(Path(__file__).parents[2] / "examples/lab_worker.py")
ONE_JOB = """
tell() {
    IFS=' ' read -r now _ < /proc/uptime
    echo '{"what":"'$1'","run":"'$$'","job":"one","task":"'$PROTECTWORK_LAB_TASK'","pid":'$$',"time":'$now'}' \\
        >> "$PROTECTWORK_LAB_JOURNAL"
}
trap 'tell finished; exit' TERM
tell started
sleep 1000 &
wait
"""
"""Has a job in flight, unprotected, and ends it at SIGTERM."""
BOUND_S = 60
CALLS = CallCounts(enables=3, disables=2, gets=1, granted=5, refused=1, throttled=0, failed=0)


@contextmanager
def running(*arguments: str, stdout: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """The command with what it started; at the end it and all of that are gone."""
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": ""}
    with subprocess.Popen([*LAB, *arguments], env=environ, stdout=stdout, stderr=subprocess.PIPE, text=True) as command:
        try:
            yield command
        finally:
            command.kill()


def run(*arguments: str) -> tuple[int, str, str]:
    with running(*arguments) as command:
        out, err = command.communicate(timeout=BOUND_S)
    return command.returncode, out, err


# --- whole runs


def test_a_scenario_runs_to_its_end_as_a_plain_log_and_writes_a_report(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = ("--desired", "2", "--scenario", "deploy-while-saturated", "--report", str(report))
    status, out, err = run(*options, "--", "sh", "-c", ONE_JOB)
    assert (status, err) == (0, "")
    *lines, verdict, stopped, deployment, price = out.splitlines()
    assert all(line[:7].strip().replace(".", "").isdecimal() and line[7:11] == " s  " for line in lines)
    assert any(line.endswith("worker-1: task stopping, deployment") for line in lines)
    assert verdict == "0 jobs of 4 killed in flight by scale-in or deployments."
    assert stopped == "Tasks stopped: 2 by deployment."
    assert " took " in deployment
    assert "protected and idle" in price
    found = json.loads(report.read_text())
    assert (found["ok"], found["killed"], found["verdict"]) == (True, [], verdict)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_every_process_and_tells_what_came_of_it(number: signal.Signals) -> None:
    with running("--desired", "1", "--", "sh", "-c", "echo $PROTECTWORK_LAB_ID; exec sleep 1000") as command:
        assert command.stdout
        mark = next(line for line in command.stdout if "worker-1 | " in line).rpartition(" ")[2].strip()
        there = marked(f"PROTECTWORK_LAB_ID={mark}")
        assert there
        for _ in range(3):  # as impatient as people are
            command.send_signal(number)
        out, err = command.communicate(timeout=BOUND_S)
    assert gone(there)
    assert (command.returncode, err) == (130, "")
    assert "No job was told of" in out


def test_at_a_terminal_it_is_drawn() -> None:
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with (
        os.fdopen(ours, "rb", buffering=0) as terminal,
        running("--desired", "1", "--", sys.executable, EXAMPLE, stdout=theirs) as command,
    ):
        os.close(theirs)
        screen = ""
        while not re.search(r"worker-\d +running +.*for \d+ s", screen):
            screen += read(terminal)
        command.send_signal(signal.SIGINT)
        while rest := read(terminal):
            screen += rest
        assert command.wait(BOUND_S) == 130
    assert "tasks: 1 desired, 1 there" in screen
    assert "jobs: " in screen


def read(terminal: Any) -> str:
    try:
        return str(terminal.read(4096).decode(errors="replace"))
    except OSError:  # the last one has closed it
        return ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument"),
        (("--scenario", "nonsense", "--", "sleep", "1"), "'nonsense' is not one of"),
        (("--desired", "-1", "--", "sleep", "1"), "-1 is not in the range"),
        (("--time-scale", "11", "--", "sleep", "1"), "11.0 is not in the range"),
        (("--stop-timeout", "soon", "--", "sleep", "1"), "--stop-timeout must be seconds, or a duration"),
        (("--report", "/nowhere/at/all", "--", "sleep", "1"), "'/nowhere/at/all'"),
        (
            ("--", "no-such-program"),
            "command must be a program that can be run, got 'no-such-program'; nothing of that",
        ),
        (("--", "/no/program"), "command must be a program that can be run, got '/no/program'; there is no such file"),
        (("--", __file__), "that file is not executable; a script may want its interpreter in front"),
    ],
)
def test_bad_arguments_are_told_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(cli, ["lab", "run", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    *_, last = done.stderr.splitlines()
    assert last.startswith("Error: ")
    assert said in last


def test_help_tells_of_every_scenario() -> None:
    told = CliRunner().invoke(cli, ["lab", "run", "--help"]).stdout
    assert all(f"  {name} " in told for name in SCENARIOS)


def test_what_cannot_be_shown_any_more_is_ended() -> None:
    def fail() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError), repeated(fail, 0.01):
        threading.Event().wait(BOUND_S)


# --- the verdict


def report(**fields: Any) -> Report:
    return Report(
        **{
            "seconds": 30.0,
            "started": 8,
            "finished": 8,
            "failed": 0,
            "in_flight": 0,
            "killed": (),
            "killed_otherwise": (),
            "idle_protected_s": 3.0,
            "task_s": 60.0,
            "deployments": (),
            "stops": {},
            "sigkills": 0,
            "calls": CALLS,
            **fields,
        }
    )


def killed(cause: Cause, *, ran_s: float = 2.0) -> KilledJob:
    return KilledJob(
        job="job 7", task="worker-2", cause=cause, ran_s=ran_s, protected_s=0.0, protected=False, begun_after=False
    )


def test_what_was_lost_comes_first() -> None:
    verdict = Verdict(report(killed=(killed(Cause.SCALE_IN), killed(Cause.DEPLOYMENT, ran_s=5.0))))
    assert not verdict.ok
    assert verdict.lines == [
        "2 jobs of 8 killed in flight by scale-in or deployments; the longest had run for 5.0 s: job 7 in worker-2.",
        "No task was stopped, and so no job was at risk.",
        "5% of the tasks' time was protected and idle; 6 calls, 1 refused, 0 throttled.",
    ]
    assert verdict.as_json()["verdict"] == verdict.lines[0]


def test_what_protection_does_not_cover_is_told_apart_and_is_no_failure() -> None:
    others = (killed(Cause.SPOT), killed(Cause.SPOT), killed(Cause.STOP_TASK), killed(Cause.CLOSE))
    verdict = Verdict(report(killed_otherwise=others))
    assert verdict.ok
    assert verdict.lines[:3] == [
        "0 jobs of 8 killed in flight by scale-in or deployments.",
        "Killed by what protection does not cover: 2 jobs by Spot interruption, 1 job by StopTask.",
        "1 job was still in flight at the end of the lab.",
    ]


def test_how_many_tasks_were_stopped_is_told_and_how_many_ended_by_themselves() -> None:
    stops = {Cause.SCALE_IN: 4, Cause.SPOT: 1, Cause.EXIT: 2, Cause.CLOSE: 3}
    assert Verdict(report(stops=stops)).lines[1:3] == [
        "Tasks stopped: 4 by scale-in, 1 by Spot interruption.",
        "2 tasks ended without being told to: see what the worker wrote.",
    ]


def test_without_a_job_nothing_was_shown() -> None:
    verdict = Verdict(report(started=0, finished=0))
    assert not verdict.ok
    assert verdict.lines[0] == "No job was told of: a worker does so with protectwork.lab.journal."


def test_a_deployment_that_is_not_complete_says_why() -> None:
    first = DeploymentFacts(id="ecs-svc/1", revision=1, began=0.0, completed=1.0, why_not=None)
    second = DeploymentFacts(id="ecs-svc/2", revision=2, began=5.0, completed=12.5, why_not=None)
    third = DeploymentFacts(id="ecs-svc/3", revision=3, began=20.0, completed=None, why_not="protected: worker-1")
    assert Verdict(report(deployments=(first, second, third))).lines[2:4] == [
        "Deployment ecs-svc/2 took 7.5 s.",
        "Deployment ecs-svc/3 is not complete: protected: worker-1.",
    ]


# --- the screen


def row(number: int, **fields: Any) -> TaskRow:
    return TaskRow(
        **{
            "name": f"worker-{number}",
            "arn": "",
            "deployment": "ecs-svc/1",
            "primary": True,
            "began": 0.0,
            "stopping": None,
            "protected": False,
            "expires_in_s": None,
            "jobs": (),
            **fields,
        }
    )


def drawn(tasks: list[TaskRow], *, width: int = 80, height: int = 24) -> list[str]:
    now = Snapshot(now=5.0, desired=3, blocked=True, tasks=tuple(tasks), deployments=())
    lines = [Line(second, f"event {second} " + "of a long line " * 9) for second in range(40)]
    console = Console(file=StringIO(), width=width, height=height)
    console.print(draw(now, report(), lines, title="scale-storm, seed 7", width=width, height=height))
    return str(console.file.getvalue()).rstrip("\n").split("\n")  # type: ignore[attr-defined] - it is a StringIO


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("tasks", [0, 3, 60])
def test_the_screen_fits_the_terminal_and_ends_with_what_happened_last(width: int, tasks: int) -> None:
    screen = drawn([row(number) for number in range(tasks)], width=width)
    assert all(len(line) <= width for line in screen)
    assert len(screen) < 24
    assert "event 39" in screen[-1]
    assert (tasks == 60) is any(line.startswith("and ") for line in screen)


def test_a_task_has_a_row_with_its_state_its_protection_and_its_jobs() -> None:
    screen = drawn(
        [
            row(1, protected=True, expires_in_s=71.6, jobs=("a", "b")),
            row(2, primary=False),
            row(3, stopping=Cause.SCALE_IN),
        ],
        width=100,
    )
    rows = [line.split("  ") for line in screen if line.startswith("worker-")]
    assert [[word.strip() for word in words if word.strip()] for words in rows] == [
        ["worker-1", "running", "for 72 s", "a, b"],
        ["worker-2", "running, old deployment", "no", "-"],
        ["worker-3", "stopping: scale-in", "no", "-"],
    ]
    assert "ECS refuses protection" in screen[1]
