"""Forks at the worst moments: nobody hangs, no child owns or owes anything, the parent stays protected (I9)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from nursery import CORE
from programs import run

from protectwork.testing import FakeAgent

LINGER_S = 0.3
SOON_ENOUGH_S = 1.25 * LINGER_S + 3.0

# `fork` runs a function in a child, which tells what came of it through one pipe for all, in a line that is written at
# once, and ends as it is told to; `children_of` waits for all of them. Nothing waits for a child before.
PRELUDE = """
import json, os, sys, threading, time
from random import Random
from protectwork import ProtectionManager, Settings
from protectwork._clock import steady_now
from protectwork._ledger import kernel
from protectwork.backends.agent import AgentBackend

class Steady(Random):
    def uniform(self, low, high):
        return low  # a start asks at once

uri, directory, linger, *rest = json.loads(sys.argv[1])
settings = Settings(state_dir=directory, linger=linger, acquire_timeout=5)
manager = ProtectionManager(AgentBackend(uri), settings=settings, random=Steady())
parent, said, say, pids = os.getpid(), *os.pipe(), []

def started():
    # Nothing that the package opens is left to do, and the keeper sleeps.
    manager.start()
    keeper = manager._keeper
    while not keeper.book.is_open or keeper.lease.record.unknown or keeper.wakes_at < steady_now():
        time.sleep(0.005)

def span(work_s=0.0, **options):
    # Work of its own; when it was in flight and confirmed, None if it was not.
    with manager.protect(**options) as hold:
        since = steady_now() if hold.confirmed else None
        time.sleep(work_s)
        return since and [since, steady_now()]

def tell(**facts):
    os.write(say, (json.dumps({"pid": os.getpid(), **facts}) + "\\n").encode())

def fork(function):
    pid = os.fork()
    if pid == 0:
        kernel.hook = None
        code = 1
        try:
            function(manager.status().in_flight)
            code = 0
        finally:
            os._exit(code)
    pids.append(pid)

def children():
    # What all of them told, when all have ended in order; read beside that, for a pipe does not hold it all.
    os.close(say)
    codes = {}
    reader = threading.Thread(target=lambda: codes.update({pid: os.waitpid(pid, 0)[1] for pid in pids}))
    reader.start()
    with open(said, "rb") as pipe:
        told = [json.loads(line) for line in pipe]
    reader.join()
    assert set(codes.values()) == {0}, codes
    assert sorted(one["pid"] for one in told) == sorted(pids), "each has told once"
    assert parent not in pids
    return told

def ended(**facts):
    # The end of the parent: its last hold has ended, and the task is released before this returns, unless it has come
    # and gone so often that it has to wait for minutes until it may make another release.
    def acts():
        lease, now = manager._keeper.lease, steady_now()
        return lease.acts_by(now) or lease.due(now) < now + 60

    while not manager._keeper.is_idle() and acts():
        time.sleep(0.01)
    print(json.dumps({"pid": parent, **facts}), flush=True)
    os._exit(0)
"""


def forked(agent: FakeAgent, directory: Path, program: str, *rest: object) -> dict:
    """What a program told that forks; coverage does not look on, for its locks would stay locked in the children."""
    directory.mkdir(mode=0o700)
    done = run(PRELUDE + program, json.dumps([agent.uri, str(directory), LINGER_S, *rest]), measured=False, loaded=CORE)
    assert (done.code, done.err) == (0, "")
    facts = json.loads(done.out)
    pids = {os.getpid(), facts["pid"], *(child["pid"] for child in facts["children"])}
    assert len(pids) == 2 + len(facts["children"])
    return facts


def assert_protected(agent: FakeAgent, spans: list[list[float]]) -> None:
    exposed = [span for span in spans if not agent.was_protected(*span)]
    assert not exposed


STORM = """
sys.setswitchinterval(0.0005)  # with eight busy threads, the one that forks would wait for most of the time
outer, number = rest
over, spans, seen = threading.Event(), [], []

def busy():
    while not over.is_set():
        spans.append(span(0.001))

def at_once(inherited):
    tell(inherited=inherited)

def in_order(inherited):  # past every `finally` of the parent, and through what is done at exit
    tell(inherited=inherited)
    sys.exit()

