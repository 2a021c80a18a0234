"""However a process comes to its children: their holds count into the one state, and each owns its own alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from nursery import CORE
from programs import Done, run

from protectwork.testing import FakeAgent

LINGER_S = 0.3
SOON_ENOUGH_S = 1.25 * LINGER_S + 3.0  # a linger, a look at who lives, a call
WAYS = ["os.fork", "subprocess", "fork", "spawn", "forkserver", "pool fork", "pool spawn", "pool forkserver"]

# The parent begins, then two children; the parent ends first, then one child in order; the other dies while it holds,
# and the parent, which has nothing to do any more, is the one to notice. Files say who has come how far.
PROGRAM = """
import contextlib, json, multiprocessing, os, subprocess, sys, time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from protectwork import get_manager
from protectwork._clock import steady_now

here = Path(__file__).parent
BOUND_S = 60.0

def wait_for(*names):
    deadline = steady_now() + BOUND_S
    while not all((here / name).exists() for name in names):
        assert steady_now() < deadline, names
        time.sleep(0.005)

def say(name, **facts):
    (here / f".{name}").write_text(json.dumps({"pid": os.getpid(), "at": steady_now(), **facts}))
    (here / f".{name}").rename(here / name)

def child(number):
    inherited = get_manager().status().in_flight
    hold = get_manager().acquire(f"of child {number}")
    say(f"begun {number}", confirmed=hold.confirmed, inherited=inherited, own=get_manager().status().in_flight)
    wait_for(f"end {number}")
    say(f"ended {number}")
    if number == 1:
        os._exit(0)
    hold.release()
    say("released 0")

@contextlib.contextmanager
def children(way):
    if way == "os.fork":
        pids = [os.fork() or os._exit(child(number) or 0) for number in range(2)]
        yield
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0]
    elif way == "subprocess":
        started = [subprocess.Popen([sys.executable, __file__, "child", str(number)]) for number in range(2)]
        yield
        assert [process.wait(BOUND_S) for process in started] == [0, 0]
    elif way.startswith("pool "):
        context = multiprocessing.get_context(way.removeprefix("pool "))
        with contextlib.suppress(BrokenProcessPool), ProcessPoolExecutor(2, mp_context=context) as pool:
            asked = [pool.submit(child, number) for number in range(2)]
            yield
            asked[0].result(BOUND_S)
            asked[1].result(BOUND_S)  # breaks the pool, for it dies
    else:
        context = multiprocessing.get_context(way)
        started = [context.Process(target=child, args=(number,)) for number in range(2)]
        for process in started:
            process.start()
        yield
        for process in started:
            process.join(BOUND_S)
            assert process.exitcode == 0

def main(way):
    hold = get_manager().acquire("of the parent")
    say("begun parent", confirmed=hold.confirmed)
    with children(way):
        wait_for("begun 0", "begun 1")
        own = get_manager().status().in_flight
        say("ended parent", own=own)
        hold.release()
        time.sleep(0.8)  # for longer than it lingers: if anything were released now, the timeline would tell
        say("end 0")
        wait_for("released 0")
        time.sleep(0.8)
        say("end 1")
    wait_for("over")  # the test has seen the release

if __name__ == "__main__":
    main(sys.argv[1]) if sys.argv[1] != "child" else child(int(sys.argv[2]))
"""


def played(way: str, directory: Path, agent: FakeAgent) -> Done:
    (directory / "state").mkdir(mode=0o700)
    program = directory / "program.py"
    program.write_text(PROGRAM)
    environ = {"PROTECTWORK_STATE_DIR": str(directory / "state"), "PROTECTWORK_LINGER": f"{LINGER_S:g}"}
    return run(program, way, measured=False, loaded=CORE, **agent.environ(), **environ)


def over_once_released(directory: Path, agent: FakeAgent) -> None:
    """Let the parent go when the task is released after all work, or never will be."""
    agent.wait_until(lambda: (directory / "ended 1").exists() and not agent.protected, timeout_s=90.0)
    (directory / "over").touch()


def told(directory: Path, name: str) -> dict:
    return json.loads((directory / name).read_text())


@dataclass(frozen=True, kw_only=True)
class Played:
    """What became of one parent and its two children, and of the task that they were in."""

    done: Done
    directory: Path
    agent: FakeAgent


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Played]]:
    """All ways at once, each in a task of its own: most of the time, they wait."""
    with ExitStack() as stack, ThreadPoolExecutor(2 * len(WAYS)) as threads:
        directories = {way: tmp_path_factory.mktemp(way.replace(" ", "-")) for way in WAYS}
        agents = {way: stack.enter_context(FakeAgent()) for way in WAYS}
        for way in WAYS:
            threads.submit(over_once_released, directories[way], agents[way])
        done = {way: threads.submit(played, way, directories[way], agents[way]) for way in WAYS}
        yield {way: Played(done=done[way].result(), directory=directories[way], agent=agents[way]) for way in WAYS}


@pytest.mark.parametrize("way", WAYS)
def test_holds_of_children_count_into_one_state_and_each_process_owns_its_own_alone(
    plays: dict[str, Played], way: str
) -> None:
    play = plays[way]
    assert play.done.code == 0, play.done.err
    parent, *children = (told(play.directory, f"begun {name}") for name in ("parent", 0, 1))
    assert len({os.getpid(), parent["pid"], *(child["pid"] for child in children)}) == 4
    assert [child["inherited"] for child in children] == [0, 0]
    assert [child["own"] for child in children] == [1, 1]
    assert told(play.directory, "ended parent")["own"] == 1, "the parent's holds stay the parent's"
    assert [begun["confirmed"] for begun in (parent, *children)] == [True] * 3
    last = told(play.directory, "ended 1")["at"]
    assert play.agent.was_protected(parent["at"], last)
    assert 0 < play.agent.changes[-1].time - last < SOON_ENOUGH_S, "freed by its death, released by another process"
    assert (len(play.agent.enables), len(play.agent.disables)) == (1, 1)
