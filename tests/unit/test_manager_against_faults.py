"""A manager against a real endpoint of ECS, its agent's or its API's, that goes wrong in every way there is.

Whether the task was protected is read from the fake's own timeline. All the scenarios of one backend run at once, each
with a fake of its own, for what they do is mostly wait; the tests look at what became of them.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import pytest

from protectwork import Backend, CallFinished, Event, Outcome, ProtectionManager, Settings, State
from protectwork.testing import FakeAgent, FakeEcsApi, Fault, faults

from .backend_worlds import WORLDS, World

ACQUIRE_TIMEOUT_S = 6.0
DEADLINE_S = 1.0
AT_ONCE = 10
SLACK_S = 2.0  # a busy machine
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
EXCEPT = {"ecs": {"oversized"}}  # boto3 reads whatever comes

CASES = [(world.name, name) for world in WORLDS for name in FAULTS if name not in EXCEPT.get(world.name, ())]
RECOVERING = [case for case in CASES if OUTCOMES.get(case[1]) not in HOPELESS]
REFUSED = [case for case in CASES if OUTCOMES.get(case[1]) in HOPELESS]


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
    outcomes: dict[str, list[Outcome]] = field(default_factory=lambda: {"get": [], "enable": [], "disable": []})

    def on_event(self, event: Event) -> None:
        if isinstance(event, CallFinished):
            self.outcomes[event.call].append(event.answer.outcome)

    def sent(self, call: str) -> int:
        """How many of these were sent, by what the manager says: on a busy machine its time may be over before."""
        return len(self.outcomes[call]) - self.outcomes[call].count(Outcome.UNAVAILABLE)


def watch(manager: ProtectionManager, ecs: FakeAgent | FakeEcsApi, story: Story, stop: threading.Event) -> None:
    """Look again and again whether the manager claims what ECS does not grant."""
    while not stop.wait(0.1):
        before, confirmed, after = ecs.now(), manager.status().confirmed, ecs.now()
        if confirmed and not any(ecs.was_protected(at, at) for at in (before, after)):
            story.lies.append(f"confirmed by {after}, and ECS says {ecs.changes}")


def asked(ecs: FakeAgent | FakeEcsApi) -> int:
    return sum(call.call == "get" for call in ecs.calls)


def ready(backend: Backend) -> Backend:
    """Have it find out what it wants to know before its first call, so that what follows has the whole deadline."""
    while backend.get().outcome is not Outcome.CONFIRMED:
        pass  # each ends by its deadline
    return backend


def tell(world: World, fault: Fault) -> Story:
    story = Story()
    with world.fake() as ecs:
        backend = ready(world.backend(ecs, deadline_s=DEADLINE_S))
        gets = asked(ecs)
        ecs.fail(fault, times=None)
        stop = threading.Event()
        with ProtectionManager(backend, settings=Settings(acquire_timeout=ACQUIRE_TIMEOUT_S, linger=0)) as manager:
            manager.subscribe(story)
            watcher = threading.Thread(target=watch, args=(manager, ecs, story, stop))
            watcher.start()
            began = time.monotonic()
            with manager.protect("job") as hold:
                story.waited_s = time.monotonic() - began
                story.confirmed_at_start = hold.confirmed
                story.state = manager.status().state
                story.outcome = manager.status().last_outcome
                ecs.heal()
                if story.outcome not in HOPELESS:
                    healed = time.monotonic()
                    while not hold.confirmed and time.monotonic() - healed < RECOVERS_S:
                        time.sleep(0.05)
                    story.recovered_s = time.monotonic() - healed
            story.lasted_s = time.monotonic() - began
            story.enables, story.gets = len(ecs.enables), asked(ecs) - gets
            ecs.wait_until(lambda: not ecs.protected, timeout_s=3)
            stop.set()
            watcher.join()
    return story


Stories = dict[tuple[str, str], Story]


@pytest.fixture(scope="module")
def stories() -> Stories:
    told: Stories = {}
    for world in WORLDS:
        names = [name for of, name in CASES if of == world.name]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            results = pool.map(partial(tell, world), [FAULTS[name] for name in names])
            told |= {(world.name, name): story for name, story in zip(names, results, strict=True)}
    return told


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_acquire_ends_within_its_bound_whatever_ecs_does(stories: Stories, case: tuple[str, str]) -> None:
    assert stories[case].waited_s <= ACQUIRE_TIMEOUT_S + SLACK_S


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_nothing_is_ever_confirmed_that_ecs_does_not_grant(stories: Stories, case: tuple[str, str]) -> None:
    assert stories[case].lies == []
    assert not stories[case].confirmed_at_start


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_the_calls_are_counted_and_never_more_than_one_a_second(stories: Stories, case: tuple[str, str]) -> None:
    story = stories[case]
    assert len(story.outcomes["get"]) == 1
    assert story.gets == story.sent("get")
    assert story.enables == story.sent("enable")
    assert 1 <= story.enables <= story.lasted_s + 1


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_every_fault_is_taken_for_what_it_is(stories: Stories, case: tuple[str, str]) -> None:
    story = stories[case]
    expected = {OUTCOMES.get(case[1], Outcome.AMBIGUOUS), Outcome.UNAVAILABLE}
    assert {*story.outcomes["enable"]} <= expected | {Outcome.CONFIRMED}
    assert story.outcome in expected


@pytest.mark.parametrize("case", RECOVERING, ids=" ".join)
def test_i3_protected_again_without_anyone_acting(stories: Stories, case: tuple[str, str]) -> None:
    recovered_s = stories[case].recovered_s
    assert recovered_s is not None
    assert recovered_s < RECOVERS_S


@pytest.mark.parametrize("case", REFUSED, ids=" ".join)
def test_where_waiting_is_hopeless_the_work_starts_at_once(stories: Stories, case: tuple[str, str]) -> None:
    assert stories[case].waited_s < ACQUIRE_TIMEOUT_S - 1
    assert stories[case].state is State.REFUSED
    assert stories[case].enables == 1


class FirstCall:
    """Waits for the first call to have ended, and keeps what it came to."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._outcome: Outcome | None = None

    def on_event(self, event: Event) -> None:
        if isinstance(event, CallFinished) and self._outcome is None:
            self._outcome = event.answer.outcome
            self._ended.set()

    def outcome(self) -> Outcome | None:
        self._ended.wait(30)
        return self._outcome


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_a_connection_refused_means_that_nothing_was_sent(world: World) -> None:
    with FakeAgent() as agent:
        port = agent.port
    with ProtectionManager(world.backend_at(f"127.0.0.1:{port}"), settings=Settings(acquire_timeout=0)) as manager:
        first = FirstCall()
        manager.subscribe(first)
        with manager.protect() as hold:
            assert first.outcome() is Outcome.UNAVAILABLE
            assert not hold.confirmed