def holds(inherited):
    tell(inherited=inherited, span=span())

def dies_holding(inherited):
    hold = manager.acquire()
    since = steady_now() if hold.confirmed else None
    tell(inherited=inherited, span=since and [since, steady_now()])
    os._exit(0)

def storm():
    threads = [threading.Thread(target=busy) for _ in range(8)]
    for thread in threads:
        thread.start()
    for turn in range(number):
        kind = (at_once, in_order, holds, dies_holding)[turn % 4]
        if kind is in_order:
            in_order_child()
        else:
            fork(kind)
    over.set()
    for thread in threads:
        thread.join()

def in_order_child():
    # The exit of an interpreter waits for the threads it knows of and calls what is registered, then ends it.
    pid = os.fork()
    if pid == 0:
        in_order(manager.status().in_flight)
    pids.append(pid)

started()
if outer:
    with manager.protect("outer") as hold:
        assert hold.confirmed
        since = steady_now()
        storm()
        told = children()
        until = steady_now()
else:
    since = until = steady_now()
    storm()
    told = children()
    until = steady_now()
ended(children=told, spans=[one for one in spans if one], held=[since, until])
"""


def test_two_hundred_forks_while_eight_threads_hold_and_release_leave_the_parent_protected(tmp_path: Path) -> None:
    with FakeAgent() as agent:
        facts = forked(agent, tmp_path / "state", STORM, True, 200)
        told = facts["children"]
        assert len(told) == 200
        assert {child["inherited"] for child in told} == {0}
        own = [child["span"] for child in told if "span" in child]
        assert len(own) == 100
        assert None not in own, "the lease is confirmed, so a child's work is at once"
        assert_protected(agent, [facts["held"], *own, *facts["spans"]])
        assert (len(agent.enables), len(agent.disables)) == (1, 1)
        assert 0 < agent.changes[-1].time - facts["held"][1] < SOON_ENOUGH_S


def test_forks_while_eight_threads_come_and_go_at_the_edges_of_the_lease_hang_nobody(tmp_path: Path) -> None:
    program = STORM.replace("spans.append(span(0.001))", "spans.append(span(0.001)); time.sleep(3 * linger)")
    with FakeAgent() as agent:
        facts = forked(agent, tmp_path / "state", program, False, 80)
        told = facts["children"]
        assert len(told) == 80
        assert {child["inherited"] for child in told} == {0}
        own = [child["span"] for child in told if child.get("span")]
        assert_protected(agent, [*own, *facts["spans"]])


INSIDE = """
armed, places, busy = {"main": False, "keeper": False}, [], threading.Event()

def work(inherited):  # that begins after a release would ask for the next one, and forks at its calls, without end
    tell(inherited=inherited, span=span(0.02) if busy.is_set() else None)

def forks(name):
    # At every kernel call of the thread that is asked for, in the middle of what it does, under its locks.
    if os.getpid() != parent:  # the child closes its copies before it goes on
        return
    thread = "main" if threading.current_thread() is threading.main_thread() else "keeper"
    if armed[thread]:
        places.append(name)
        fork(work)

started()
kernel.hook = forks
armed[rest[0]] = True
busy.set()
with manager.protect() as hold:
    assert hold.confirmed
    since = steady_now()
    time.sleep(0.3)
    busy.clear()
    for pid in list(pids):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    held = [since, steady_now()]
while manager._keeper.lease.record.maybe_until > steady_now():
    time.sleep(0.01)
armed[rest[0]] = False
told = children()
ended(children=told, places=places, held=held, after=span(0.05))
"""


@pytest.mark.parametrize("thread", ["main", "keeper"])
def test_a_fork_at_any_kernel_call_of_a_hold_and_of_its_calls_breaks_nothing(tmp_path: Path, thread: str) -> None:
    with FakeAgent() as agent:
        facts = forked(agent, tmp_path / "state", INSIDE, thread)
        told, places = facts["children"], facts["places"]
        print(f"forked at {len(places)} kernel calls: {' '.join(places)}")
        assert len(places) == len(told)
        assert "flock" in places
        assert ("symlink" in places) == (thread == "keeper"), "whoever takes a hold reads, the keeper writes"
        assert {child["inherited"] for child in told} == {0}
        own = [child["span"] for child in told if child["span"]]
        assert own
        assert_protected(agent, [facts["held"], facts["after"], *own])
        assert 0 < agent.changes[-1].time - facts["after"][1] < SOON_ENOUGH_S
        assert not agent.protected


def test_a_child_that_is_forked_inside_acquire_goes_on_with_a_hold_that_is_not_its_own(tmp_path: Path) -> None:
    program = """
