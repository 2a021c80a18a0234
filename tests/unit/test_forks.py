"""A forked child owes nothing and owns nothing (I9), wherever its parent forks; and nobody hangs."""

from __future__ import annotations

import json

import pytest
from nursery import CORE
from programs import run

from protectwork.testing import FakeAgent

# `in_child` forks, runs a function in the child, and returns what that returned.
PRELUDE = """
import json, os, signal, sys, threading, time
from protectwork import Outcome, ProtectionManager, Settings, State
from protectwork.testing import FakeClock, RecordingBackend

def in_child(function):
    said, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.write(say, json.dumps([os.getpid(), function()]).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(say)
    with open(said, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, (status, answer)
    child_pid, result = json.loads(answer)
    assert child_pid == pid != os.getpid()
    return result

def facts(manager):
    status = manager.status()
    threads = [thread.name for thread in threading.enumerate()]
    return [status.in_flight, str(status.state), status.calls, status.confirmed, len(threads)]

NEW = [0, "IDLE", 0, False, 1]

def real_manager(**settings):
    backend = RecordingBackend()
    return backend, ProtectionManager(backend, settings=Settings(**settings))

def fake_manager():
    # One in fake time, which has asked its GET. Nobody waits for a lease, neither here nor in a child.
    clock = FakeClock()
    backend = RecordingBackend(clock=clock)
    manager = ProtectionManager(backend, settings=Settings(acquire_timeout=0), clock=clock)
    manager.start()
    clock.advance(10)
    return clock, backend, manager
"""


EXIT = "sys.stdout.flush(); os._exit(0)"  # what an exit does is no matter of forks


def forked(program: str) -> object:
    done = run(PRELUDE + program + EXIT, measured=False, loaded=CORE)
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def test_a_child_forked_inside_a_hold_starts_with_nothing_and_changes_nothing_in_its_parent() -> None:
    program = """
clock, backend, manager = fake_manager()
seen = {}
with manager.protect("of the parent") as outer:
    clock.settle()
    with manager.protect("forks"):
        pid = os.fork()
        if pid == 0:
            seen["inside"] = facts(manager)
            seen["inherited"] = [outer.confirmed, outer.lost, outer.expires_at]
        else:
            assert os.waitpid(pid, 0)[1] == 0
            seen["parent"] = manager.status().in_flight
    seen["left"] = manager.status().in_flight
    if pid:
        assert outer.confirmed
if pid == 0:
    assert os.getpid() != os.getppid()
    assert seen == {"inside": NEW, "inherited": [False, False, None], "left": 0}, seen
    assert facts(manager) == NEW
    assert [call.name for call in backend.calls] == ["get", "enable"], "those of the parent"
    os._exit(0)
print(json.dumps([seen, [call.name for call in backend.calls], outer.confirmed]))
"""
    assert forked(program) == [{"parent": 2, "left": 1}, ["get", "enable"], False]


def test_a_child_protects_its_own_work_and_asks_for_itself() -> None:
    program = """
backend, manager = real_manager()

def work():
    with manager.protect("of the child") as hold:
        confirmed = hold.confirmed
        inside = facts(manager)[:3]
    return [confirmed, inside, [call.name for call in backend.calls], manager.status().in_flight]

with manager.protect():
    seen = in_child(work)
    seen.append(manager.status().in_flight)
print(json.dumps([seen, [call.name for call in backend.calls]]))
"""
    child = [True, [1, "PROTECTED", 2], ["get", "enable"] * 2, 0, 1]
    assert forked(program) == [child, ["get", "enable"]]


def test_a_child_may_leave_and_use_again_what_its_parent_had_entered() -> None:
    program = """
clock, backend, manager = fake_manager()

@manager.protected
def generator():
    yield 1

hold, running = manager.acquire(), generator()
next(running)

def leave():
    global running
    hold.release()
    running.close()
    with hold:
        inside = manager.status().in_flight
    hold.release()
    return [inside, *facts(manager)[:1]]

seen = in_child(leave)
parent = manager.status().in_flight
hold.release()
running.close()
print(json.dumps([seen, parent, manager.status().in_flight]))
"""
    assert forked(program) == [[1, 0], 2, 0]


def test_fifty_forks_while_eight_threads_hold_and_release_hang_nobody() -> None:
    program = """
backend, manager = real_manager(acquire_timeout=0)  # nobody waits for a lease, neither here nor in a child
over = threading.Event()

def busy():
    while not over.is_set():
        with manager.protect(max_duration=5):
            manager.status()
        manager.admission.close("busy")
        manager.admission.reopen("busy")

def child():
    inherited = facts(manager)
    with manager.protect():
        return [inherited == NEW or inherited, manager.status().in_flight]

with manager.protect():
    threads = [threading.Thread(target=busy) for _ in range(8)]
    for thread in threads:
        thread.start()
    seen = [in_child(child) for _ in range(50)]
    over.set()
    for thread in threads:
        thread.join()
print(json.dumps([[one for one in seen if one != [True, 1]], manager.status().in_flight]))
"""
    assert forked(program) == [[], 0]


