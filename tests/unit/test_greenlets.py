"""Under gevent and eventlet the keeper is a native thread, and a greenlet that waits for it blocks nobody else."""

from __future__ import annotations

import json
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from programs import Done, run

from protectwork.testing import Exchange, FakeAgent
from protectwork.testing.faults import Delay

PATCHED = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "gevent, patched late": "import protectwork; from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
    "eventlet, patched late": "import protectwork, eventlet; eventlet.monkey_patch()",
}
UNPATCHED = {"gevent, not patched": "import gevent", "eventlet, not patched": "import eventlet"}
PLAYED = (PATCHED | UNPATCHED) if "WHOLE_MATRIX" in os.environ else dict([*PATCHED.items()][::2])
"""Those of the suite, or, in the gate, all; see `whole.py`."""

# Fifty greenlets begin at once, while the first call hangs; when they have ended, one of them lets nobody else run.
PROGRAM = """
import json, logging, sys, time
if "gevent" in sys.modules:
    import gevent
    spawn, sleep, result = gevent.spawn, gevent.sleep, gevent.Greenlet.get
else:
    import eventlet
    spawn, sleep, result = eventlet.spawn, eventlet.sleep, eventlet.greenthread.GreenThread.wait
import threading
from protectwork import get_manager, protect
from protectwork._clock import steady_now

logging.basicConfig(level=logging.DEBUG, stream=open("/dev/null", "w"))
gaps = []

def tick():
    last = steady_now()
    while True:
        sleep(0.005)
        logging.info("the keeper logs at the same time")
        gaps.append(steady_now() - last)
        last = steady_now()

def work():
    with protect() as hold:
        sleep(0)
        return hold.confirmed, get_manager().status().in_flight

def burn():
    ends = steady_now() + 1.5
    while steady_now() < ends:
        sum(range(1000))

spawn(tick)
began = steady_now()
greenlets = [spawn(work) for _ in range(50)]
seen = [result(greenlet) for greenlet in greenlets]
waited_s, ticks, gap_s = steady_now() - began, len(gaps), max(gaps)
burning = [steady_now()]
result(spawn(burn))
burning.append(steady_now())
print(json.dumps({
    "confirmed": [confirmed for confirmed, _ in seen],
    "in_flight": max(in_flight for _, in_flight in seen),
    "left": get_manager().status().in_flight,
    "waited_s": waited_s, "ticks": ticks, "gap_s": gap_s, "burning": burning,
}))
"""


@dataclass(kw_only=True)
class Ran:
    done: Done
    calls: tuple[Exchange, ...]
    protected: bool

    @property
    def said(self) -> dict:
        return json.loads(self.done.out)


def program(start: str) -> Ran:
    with FakeAgent() as agent:
        agent.fail(Delay(3.0), only="get")
        done = run(
            start + "\n" + PROGRAM, measured=False, PROTECTWORK_LINGER="0", PYTHONWARNINGS="ignore", **agent.environ()
        )
        return Ran(done=done, calls=agent.calls, protected=agent.protected)


@pytest.fixture(scope="module")
def programs() -> dict[str, Future[Ran]]:
    """All programs, side by side: they mostly wait."""
    with ThreadPoolExecutor(3) as pool:
        return {name: pool.submit(program, start) for name, start in PLAYED.items()}


@pytest.fixture(params=PLAYED)
def ran(request, programs) -> Ran:
    return programs[request.param].result()


def test_many_greenlets_at_once_share_one_lease(ran: Ran) -> None:
    assert (ran.done.code, ran.done.err) == (0, "")
    assert ran.said["confirmed"] == [True] * 50
    assert ran.said["in_flight"] == 50
    assert ran.said["left"] == 0
    assert [call.call for call in ran.calls] == ["get", "enable", "disable"]


def test_a_greenlet_that_waits_does_not_block_its_hub(ran: Ran) -> None:
    assert ran.said["waited_s"] >= 3.0
    assert ran.said["ticks"] > 50
    assert ran.said["gap_s"] < 2.5


def test_a_call_that_is_due_is_made_while_a_greenlet_lets_nobody_else_run(ran: Ran) -> None:
    began, ended = ran.said["burning"]
    [disable] = [call for call in ran.calls if call.call == "disable"]
    assert began < disable.time < ended
    assert ended - began >= 1.5


def test_the_exit_is_clean_and_leaves_no_protection(ran: Ran) -> None:
    assert (ran.done.code, ran.done.err) == (0, "")
    assert not ran.protected


# The handler of the log gives way while it has its lock, and nothing else waits for anything in the hub.
LOGS = """
import logging, time
from protectwork import protect

class Slow(logging.Handler):
    def emit(self, record):
        said.append(record.name)
        time.sleep(0.1)

said = []
logging.basicConfig(level=logging.DEBUG, handlers=[Slow()])
with protect():
    while "protectwork" not in said:
        logging.info("beside it")
    for _ in range(5):
        logging.info("beside it")
"""


@pytest.mark.parametrize("patch", [name for name in PATCHED if "late" not in name])
def test_who_logs_while_the_keeper_has_something_to_say_is_not_taken_for_one_that_waits_for_ever(patch: str) -> None:
    with FakeAgent() as agent:
        done = run(f"{PATCHED[patch]}\n{LOGS}", measured=False, PYTHONWARNINGS="ignore", **agent.environ())
    assert (done.code, done.err) == (0, "")
