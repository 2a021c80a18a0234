"""The exit of the interpreter: what is idle is released, and nothing hangs, complains, or starts for its sake."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from nursery import CORE
from programs import Done, run

from protectwork.testing import FakeAgent
from protectwork.testing.faults import Delay, Hang

EXIT_S = 2.0
SLACK_S = 1.9  # a busy machine, and what the interpreter itself does; less than a wait of `EXIT_S`

PRELUDE = """
import asyncio, sys, threading, time
from protectwork import get_manager, protect, protected

def leaving():
    print(threading.active_count(), time.monotonic(), flush=True)
"""


@dataclass(frozen=True, kw_only=True)
class Exit:
    """One program, and what the agent does to it."""

    program: str
    arrange: Callable[[FakeAgent], object] = lambda _: None
    acquire_timeout: str = "15"


def hangs(agent: FakeAgent) -> None:
    agent.fail(Hang(), times=None)


EXITS = {
    "idle": Exit(program="with protect(): pass\nleaving()"),
    "never used": Exit(program="@protected\ndef work(): ...\nleaving()"),
    "built and not used": Exit(program="get_manager().status()\nleaving()"),
    "work in a daemon thread": Exit(
        program="""
begun = threading.Event()
def work():
    with protect():
        begun.set()
        threading.Event().wait()
threading.Thread(target=work, daemon=True).start()
begun.wait()
leaving()
"""
    ),
    "work in a thread that the exit waits for": Exit(
        program="""
begun = threading.Event()
def work():
    with protect():
        begun.set()
        time.sleep(0.3)
        leaving()
threading.Thread(target=work).start()
begun.wait()
"""
    ),
    "a hold that nobody releases": Exit(program="hold = get_manager().acquire()\nleaving()"),
    "a suspended generator": Exit(
        program="""
@protected
def work():
    yield 1
generator = work()
next(generator)
leaving()
"""
    ),
    "a suspended async generator": Exit(
        program="""
@protected
async def work():
    yield 1
generator = work()
async def main():
    await anext(generator)
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
leaving()
"""
    ),
    "a pending asyncio task": Exit(
        program="""
@protected
async def work():
    await asyncio.get_running_loop().create_future()
async def main():
    task = asyncio.create_task(work())
    while not get_manager().status().confirmed:
        await asyncio.sleep(0.01)
    leaving()
asyncio.run(main())
"""
    ),
    "sys.exit inside": Exit(program="with protect():\n    leaving()\n    sys.exit(3)"),
    "sys.exit inside async with": Exit(
        program="""
async def main():
    async with protect():
        leaving()
        sys.exit(3)
asyncio.run(main())
"""
    ),
    "an exception inside": Exit(program="with protect():\n    leaving()\n    raise LookupError('of the user')"),
    "an agent that hangs": Exit(program="with protect(): pass\nleaving()", arrange=hangs, acquire_timeout="0.1"),
    "an agent that hangs, and work in flight": Exit(
        program="hold = get_manager().acquire()\nleaving()", arrange=hangs, acquire_timeout="0.1"
    ),
    "a question under way": Exit(
        program="with protect(): pass\nleaving()",
        arrange=lambda agent: agent.fail(Delay(1.2), only="get"),
        acquire_timeout="0.1",
    ),
    "an enable under way": Exit(
        program="""
from protectwork.backends.agent import AgentBackend
sent, enable = threading.Event(), AgentBackend.enable
def telling(self, minutes):
    sent.set()
    return enable(self, minutes)
AgentBackend.enable = telling
with protect():
    sent.wait()
leaving()
""",
        arrange=lambda agent: agent.fail(Delay(0.8), only="enable"),
        acquire_timeout="0.1",
    ),
    "an observer that hangs": Exit(
        program="""
class Hangs:
    def on_event(self, event):
        threading.Event().wait()
