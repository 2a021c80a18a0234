"""protectwork demo: run for real, whole, in its three forms at once; and its judge, which has to find what is wrong."""

import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from io import StringIO
from itertools import pairwise

import pytest
from rich.console import Console

from protectwork.cli._agent_log import Line
from protectwork.cli._demo_drawing import draw
from protectwork.cli._demo_jobs import LABELS, Job
from protectwork.cli._demo_report import judge
from protectwork.testing import FakeAgent, FakeClock

DEMO = (sys.executable, "-m", "protectwork", "demo")
TIMEOUT_S = 55


# --- as a whole


@pytest.fixture(scope="module")
def demos():
    """What became of: --json; a plain log; and a terminal of 80 columns, at which ECS refuses."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    pipe = subprocess.PIPE
    environ = {
        **os.environ,
        "PROTECTWORK_LINGER": "nonsense",
        "TERM": "xterm",
    }  # the caller's are not those of the demo
    with (
        subprocess.Popen([*DEMO, "--json"], env=environ, stdout=pipe, stderr=pipe, text=True) as for_machines,
        subprocess.Popen(DEMO, env=environ, stdout=pipe, stderr=pipe, text=True) as plain,
        subprocess.Popen([*DEMO, "--fault", "refuse"], env=environ, stdout=theirs, stderr=theirs) as refused,
        os.fdopen(ours, "rb", buffering=0) as terminal,
    ):
        os.close(theirs)
        screen = "".join(iter(lambda: read(terminal), ""))
        yield {
            "json": (*for_machines.communicate(timeout=TIMEOUT_S), for_machines.returncode),
            "plain": (*plain.communicate(timeout=TIMEOUT_S), plain.returncode),
            "refused": (screen, "", refused.wait(TIMEOUT_S)),
        }


def read(terminal):
    try:
        return terminal.read(4096).decode(errors="replace")
    except OSError:  # the last one has closed it
        return ""


@pytest.fixture
def report(demos):
    out, err, status = demos["json"]
    assert (err, status) == ("", 0)
    return json.loads(out)


def test_every_kind_of_job_runs_and_is_protected_throughout(report):
    assert tuple(job["label"] for job in report["jobs"]) == LABELS
    for job in report["jobs"]:
        assert any(span["start"] <= job["start"] < job["end"] <= span["end"] for span in report["protection"])
    assert (report["ok"], report["violations"]) == (True, [])


def test_two_jobs_overlap_and_the_first_one_ends(report):
    first, second = (next(job for job in report["jobs"] if job["label"] == label) for label in ("thread A", "thread B"))
    assert first["start"] < second["start"] < first["end"] < second["end"]


def test_protection_is_released_between_the_jobs_and_at_the_end(report):
    assert len(report["protection"]) == 3
    assert report["protection"][-1]["end"] < report["seconds"]


def test_it_makes_few_calls_and_never_two_within_a_second(report):
    assert [call["call"] for call in report["calls"]].count("enable") == 3
    assert len(report["calls"]) == 8
    # Two processes make them, each with a cap of its own; what the agent sees is as regular as the way there.
    assert all(after["time"] - before["time"] > 0.5 for before, after in within_one_process(report["calls"]))


def within_one_process(calls):
    starts = [place for place, call in enumerate(calls) if call["call"] == "get"]
    return [pair for place, pair in enumerate(pairwise(calls)) if place + 1 not in starts]


def test_it_ends_by_itself_within_a_minute(report):
    assert report["seconds"] < 50


def test_without_a_terminal_it_is_a_plain_log(demos):
    out, err, status = demos["plain"]
    assert (err, status) == ("", 0)
    *lines, verdict = out.splitlines()
    assert all(line[:6].strip().replace(".", "").isdecimal() and line[6:10] == " s  " for line in lines)
    assert [line for line in lines if line.endswith("thread A ends, 1 in flight")]
    assert verdict.startswith("All 7 jobs were protected throughout; the idle task was free for ")
    assert len(verdict) <= 80


def test_unprotected_work_is_told_and_the_status_is_1(demos):
    screen, _, status = demos["refused"]
    assert status == 1
    assert "In flight unprotected, by the agent's own timeline: sync for 1.2 s" in " ".join(screen.split())


def test_at_a_terminal_it_is_drawn(demos):
    screen, _, _ = demos["refused"]
    assert all(label in screen for label in (*LABELS, "protection"))
    assert "!!!" in screen


def test_an_interrupt_ends_it_with_130_and_no_traceback():
    with subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert "get: HTTP 200" in demo.stdout.readline()
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=TIMEOUT_S)
    assert (demo.returncode, err) == (130, "")


# --- the judge


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def agent(clock):
    with FakeAgent(clock=clock) as agent:
        yield agent


def test_a_job_that_protection_came_too_late_for_is_found(agent, clock):
    began = agent.now()
    clock.advance(1)
    agent.task.enable()
    clock.advance(1)
    report = judge(agent, [Job("early", began, began + 2), Job("later", began + 1, began + 2)], began=began)
    assert [(outage.label, outage.span.start - began, outage.span.end - began) for outage in report.outages] == [
        ("early", 0, 1)
    ]
    assert not report.ok
    assert report.verdict.endswith("early for 1.0 s.")


def test_a_job_that_lost_its_protection_half_way_is_found(agent, clock):
    began = agent.now()
    agent.task.enable(minutes=1)
    clock.advance(90)
    report = judge(agent, [Job("long", began)], began=began)
    assert [outage.span.end - outage.span.start for outage in report.outages] == [30]
    assert [(span.start - began, span.end - began) for span in report.protection] == [(0, 60)]


def test_without_a_job_nothing_was_shown(agent):
    report = judge(agent, [], began=agent.now())
    assert not report.ok
    assert report.verdict.endswith("there was no job.")


# --- the drawing


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_drawing_fits_the_terminal_and_shows_what_was_unprotected(width, agent, clock):
    began = agent.now()
    clock.advance(4)
    agent.task.enable()
    clock.advance(8)
    report = judge(agent, [Job("sync", began + 2, began + 10)], began=began)
    lines = [Line(began + second, f"event {second} " + "of a long line " * 9) for second in range(40)]
    drawn = drawing(report, lines, width=width)
    bars = {line[:12].strip(): line[13:].strip() for line in drawn}
    assert all(len(line) <= width for line in drawn)
    assert len(drawn) < 24
    assert re.fullmatch("!+━+", bars["sync"])
    assert bars["sync"].count("!") < bars["sync"].count("━")
    assert re.fullmatch("·+█+", bars["protection"])
    assert bars["protection"].count("·") < bars["protection"].count("█")
    assert "event 39" in drawn[-1]


def test_a_terminal_that_knows_only_ascii_gets_no_more(agent, clock):
    began = agent.now()
    agent.task.enable()
    clock.advance(20)
    report = judge(agent, [Job("sync", began + 2, began + 10)], began=began)
    assert all(line.isascii() for line in drawing(report, [], width=80, ascii_only=True))


def drawing(report, lines, *, width, ascii_only=False):
    console = Console(file=StringIO(), width=width, height=24)
    console.print(draw(report, lines, width=width, height=24, ascii_only=ascii_only))
    return console.file.getvalue().rstrip("\n").split("\n")
