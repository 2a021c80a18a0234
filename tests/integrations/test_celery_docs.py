"""What docs/celery.md says: its blocks run, its table is complete, and what it says of a worker is so."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from celery import Celery
from integrations.celery_programs import PROJECT
from integrations.celery_worker.redis_server import RedisServer
from nursery import CELERY
from programs import run
from protectwork_celery import install
from protectwork_celery._install import options_of
from protectwork_celery._options import Options, configured_settings

from protectwork.testing import FakeAgent

PAGE = (Path(__file__).parents[2] / "docs/celery.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_block_of_the_page_runs_and_is_in_force() -> None:
    names: dict[str, Celery] = {}
    exec("\n".join(BLOCKS), names)
    app, django = names["app"], Celery(set_as_current=False)
    assert options_of(app) == Options.of(
        tasks=["reports.*", "billing.close_month"], exclude="reports.ping", when_refused="pause"
    )
    assert configured_settings(app) == {"lease": 5400.0, "when_refused": "pause"}
    django.config_from_object({name: names[name] for name in names if name.isupper()}, namespace="CELERY")
    assert configured_settings(django) == {"lease": 5400.0}
    assert Options().completed(django).exclude == ("shop.tasks.count_visits",)
    app.close()
    django.close()


def test_the_page_knows_every_argument_of_install_and_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert rows == [name for name in inspect.signature(install).parameters if name != "app"]


ZERO_CODE = """
from celery.signals import worker_ready
worker_ready.connect(lambda **_: ping.delay(last=True), weak=False)
"""


def celery(directory: Path, project: str, arguments: str) -> Path:
    """A program that is `celery` with these arguments, beside a project."""
    (directory / "proj.py").write_text(project)
    program = directory / "celery_command.py"
    program.write_text(f"""
import runpy, sys
sys.argv = {["celery", *arguments.split()]!r}
if __name__ == "__main__":
    runpy.run_module("celery", run_name="__main__")
""")
    return program


def test_without_a_line_of_code_the_job_is_protected(tmp_path: Path) -> None:
    (line,) = re.findall(r"^celery (-A proj worker .*)$", PAGE, re.MULTILINE)
    with FakeAgent() as agent:
        command = celery(tmp_path, PROJECT + ZERO_CODE, f"{line} --pool solo --without-mingle --without-gossip")
        done = run(command, cwd=tmp_path, loaded=CELERY, **agent.environ(), PROTECTWORK_LINGER="0")
        assert (done.code, "ping" in done.lines) == (0, True), done.err
        assert [call.call for call in agent.calls] == ["get", "enable", "disable"]


def test_without_a_line_of_code_celery_inspect_does_not_know_the_command(tmp_path: Path) -> None:
    done = run(celery(tmp_path, PROJECT, "-A proj inspect protection"), cwd=tmp_path, loaded=CELERY)
    assert "Command protection not recognized" in done.out + done.err
    assert done.code == 2


CHILDREN = """
import os, signal
import protectwork, protectwork_celery
from celery import Celery
from celery.signals import worker_ready

app = Celery("proj", broker=os.environ["TEST_BROKER"])
app.conf.worker_redirect_stdouts = False
app.conf.protectwork_lease = 3600
protectwork_celery.install(app)

@app.task
def tell():
    with protectwork.protect("own") as hold:
        print(protectwork.get_manager().settings.lease_s, hold.confirmed, flush=True)
    os.kill(os.getppid(), signal.SIGTERM)

worker_ready.connect(lambda **_: tell.delay(), weak=False)
"""


@pytest.mark.parametrize(("method", "lease_s"), [("fork", 3600.0), ("spawn", 1200.0)])
def test_spawned_children_have_their_settings_from_the_environment_and_forked_ones_know(
    method: str, lease_s: float, tmp_path: Path
) -> None:
    project = f"{CHILDREN}\napp.conf.worker_pool_start_method = {method!r}\n"
    with RedisServer(tmp_path / "redis") as server, FakeAgent() as agent:
        environ = {**agent.environ(), "TEST_BROKER": server.database(), "PYTHONPATH": str(tmp_path)}
        command = celery(tmp_path, project, "-A proj worker --concurrency 1 --without-mingle --without-gossip")
        environ |= {"PROTECTWORK_LEASE": "20m", "PROTECTWORK_LINGER": "0"}
        done = run(command, cwd=tmp_path, loaded=CELERY if method == "fork" else (), **environ)
        assert f"{lease_s} True" in done.lines, done.err
        assert [call.minutes for call in agent.enables] == [60]
