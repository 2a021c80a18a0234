"""Where the Celery adapter does nothing, in interpreters of its own: no call, no thread, no file, no hook."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from integrations.celery_programs import PROJECT, environ_of, outcome
from nursery import CELERY
from programs import run

from protectwork.testing import FakeAgent


@pytest.fixture
def environ(agent: FakeAgent, tmp_path: Path) -> dict[str, str]:
    return environ_of(agent, tmp_path)


TOLD = """
import sys
workers_own = {"celery.worker.consumer", "celery.worker.control", "protectwork_celery._step", "httpx"}
print(json.dumps([
    sorted(workers_own.intersection(sys.modules)),
    [thread.name for thread in threading.enumerate()],
]))
"""
NOTHING = [[], ["MainThread"]]


@pytest.mark.parametrize("program", ["import protectwork_celery", "import protectwork_celery.auto"])
def test_an_import_starts_no_thread_and_loads_no_worker(
    program: str, agent: FakeAgent, environ: dict[str, str], tmp_path: Path
) -> None:
    done = outcome(run(f"import json, threading\n{program}\n{TOLD}", **environ))
    assert json.loads(done.out) == NOTHING
    assert (agent.calls, list((tmp_path / "state").iterdir())) == ((), [])


def test_a_web_process_that_sends_tasks_is_left_alone(
    agent: FakeAgent, environ: dict[str, str], tmp_path: Path
) -> None:
    web = "app.conf.protectwork_lease = 600; protectwork_celery.install(app); ping.delay()"
    done = outcome(run(f"{PROJECT}\n{web}\n{TOLD}", **environ))
    assert json.loads(done.out) == NOTHING
    assert (agent.calls, list((tmp_path / "state").iterdir())) == ((), [])


@pytest.mark.parametrize("eager", ["ping.apply()", "app.conf.task_always_eager = True; ping.delay()"])
def test_eager_mode_makes_no_hold(eager: str, agent: FakeAgent, environ: dict[str, str], tmp_path: Path) -> None:
    done = outcome(run(f"{PROJECT}\nprotectwork_celery.install(app)\n{eager}\n{TOLD}", **environ))
    assert done.lines[0] == "ping"
    assert json.loads(done.lines[1]) == NOTHING
    assert (agent.calls, list((tmp_path / "state").iterdir())) == ((), [])


def test_celery_inspect_knows_the_command_and_leaves_its_own_task_alone(
    agent: FakeAgent, environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "proj.py").write_text(f"{PROJECT}\nprotectwork_celery.install(app)\n")
    program = tmp_path / "inspect_protection.py"
    program.write_text("""
import json, runpy, sys, threading
sys.argv = ["celery", "-A", "proj", "inspect", "--timeout", "0.2", "protection"]
try:
    runpy.run_module("celery", run_name="__main__")
finally:
    print(json.dumps([thread.name for thread in threading.enumerate() if "protectwork" in thread.name]))
""")
    done = run(program, cwd=tmp_path, **environ)
    assert "No nodes replied" in done.out + done.err
    assert json.loads(done.lines[-1]) == []
    assert (agent.calls, list((tmp_path / "state").iterdir())) == ((), [])


OUTSIDE = """
protectwork_celery.install(app)
taken = consumer()
print(taken.on_task_request.__name__, step_of(taken))
ping.delay(last=True)
work()
print([thread.name for thread in threading.enumerate() if "protectwork" in thread.name])
"""


def test_outside_ecs_the_worker_is_as_it_was(tmp_path: Path) -> None:
    done = outcome(run(PROJECT + OUTSIDE, loaded=CELERY, PROTECTWORK_STATE_DIR=str(tmp_path)))
    assert done.lines == ["_process_task None", "ping", "[]"]
    assert list(tmp_path.iterdir()) == []


def test_turned_off_inside_ecs_the_worker_is_as_it_was(agent: FakeAgent, environ: dict[str, str]) -> None:
    off = "app.conf.protectwork_backend = 'off'"
    assert outcome(run(f"{PROJECT}\n{off}\n{OUTSIDE}", loaded=CELERY, **environ)).lines == [
        "_process_task None",
        "ping",
        "[]",
    ]
    assert agent.calls == ()


def test_without_install_the_worker_is_as_it_was_and_after_uninstall_too(
    agent: FakeAgent, environ: dict[str, str]
) -> None:
    undone = OUTSIDE.replace("install(app)", "install(app); protectwork_celery.uninstall(app)")
    for program in (OUTSIDE.replace("protectwork_celery.install(app)", ""), undone):
        assert outcome(run(PROJECT + program, loaded=CELERY, **environ)).lines == ["_process_task None", "ping", "[]"]
    assert agent.calls == ()
