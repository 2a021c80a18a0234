"""protectwork keeper beside real workers: judged by the agent's timeline, counted by the agent's calls."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import commands
import pytest
from commands import Command, instead

from protectwork.testing import FakeAgent, faults

from .actors import wait_until
from .fast_clock import FastClock

PROTECTWORK = ("-m", "protectwork")
BOUND_S = 60.0
LINGER_S = 1.0
RELEASED_S = 1.25 * LINGER_S + 3.0  # after a death: the linger, a look, a call
ENDED_S = 2.0 + 3.5  # what is promised, and what a busy machine may take to end a process; a call has 6 s

# Holds until a line comes, releases, and ends with its input.
WORKER = """
import os, sys
from protectwork import get_manager
hold = get_manager().acquire(sys.argv[1])
print(os.getpid(), hold.confirmed, flush=True)
sys.stdin.readline()
hold.release()
print("released", flush=True)
sys.stdin.readline()
"""
# Holds the interpreter for longer than its lease.
FROZEN = """
import ctypes, os, sys
from processes.fast_clock import FastClock
from protectwork import ProtectionManager
hold = ProtectionManager(clock=eval(sys.argv[1])).acquire("one long call into C")
print(os.getpid(), hold.confirmed, flush=True)
ctypes.PyDLL(None).usleep(int(sys.argv[2]))  # does not release the interpreter, as CDLL does
print("awake", flush=True)
sys.stdin.readline()
"""
FAST_KEEPER = """
import os, sys
from processes.fast_clock import FastClock
from protectwork import ProtectionManager
from protectwork.cli.keeper import Vigil
with Vigil() as vigil:
    print(os.getpid(), file=sys.stderr, flush=True)
    sys.exit(vigil.run(ProtectionManager(clock=eval(sys.argv[1]), vigilant=True)))
"""
# Becomes a keeper that inherits an orphan, as the first process of a container does; the orphan ends with its input.
FOSTER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
child = os.fork()
if child == 0:
    if os.fork() == 0:
        sys.stdin.read()
    os._exit(0)
os.waitpid(child, 0)
os.execv(sys.executable, [sys.executable, "-m", "protectwork", "keeper"])
"""


@pytest.fixture
def environ(tmp_path: Path, fake_agent: FakeAgent) -> dict[str, str]:
    """That of every process of the task."""
    return task_environ(tmp_path, fake_agent)


def task_environ(tmp_path: Path, agent: FakeAgent) -> dict[str, str]:
    (tmp_path / "state").mkdir(mode=0o700)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PROTECTWORK_", "ECS_", "AWS_"))}
    settings = {"PROTECTWORK_STATE_DIR": str(tmp_path / "state"), "PROTECTWORK_LINGER": f"{LINGER_S:g}"}
    return {**ours, **agent.environ(), **settings, "PYTHONPATH": str(Path(__file__).parents[1])}


@contextmanager
def keeper(environ: dict[str, str]) -> Iterator[Command]:
    """A keeper that says that it has begun."""
    with Command(*PROTECTWORK, "keeper", environ=environ) as process:
        assert process.stderr.readline().startswith("protectwork: looking after this task")
        yield process


@contextmanager
def worker(environ: dict[str, str], label: str = "job") -> Iterator[Command]:
    """A worker in the middle of its job."""
    with Command("-c", WORKER, label, environ=environ) as process:
        assert process.stdout.readline().split() == [str(process.pid), "True"]
        yield process


def told(process: Command) -> None:
    """Tell a worker to do the next thing."""
    process.stdin.write("\n")
    process.stdin.flush()


def calls(agent: FakeAgent) -> list[str]:
    return [str(call.call) for call in agent.puts]


def test_two_keepers_release_once_what_a_killed_worker_held(environ, fake_agent):
    with keeper(environ) as one, keeper(environ) as other, worker(environ) as victim:
        assert len({os.getpid(), one.pid, other.pid, victim.pid}) == 4
        began = fake_agent.now()
        victim.kill()
        victim.wait(BOUND_S)
        killed = fake_agent.now()
        assert fake_agent.wait_until(lambda: not fake_agent.protected, timeout_s=BOUND_S)
        released = fake_agent.changes[-1].time
        assert fake_agent.was_protected(began, killed)
        assert released - killed <= RELEASED_S
        one.terminate()
        other.terminate()
        assert (one.wait(BOUND_S), other.wait(BOUND_S)) == (0, 0)
    assert calls(fake_agent) == ["enable", "disable"]


def test_a_keeper_that_comes_and_goes_while_others_work_changes_nothing(environ, fake_agent):
    with worker(environ) as busy:
        began = fake_agent.now()
        with keeper(environ) as late:
            assert late.pid != busy.pid
            looks_at(environ, processes=2)
            late.terminate()
            terminated = time.monotonic()
            assert late.wait(BOUND_S) == 0
            assert time.monotonic() - terminated <= ENDED_S
        assert fake_agent.was_protected(began, fake_agent.now())
        assert calls(fake_agent) == ["enable"]
        told(busy)
        assert busy.stdout.readline() == "released\n"
        assert fake_agent.wait_until(lambda: not fake_agent.protected, timeout_s=BOUND_S)
    assert calls(fake_agent) == ["enable", "disable"]