def test_a_fork_while_another_thread_waits_in_acquire_hangs_nobody() -> None:
    program = """
backend, manager = real_manager()
with backend.paused():
    threads = [threading.Thread(target=lambda: manager.acquire().release()) for _ in range(4)]
    for thread in threads:
        thread.start()
    backend.wait_until(lambda: backend.calls)
    while manager.status().in_flight < 4:
        time.sleep(0.001)

    def child():
        backend._pauses = 0  # the child's own: nobody there would end it
        return facts(manager)

    seen = in_child(child)
    print(json.dumps([seen, manager.status().in_flight]), flush=True)
    os._exit(0)
"""
    assert forked(program) == [[0, "IDLE", 0, False, 1], 4]


def test_a_signal_handler_that_forks_while_the_main_thread_waits_in_acquire_hangs_nobody() -> None:
    program = """
backend, manager = real_manager(acquire_timeout=1)
children = []
signal.signal(signal.SIGALRM, lambda *_: children.append(os.fork()))
with backend.paused():
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    began = time.monotonic()
    with manager.protect() as hold:
        waited_s = time.monotonic() - began
        inside = manager.status().in_flight
    [child] = children
    if child == 0:
        assert inside == 0, "what the parent began, the child does not own"
        assert manager.status().in_flight == 0
        os._exit(0 if waited_s < 3 else 1)
assert os.waitpid(child, 0)[1] == 0
print(json.dumps([inside, waited_s < 3]))
"""
    assert forked(program) == [1, True]


def test_an_observer_may_fork_and_hears_on() -> None:
    program = """
clock, backend, manager = fake_manager()
seen, heard = [], []

class Forks:
    def on_event(self, event):
        heard.append(type(event).__name__)
        if len(heard) == 1:
            seen.append(in_child(lambda: facts(manager)))

manager.subscribe(Forks())
with manager.protect():
    clock.settle()
while len(heard) < 2:
    time.sleep(0.001)
print(json.dumps([seen, heard]))
"""
    facts = [0, "IDLE", 0, False, 1]
    assert forked(program) == [[facts], ["CallFinished", "LeaseConfirmed"]]


def test_observers_of_the_parent_hear_of_the_childs_own_events_only() -> None:
    program = """
backend, manager = real_manager()
heard, hangs = [], threading.Event()

class Slow:
    def on_event(self, event):
        hangs.wait()
        heard.append(getattr(event, "reason", "other"))

manager.subscribe(Slow())
manager.admission.close("of the parent")

def child():
    hangs._flag = True
    assert hangs.is_set()
    manager.admission.reopen("of the parent")
    while not heard:
        time.sleep(0.001)
    return heard

seen = in_child(child)
hangs.set()
print(json.dumps(seen))
"""
    assert forked(program) == ["other"]


def test_a_fork_while_the_keeper_makes_a_call_leaves_the_call_to_the_parent() -> None:
    program = """
backend, manager = real_manager()
with backend.paused():
    thread = threading.Thread(target=lambda: manager.acquire())
    thread.start()
    backend.wait_until(lambda: backend.calls)
    seen = in_child(lambda: facts(manager))
thread.join()
print(json.dumps([seen, manager.status().in_flight, [call.name for call in backend.calls]]))
"""
    assert forked(program) == [[0, "IDLE", 0, False, 1], 1, ["get", "enable"]]


def test_a_closed_manager_is_closed_in_the_child_too() -> None:
    program = """
backend, manager = real_manager()
manager.close()

def child():
    with manager.protect():
        return facts(manager)[:3]

print(json.dumps([in_child(child), [call.name for call in backend.calls]]))
"""
    assert forked(program) == [[1, "CLOSED", 0], []]


MULTIPROCESSING = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

def job(number):
    from protectwork import get_manager, protect
    manager = get_manager()
    inherited = manager.status().in_flight
    with protect() as hold:
        return [os.getpid(), inherited, hold.confirmed, manager.status().in_flight, manager.status().backend]

if __name__ == "__main__":
    from protectwork import get_manager, protect
    context = multiprocessing.get_context(sys.argv[1])
    with protect("of the parent"):
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            seen = list(pool.map(job, range(8)))
        in_flight = get_manager().status().in_flight
    assert all(pid != os.getpid() for pid, *_ in seen)
    print(json.dumps([in_flight, [rest for _, *rest in seen]]), flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_are_protected_by_themselves(tmp_path, method) -> None:
    path = tmp_path / "pools.py"
    path.write_text(PRELUDE + MULTIPROCESSING)
    with FakeAgent() as agent:
        done = run(path, method, measured=False, **agent.environ())
        assert (done.code, done.err) == (0, "")
        assert json.loads(done.out) == [1, [[0, True, 1, "agent"]] * 8]
        assert len(agent.gets) <= 3, "one by each process at the most"
