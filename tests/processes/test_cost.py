"""What the shared state costs a process: at most four system calls when it gets work or has none, and none in between.

What counts are the calls of the thread that holds, and those of the keeper's turn in which the gate is left. Apart are
watches, which a busy process does every second or two (three `stat`, and a turn that reads the record), the line for
people, told once a second at most, and the entries of calls to ECS. Here another process keeps the lease all the time,
so none is made.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from programs import run

from protectwork.testing import FakeAgent

MOST = 4
ROUNDS = 5

Traced = list[tuple[int, float, str]]
UNCOUNTED = (
    "mmap",
    "munmap",
    "brk",
    "madvise",
    "mprotect",
    "futex",
    "clock_nanosleep",
    "<...",
    "write(2",
    "sched_yield",
)

PROGRAM = """
import json, os, sys, threading, time
from protectwork import ProtectionManager, Settings
from protectwork._ledger import kernel
from protectwork.backends.agent import AgentBackend

uri, directory, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
phase, costs, turns, behind = "", [], {}, []

def note(name):
    # A turn of the keeper is known by its frame, which is kept, so that no other takes its place.
    frame, turn, apart = sys._getframe(1), None, False
    while frame.f_globals["__name__"] == kernel.__name__:
        frame = frame.f_back
    why = frame.f_code.co_name
    while frame:
        apart = apart or frame.f_code.co_name in ("look", "_post")
        if frame.f_code.co_name == "_turn":
            turn = turns.setdefault(frame, len(turns))
        frame = frame.f_back
    costs.append([len(behind), phase, turn, apart, name, why])

def mark(name):
    global phase
    phase = name
    os.write(2, f"<{name}>".encode())

def new():
    return ProtectionManager(AgentBackend(uri), settings=Settings(linger=0.2, state_dir=directory))

def asleep():
    keeper = manager._keeper
    while keeper.book.state.joined or keeper.wakes_at < keeper.now():  # its linger has ended, and all that follows
        time.sleep(0.01)

def head():
    return manager._keeper.book._head.number

(up, tell_up), (end, never) = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    os.close(never)
    with new().protect("keeps the lease") as hold:
        assert hold.confirmed
        os.write(tell_up, b"up")
        os.read(end, 1)  # until the other has ended
    os._exit(0)
assert os.read(up, 2) == b"up"
manager = new()
with manager.protect("takes part"):
    pass
asleep()
kernel.hook = note
for _ in range(rounds):
    before = head()
    mark("work comes")
    with manager.protect("outer") as hold:
        mark("work goes on")
        assert hold.confirmed
        for _ in range(1000):
            with manager.protect("inner"):
                pass
        behind.append(head() - before)
        mark("work goes")
    asleep()
    mark("over")
threads = [int(number) for number in os.listdir("/proc/self/task")]
print(json.dumps([[os.getpid(), pid], threads, behind, costs]))
sys.stdout.flush()
os._exit(0)
"""


@dataclass(frozen=True)
class Cost:
    """A system call: in which round and phase, in which turn of the keeper if in one, and which function made it."""

    round: int
    phase: str
    turn: int | None
    apart: bool
    name: str
    why: str


def test_a_process_pays_at_most_four_system_calls_when_it_gets_work_or_has_none_and_none_in_between(
    tmp_path: Path,
) -> None:
    with FakeAgent() as agent:
        done = run(PROGRAM, agent.uri, str(tmp_path), str(ROUNDS), measured=False)
        assert done.code == 0, done.err
        pids, _, behind, found = json.loads(done.out)
        assert len({os.getpid(), *pids}) == 3
        assert [str(call.call) for call in agent.calls] == ["get", "enable"], "no calls to ECS, whose entries cost more"
    costs = [Cost(*cost) for cost in found]
    by_holds = [cost for cost in costs if cost.turn is None]
    leaving = {cost.turn for cost in costs if cost.why == "leave"}
    by_leaving = [cost for cost in costs if cost.turn in leaving and not cost.apart]
    others = [cost for cost in costs if cost.turn is not None and cost not in by_leaving]
    for what, some in ("work comes", by_holds), ("work goes", by_leaving), ("watches and the line", others):
        print(
            f"{what}, {ROUNDS} times:",
            *(f"{cost} {n}" for cost, n in Counter(f"{c.name}({c.why})" for c in some).items()),
        )
    assert behind == [0] * ROUNDS, "the record did not change: each change is one more to read"
    assert {cost.phase for cost in by_holds} == {"work comes"}, "a hold costs something only where there was none"
    coming, going = Counter(cost.round for cost in by_holds), Counter(cost.turn for cost in by_leaving)
    assert len(coming) == len(going) == ROUNDS
    assert max(coming.values()) <= MOST
    assert max(going.values()) <= MOST


@pytest.mark.external
def test_strace_counts_the_same_system_calls(tmp_path: Path) -> None:
    """Apart are memory, waiting, and what the test itself writes."""
    trace, state = tmp_path / "trace", tmp_path / "state"
    state.mkdir(mode=0o700)
    with FakeAgent() as agent:
        command = ["strace", "-f", "-ttt", "-o", str(trace), sys.executable, "-c", PROGRAM, agent.uri, str(state), "3"]
        done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    (main, _), threads, *_ = json.loads(done.stdout)
    lines = [line.split(maxsplit=2) for line in trace.read_text().splitlines()]
    calls = [(int(thread), float(at), call) for thread, at, call in lines if int(thread) in threads]
    phases = phases_of(calls, main=main)
    assert len(phases["work comes"]) == len(phases["work goes"]) == 3
    for phase in phases["work comes"]:
        assert 0 < len([call for thread, _, call in phase if thread == main]) <= MOST
    for phase in phases["work goes on"]:
        assert not [call for thread, _, call in phase if thread == main]
    leaving: list[list[str]] = []
    for phase in phases["work goes"]:
        assert not [call for thread, _, call in phase if thread == main]
        last = turns_of([(at, call) for thread, at, call in phase if thread != main])[-1]
        leaving.append([call for call in last if call.startswith(("flock", "readlink"))])
    fewest = min(leaving, key=len)  # on a busy machine the keeper's watch may come so close that both seem one turn
    assert 0 < len(fewest) <= MOST, leaving


def phases_of(calls: Traced, *, main: int) -> dict[str, list[Traced]]:
    """The counted calls of each phase, as the program has marked them."""
    marks = [
        number for number, (thread, _, call) in enumerate(calls) if thread == main and call.startswith("write(2, ")
    ]
    phases: dict[str, list[Traced]] = {}
    for begin, end in pairwise(marks):
        name = calls[begin][2].partition("<")[2].partition(">")[0]
        counted = [call for call in calls[begin:end] if not call[2].startswith(UNCOUNTED)]
        phases.setdefault(name, []).append(counted)
    return phases


def turns_of(calls: list[tuple[float, str]]) -> list[list[str]]:
    """The calls of the keeper, parted where it slept."""
    turns: list[list[str]] = []
    last = 0.0
    for at, call in calls:
        if at - last > 0.05:
            turns.append([])
        turns[-1].append(call)
        last = at
    return turns