def looks_at(environ: dict[str, str], *, processes: int) -> list[dict[str, object]]:
    """The processes that `protectwork status` shows, once all of them have told what they do."""
    found: list[dict[str, object]] = []

    def all_have_told() -> bool:
        done = commands.run(*PROTECTWORK, "status", "--json", environ=environ)
        found[:] = json.loads(done.stdout)["processes"]
        return sum(process["pid"] is not None for process in found) == processes

    wait_until(all_have_told)
    return found


def test_status_shows_who_holds_of_all_living_processes(environ):
    began = time.monotonic()
    with keeper(environ) as idle, worker(environ, "batch-17") as one, worker(environ, "batch-18") as other:
        shown = {process["pid"]: process for process in looks_at(environ, processes=3)}
        assert shown.keys() == {idle.pid, one.pid, other.pid}
        assert [shown[process.pid]["in_flight"] for process in (idle, one, other)] == [0, 1, 1]
        (held,) = shown[one.pid]["holds"]
        assert held["label"] == "batch-17"
        assert 0 <= held["age_s"] < time.monotonic() - began
        other.kill()
        other.wait(BOUND_S)
        assert {process["pid"] for process in looks_at(environ, processes=2)} == {idle.pid, one.pid}


def test_a_keeper_alone_releases_what_a_dead_container_left_behind(environ, fake_agent):
    fake_agent.task.enable(minutes=120)
    with keeper(environ):
        assert fake_agent.wait_until(lambda: not fake_agent.protected, timeout_s=BOUND_S)
    assert [str(call.call) for call in fake_agent.calls] == ["get", "disable"]


def test_a_keeper_ends_in_time_while_the_agent_hangs(environ, fake_agent):
    fake_agent.fail(faults.Hang(), times=None)
    with keeper(environ) as process:
        assert fake_agent.wait_until(lambda: bool(fake_agent.calls), timeout_s=BOUND_S)
        process.terminate()
        terminated = time.monotonic()
        assert process.wait(BOUND_S) == 0
        assert time.monotonic() - terminated <= ENDED_S


@contextmanager
def frozen(environ: dict[str, str], clock: FastClock, *, for_s: float) -> Iterator[Command]:
    """A worker whose interpreter has just been held."""
    program = ("-c", FROZEN, repr(clock), f"{for_s * 1e6:.0f}")
    settings = {"PROTECTWORK_LEASE": "2m", "PROTECTWORK_ACQUIRE_TIMEOUT": "5m"}
    with Command(*program, environ=environ | settings) as process:
        assert process.stdout.readline().split() == [str(process.pid), "True"]
        yield process


def test_a_worker_whose_interpreter_is_held_past_its_lease_stays_protected_by_a_keeper(tmp_path):
    clock = FastClock(speed=30.0)  # a lease of 2 min is over after 4 s
    with FakeAgent(clock=clock) as agent:
        environ = task_environ(tmp_path, agent)
        with Command("-c", FAST_KEEPER, repr(clock), environ=environ) as sibling:
            assert sibling.stderr.readline() == f"{sibling.pid}\n"
            with frozen(environ, clock, for_s=6.0) as worker:
                assert worker.pid != sibling.pid
                began = agent.now()
                assert worker.stdout.readline() == "awake\n"
                ended = agent.now()
                assert ended - began > 150.0
                assert agent.was_protected(began, ended)
            sibling.terminate()
            assert sibling.wait(BOUND_S) == 0


def test_without_a_keeper_such_a_worker_loses_its_protection(tmp_path):
    clock = FastClock(speed=30.0)
    with FakeAgent(clock=clock) as agent, frozen(task_environ(tmp_path, agent), clock, for_s=5.0) as worker:
        began = agent.now()
        assert worker.stdout.readline() == "awake\n"
        assert agent.unprotected_spans(began, agent.now())


UNSHARE = ("unshare", "--pid", "--fork", "--kill-child")


def may_unshare() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


def children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@pytest.mark.skipif(not may_unshare(), reason="needs the right to make a process the first of a namespace")
def test_as_the_first_process_of_a_container_it_ends_at_a_sigterm(environ):
    with Command(*instead(*UNSHARE, sys.executable, *PROTECTWORK, "keeper"), environ=environ) as unshare:
        assert "looking after" in unshare.stderr.readline()
        (first,) = children(unshare.pid)
        os.kill(first, signal.SIGTERM)
        assert unshare.wait(BOUND_S) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to a process that is not the first")
def test_an_orphan_that_it_inherits_leaves_no_zombie(environ):
    with Command("-c", FOSTER, environ=environ) as process:
        assert "looking after" in process.stderr.readline()
        assert len(children(process.pid)) == 1
        process.stdin.close()
        wait_until(lambda: not children(process.pid))
