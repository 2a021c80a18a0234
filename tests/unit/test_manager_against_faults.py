"""A manager against a real agent endpoint that goes wrong in every way there is.

Whether the task was protected is read from the agent's own timeline. All the scenarios run at once, each with an
agent of its own, for what they do is mostly wait; the tests look at what became of them.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from protectwork import Outcome, ProtectionManager, Settings, State
from protectwork.backends.agent import AgentBackend
from protectwork.testing import FakeAgent, Fault, faults

ACQUIRE_TIMEOUT_S = 6.0
DEADLINE_S = 0.4
RECOVERS_S = 66.0

FAULTS: dict[str, Fault] = {
    "refuse": faults.Refuse("DEPLOYMENT_BLOCKED", detail="one too many"),
    "refuse missing": faults.Refuse("MISSING"),
    "throttle": faults.Throttle(),
    "limit": faults.Limit(),
    "error 500": faults.Error(500),
    "error 503": faults.Error(503),
    "error 504": faults.Error(504),
    "hang": faults.Hang(),
    "hang after the headers": faults.Hang(after_headers=True),
    "drip the headers": faults.Drip("headers", interval_s=0.05),
    "drip the body": faults.Drip("body", interval_s=0.05),
    "drop": faults.Drop(),
    "reset": faults.Drop(reset=True),
    "apply, then drop": faults.ApplyThenDrop(),
    "land late": faults.LandLate(1.0),
    "land late, unanswered": faults.LandLate(1.0, answered=False),
    "garbage": faults.Garbage(),
    "garbage, the opposite": faults.Garbage("opposite"),
    "redirect": faults.Redirect(),
    "oversized": faults.Oversized(),
}
OUTCOMES = {
    "refuse": Outcome.REFUSED,
    "refuse missing": Outcome.REFUSED,
    "throttle": Outcome.THROTTLED,
    "limit": Outcome.THROTTLED,
    "redirect": Outcome.MISCONFIGURED,
}
HOPELESS = {Outcome.REFUSED, Outcome.MISCONFIGURED}


@dataclass
class Story:
    """What became of one scenario."""

    waited_s: float = 0.0
    confirmed_at_start: bool = False
    outcome: Outcome | None = None
    state: State | None = None
    lies: list[str] = field(default_factory=list)
    recovered_s: float | None = None
    enables: int = 0
    gets: int = 0
    lasted_s: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)

    def on_event(self, event: object) -> None:
        if type(event).__name__ == "CallFinished":
            self.outcomes.append(event.answer.outcome)  # type: ignore[attr-defined]


def watch(manager: ProtectionManager, agent: FakeAgent, story: Story, stop: threading.Event) -> None:
    """Look again and again whether the manager claims what the agent does not grant."""
    while not stop.wait(0.003):
        before, confirmed, after = agent.now(), manager.status().confirmed, agent.now()
        if confirmed and not any(agent.was_protected(at, at) for at in (before, after)):
            story.lies.append(f"confirmed by {after}, and the agent says {agent.changes}")


def tell(fault: Fault) -> Story:
    story = Story()
    with FakeAgent() as agent:
        agent.fail(fault, times=None)
        backend = AgentBackend(agent.uri, deadline_s=DEADLINE_S)
        stop = threading.Event()
        with ProtectionManager(backend, settings=Settings(acquire_timeout=ACQUIRE_TIMEOUT_S, linger=0)) as manager:
            manager.subscribe(story)
            watcher = threading.Thread(target=watch, args=(manager, agent, story, stop))
            watcher.start()
            began = time.monotonic()
            with manager.protect("job") as hold:
                story.waited_s = time.monotonic() - began
                story.confirmed_at_start = hold.confirmed
                story.state = manager.status().state
                story.outcome = manager.status().last_outcome
                agent.heal()
                if story.outcome not in HOPELESS:
                    healed = time.monotonic()
                    while not hold.confirmed and time.monotonic() - healed < RECOVERS_S:
                        time.sleep(0.01)
                    story.recovered_s = time.monotonic() - healed
            story.lasted_s = time.monotonic() - began
            story.enables, story.gets = len(agent.enables), len(agent.gets)
            agent.wait_until(lambda: not agent.protected, timeout_s=3)
            stop.set()
            watcher.join()
    return story


@pytest.fixture(scope="module")
def stories() -> dict[str, Story]:
    with ThreadPoolExecutor(len(FAULTS)) as pool:
        return dict(zip(FAULTS, pool.map(tell, FAULTS.values()), strict=True))


@pytest.mark.parametrize("name", FAULTS)
def test_acquire_ends_within_its_bound_whatever_the_agent_does(stories: dict[str, Story], name: str) -> None:
    assert stories[name].waited_s <= ACQUIRE_TIMEOUT_S + 1.0


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_ever_confirmed_that_the_agent_does_not_grant(stories: dict[str, Story], name: str) -> None:
    assert stories[name].lies == []
    assert not stories[name].confirmed_at_start


@pytest.mark.parametrize("name", FAULTS)
def test_the_calls_are_counted_and_never_more_than_one_a_second(stories: dict[str, Story], name: str) -> None:
    story = stories[name]
    assert story.gets == 1
    assert 1 <= story.enables <= story.lasted_s + 1


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_taken_for_what_it_is(stories: dict[str, Story], name: str) -> None:
    expected = OUTCOMES.get(name, Outcome.AMBIGUOUS)
    assert set(stories[name].outcomes[: stories[name].enables]) <= {expected, Outcome.CONFIRMED}
    assert stories[name].outcome is expected


@pytest.mark.parametrize("name", [name for name in FAULTS if OUTCOMES.get(name) not in HOPELESS])
def test_i3_protected_again_without_anyone_acting(stories: dict[str, Story], name: str) -> None:
    recovered_s = stories[name].recovered_s
    assert recovered_s is not None
    assert recovered_s < RECOVERS_S


@pytest.mark.parametrize("name", [name for name in FAULTS if OUTCOMES.get(name) in HOPELESS])
def test_where_waiting_is_hopeless_the_work_starts_at_once(stories: dict[str, Story], name: str) -> None:
    assert stories[name].waited_s < ACQUIRE_TIMEOUT_S - 1
    assert stories[name].state is State.REFUSED
    assert stories[name].enables == 1


def test_a_connection_refused_means_that_nothing_was_sent() -> None:
    with FakeAgent() as agent:
        uri = agent.uri
    settings = Settings(acquire_timeout=0.2)
    with ProtectionManager(AgentBackend(uri), settings=settings) as manager, manager.protect() as hold:
        assert not hold.confirmed
        assert manager.status().last_outcome is Outcome.UNAVAILABLE