get_manager().subscribe(Hangs())
with protect(): pass
leaving()
"""
    ),
}


@dataclass(frozen=True, kw_only=True)
class Ran:
    done: Done
    agent: FakeAgent  # closed; it remembers

    @property
    def threads(self) -> int:
        """How many there were when the program had nothing more to do."""
        return int(self.done.lines[-1].split()[0])

    @property
    def exit_s(self) -> float:
        """What the exit took from then on."""
        return self.done.ended - float(self.done.lines[-1].split()[1])

    @property
    def calls(self) -> list[str]:
        return [str(call.call) for call in self.agent.calls]


def exit_of(exit_: Exit) -> Ran:
    with FakeAgent() as agent:
        exit_.arrange(agent)
        environ = agent.environ() | {"PROTECTWORK_ACQUIRE_TIMEOUT": exit_.acquire_timeout}
        return Ran(done=run(PRELUDE + exit_.program, loaded=CORE, **environ), agent=agent)


@pytest.fixture(scope="module")
def exits() -> dict[str, Future[Ran]]:
    """All programs, some side by side: they mostly wait."""
    with ThreadPoolExecutor(4) as pool:
        return {name: pool.submit(exit_of, exit_) for name, exit_ in EXITS.items()}


@pytest.mark.parametrize("name", EXITS)
def test_no_exit_takes_longer_than_two_seconds(exits, name) -> None:
    assert exits[name].result().exit_s < EXIT_S + SLACK_S


@pytest.mark.parametrize("name", [name for name in EXITS if "exception" not in name])
def test_no_exit_complains_or_changes_the_exit_status(exits, name) -> None:
    done = exits[name].result().done
    assert (done.code, done.err) == (3 if "sys.exit" in name else 0, "")


def test_the_users_exception_is_told_as_ever_and_the_task_released(exits) -> None:
    ran = exits["an exception inside"].result()
    assert ran.done.code == 1
    assert ran.done.err.count("Traceback") == 1
    assert ran.done.err.splitlines()[-1] == "LookupError: of the user"
    assert ran.calls == ["get", "enable", "disable"]


RELEASED = [
    "idle",
    "work in a thread that the exit waits for",
    "a pending asyncio task",
    "sys.exit inside",
    "sys.exit inside async with",
    "an exception inside",
    "an observer that hangs",
]


@pytest.mark.parametrize("name", RELEASED)
def test_what_is_idle_at_the_exit_is_released(exits, name) -> None:
    ran = exits[name].result()
    assert ran.calls == ["get", "enable", "disable"]
    enabled, disabled = ran.agent.changes
    assert (enabled.protected, disabled.protected) == (True, False)


@pytest.mark.parametrize("name", ["never used", "built and not used"])
def test_a_program_that_protects_nothing_starts_no_thread_makes_no_call_and_exits_at_once(exits, name) -> None:
    ran = exits[name].result()
    assert ran.threads == 1
    assert ran.calls == []
    assert ran.exit_s < SLACK_S


@pytest.mark.parametrize(
    "name",
    [
        "work in a daemon thread",
        "a hold that nobody releases",
        "a suspended generator",
        "a suspended async generator",
    ],
)
def test_what_is_in_flight_at_the_exit_keeps_its_lease(exits, name) -> None:
    ran = exits[name].result()
    assert ran.calls == ["get", "enable"]
    assert [change.protected for change in ran.agent.changes] == [True]


def test_the_exit_waits_for_the_call_under_way_and_leaves_no_protection(exits) -> None:
    assert exits["a question under way"].result().calls == ["get"]
    ran = exits["an enable under way"].result()
    assert ran.calls == ["get", "enable", "disable"]
    assert [change.protected for change in ran.agent.changes] == [True, False]


def test_work_in_a_thread_that_the_exit_waits_for_is_protected_to_its_end(exits) -> None:
    ran = exits["work in a thread that the exit waits for"].result()
    enabled, disabled = ran.agent.changes
    assert disabled.time - enabled.time >= 0.3