places = []

def forks(name):
    if threading.current_thread() is not threading.main_thread() or os.getpid() != parent:
        return
    places.append(name)
    pid = os.fork()
    if pid == 0:
        kernel.hook = None
    else:
        pids.append(pid)

started()
kernel.hook = forks
hold = manager.acquire("whose?")
since = steady_now()
kernel.hook = None
if os.getpid() != parent:
    inherited = manager.status().in_flight
    hold.release()
    tell(inherited=inherited, confirmed=hold.confirmed, span=span(0.02))
    os._exit(0)
assert hold.confirmed
told = children()
held = [since, steady_now()]
hold.release()
ended(children=told, places=places, held=held)
"""
    with FakeAgent() as agent:
        facts = forked(agent, tmp_path / "state", program)
        told = facts["children"]
        assert facts["places"][0] == "flock"
        assert len(told) == len(facts["places"]) >= 2
        assert {(child["inherited"], child["confirmed"]) for child in told} == {(0, False)}
        assert_protected(agent, [facts["held"], *(child["span"] for child in told if child["span"])])
        assert (len(agent.enables), len(agent.disables)) == (1, 1)


def test_a_child_that_is_forked_by_an_observer_holds_for_itself_and_the_parent_hears_on(tmp_path: Path) -> None:
    program = """
heard = []

class Forks:
    def on_event(self, event):
        if os.getpid() == parent:
            heard.append(type(event).__name__)
            fork(lambda inherited: tell(inherited=inherited, span=span(0.02)))

started()
manager.subscribe(Forks())
held = span(0.3)
while "LeaseReleased" not in heard:
    time.sleep(0.01)
while len(pids) < len(heard):
    time.sleep(0.01)
ended(children=children(), heard=heard, held=held)
"""
    with FakeAgent() as agent:
        facts = forked(agent, tmp_path / "state", program)
        told = facts["children"]
        assert {"LeaseConfirmed", "LeaseReleased", "CallFinished"} <= set(facts["heard"])
        assert len(told) == len(facts["heard"])
        assert {child["inherited"] for child in told} == {0}
        assert_protected(agent, [facts["held"], *(child["span"] for child in told if child["span"])])


def test_a_child_that_lives_on_does_not_keep_the_task_protected(tmp_path: Path) -> None:
    program = """
go, let_go = os.pipe()
held = manager.acquire()
since = steady_now()
fork(lambda inherited: tell(inherited=inherited, span=os.read(go, 1) and None))
until = steady_now()
held.release()
while not manager._keeper.is_idle():
    time.sleep(0.01)
assert os.waitpid(pids[0], os.WNOHANG) == (0, 0), "the child lives"
released = steady_now()
os.write(let_go, b"x")
ended(children=children(), held=[since, until], released=released)
"""
    with FakeAgent() as agent:
        facts = forked(agent, tmp_path / "state", program)
        assert_protected(agent, [facts["held"]])
        assert 0 < agent.changes[-1].time - facts["held"][1] < SOON_ENOUGH_S
        assert agent.changes[-1].time <= facts["released"]


def test_a_child_whose_own_work_is_over_does_not_release_what_its_parent_holds(tmp_path: Path) -> None:
    program = """
held = manager.acquire()
since = steady_now()

def lets_go(inherited):
    own = span(0.02)
    while manager._keeper.book.state.joined:
        time.sleep(0.01)
    time.sleep(1.2)  # a second after the last call, it could send the next one
    tell(inherited=inherited, span=own)

fork(lets_go)
told = children()
until = steady_now()
held.release()
ended(children=told, held=[since, until])
"""
    with FakeAgent() as agent:
        facts = forked(agent, tmp_path / "state", program)
        [child] = facts["children"]
        assert child["inherited"] == 0
        assert_protected(agent, [facts["held"], child["span"]])
        assert (len(agent.enables), len(agent.disables)) == (1, 1)
