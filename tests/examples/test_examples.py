"""Every example is run as its reader would run it: inside a task, as the agent saw it, and outside ECS."""

import os
import signal
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from commands import Command
from examples.example import BOUND_S, EXAMPLES, jobs
from nursery import CORE

from protectwork.testing import FakeAgent

COUNTS = {"script": 1, "threads": 4, "asyncio_worker": 6}  # the jobs of each example


@dataclass(frozen=True, kw_only=True)
class Runs:
    """One example, run inside a task and outside ECS."""

    agent: FakeAgent
    inside: tuple[int, str]
    outside: tuple[int, str]


def start(name, environ):
    return Command(str(EXAMPLES / f"{name}.py"), environ={**os.environ, **environ, "TZ": "UTC"}, loaded=CORE)


@pytest.fixture(scope="module")
def runs():
    """Every example, run inside a task and outside ECS; all at once, for they mostly wait."""
    with ExitStack() as stack:
        agents = {name: stack.enter_context(FakeAgent()) for name in COUNTS}
        inside = {name: stack.enter_context(start(name, agents[name].environ())) for name in COUNTS}
        outside = {name: stack.enter_context(start(name, {})) for name in COUNTS}
        yield {
            name: Runs(agent=agents[name], inside=outcome(inside[name]), outside=outcome(outside[name]))
            for name in COUNTS
        }


def outcome(process):
    _, log = process.communicate(timeout=BOUND_S)
    return process.returncode, log


def test_every_example_is_run():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == COUNTS.keys()


@pytest.mark.parametrize("name", COUNTS)
def test_an_example_is_protected_while_it_works_and_released_at_its_exit(name, runs):
    agent, (status, log) = runs[name].agent, runs[name].inside
    assert status == 0
    found = jobs(log, agent)
    assert len(found) == COUNTS[name]
    assert all(agent.was_protected(begins, ends) for begins, ends in found.values())
    assert not agent.protected


@pytest.mark.parametrize("name", COUNTS)
def test_an_example_needs_three_calls(name, runs):
    assert [call.call for call in runs[name].agent.calls] == ["get", "enable", "disable"]


@pytest.mark.parametrize("name", COUNTS)
def test_outside_ecs_an_example_does_the_same_work(name, runs):
    status, log = runs[name].outside
    assert status == 0
    assert len(jobs(log, runs[name].agent)) == COUNTS[name]


def test_the_asyncio_worker_finishes_what_it_has_begun_when_told_to_stop():
    with FakeAgent() as agent, start("asyncio_worker", agent.environ()) as worker:
        log = ""
        while "begins" not in log:
            log += worker.stderr.readline()
        worker.send_signal(signal.SIGTERM)
        log += worker.stderr.read()

    assert worker.returncode == 0
    found = jobs(log, agent)
    assert len(found) == 3
    assert all(agent.was_protected(begins, ends) for begins, ends in found.values())
    assert not agent.protected


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_fits_on_a_page(path):
    assert len(path.read_text().splitlines()) < 60
