"""protectwork demo: run for real, whole, a few times as fast; and how it looks."""

import json
import os
import re
import signal
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from protectwork.cli._agent_log import Line
from protectwork.cli._demo_drawing import draw
from protectwork.cli._demo_side import Cell, Half, Look

DEMO = (sys.executable, "-m", "protectwork", "demo", "--seconds", "10")
TIMEOUT_S = 120


# --- as a whole


def demo(*options: str) -> "subprocess.Popen[str]":
    environ = {**os.environ, "PROTECTWORK_LEASE": "nonsense"}  # the caller's is not that of the demo
    pipe = subprocess.PIPE
    return subprocess.Popen([*DEMO, *options], env=environ, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture(scope="module")
def found():
    with demo("--json") as command:
        out, err = command.communicate(timeout=TIMEOUT_S)
    assert (err, command.returncode) == ("", 0)
    return json.loads(out)


def test_with_protection_no_job_is_lost_and_the_service_is_scaled_in_all_the_same(found):
    report = found["with"]
    assert (found["ok"], report["killed"], report["killed_otherwise"]) == (True, [], [])
    assert report["stops"]["scale-in"] == 4
    assert report["calls"]["enables"] >= 6


def test_without_it_jobs_are_lost_in_the_same_scale_in(found):
    report = found["without"]
    assert report["stops"]["scale-in"] == 4
    assert {job["cause"] for job in report["killed"]} == {"scale-in"}
    assert report["calls"]["made"] == 0


def test_both_have_work_to_do_before_it_and_after_it(found):
    # Each task has two jobs a round, and where protection holds up the scale-in more of them are there for the last.
    assert found["without"]["started"] == 28 <= found["with"]["started"]


def test_an_interrupt_ends_it_with_130_and_no_traceback():
    with demo() as command:
        assert command.stdout.readline() == "Two ECS services of 6 tasks are scaled in to 2 while their jobs run.\n"
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=TIMEOUT_S)
    assert (command.returncode, err) == (130, "")


# --- the drawing

UNPROTECTED = {
    "worker-1": [Look(0.0, Cell.IDLE), Look(5.0, Cell.BUSY), Look(20.0, Cell.IDLE)],
    "worker-2": [Look(0.0, Cell.IDLE), Look(5.0, Cell.BUSY), Look(20.0, Cell.LOST)],
}
PROTECTED = {"worker-10": [Look(0.0, Cell.IDLE), Look(5.0, Cell.BUSY_PROTECTED), Look(20.0, Cell.IDLE_PROTECTED)]}
HALVES = [
    Half(name="without protection", looks=UNPROTECTED, started=3, lost=1),
    Half(name="with protectwork", looks=PROTECTED, started=3, lost=0),
]


LINES = [Line(second, f"event {second} " + "of a long line " * 9) for second in range(40)]


def drawing(*, width=100, lines=LINES, ascii_only=False):
    console = Console(file=StringIO(), width=width, height=24)
    console.print(
        draw(HALVES, lines, title="demo", lasts_s=45.0, width=width, height=24, ascii_only=ascii_only), highlight=False
    )
    return console.file.getvalue().rstrip("\n").split("\n")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_drawing_fits_the_terminal_and_ends_with_what_happened_last(width):
    drawn = drawing(width=width)
    assert all(len(line) <= width for line in drawn)
    assert len(drawn) < 24
    assert "event 39" in drawn[-1]


def test_each_task_has_a_bar_and_the_two_services_stand_side_by_side():
    drawn = drawing()
    names, first, second, figures = drawn[2:6]
    assert names.split("  ")[0] == "without protection"
    assert "with protectwork" in names
    assert re.fullmatch(r"1  · +━ +· +10 · +█ +─ *", first)
    assert re.fullmatch(r"2  · +━ +✗ *", second)
    assert re.fullmatch(r"1 of 3 jobs lost +0 of 3 jobs lost *", figures)


def test_a_terminal_that_knows_only_ascii_gets_no_more():
    assert all(line.isascii() for line in drawing(lines=[], ascii_only=True))
