"""A process that stops or dies, wherever it does, holds nobody up, and makes nobody say what is not so (I1, I4)."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import programs
import pytest
from nursery import CORE
from processes import seams
from processes.fast_clock import FastClock
from processes.seams import Facts, Scene, Spans
from processes.soak import TIMES

from protectwork.testing import FakeAgent, faults

MARGIN_S = 25.0  # for want of a processor; who is really held up here is so for ever, since nobody wakes the other
INTERPRETERS = 2
BOUND_S = 180.0
FEWEST = {"open": 40, "get": 15, "acquire": 2, "enable": 18, "release": 3, "disable": 18}
"""How many places an action must have at least: fewer, and the seam has come loose."""

COMMITTED = ("symlink 0", "link 0", "unlink 0", "before-the-call", "after-the-call", "symlink 1", "link 1", "unlink 1")
ESSENTIAL = {
    *(f"{action} {place}" for action in ("get", "enable", "disable") for place in COMMITTED),
    *("release readlink 0", "disable flock 0"),
}
"""Where the state changes: every run comes by there."""
BY_CHANCE = "how often it looks depends on the moment, and this time it did not come by"


@dataclass(frozen=True, kw_only=True)
class Played:
    agent: FakeAgent
    facts: Facts

    def lies(self, spans: Spans | None) -> Spans:
        """When a hold was confirmed, and the task was not protected all the time."""
        return [span for span in spans or [] if not self.agent.was_protected(*span)]


@pytest.fixture(autouse=True)
def longer_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_BOUND_S", 2 * seams.QUIET_S)


@pytest.fixture(scope="module")
def required(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """All places that a process comes by that nobody stops; its exit apart."""
    directory = tmp_path_factory.mktemp("reference")
    with FakeAgent() as agent:
        (facts,) = told("ordinary", [Scene(uri=agent.uri, directory=str(directory), place="", mode="stop")])
    assert facts.places is not None
    return [place for place in dict.fromkeys(facts.places) if not place.startswith("close ")]


def told(kind: str, scenes: list[Scene]) -> list[Facts]:
    """What became of these, played by one interpreter."""
    program, tests = Path(seams.__file__), Path(programs.__file__).parent
    told = json.dumps([asdict(scene) for scene in scenes])
    done = programs.run(program, kind, told, measured=False, bound_s=BOUND_S, loaded=CORE, PYTHONPATH=str(tests))
    assert done.code == 0, done.err  # on a busy machine some process may say that it has been stopped
    every = [Facts(**{**facts, "scene": Scene(**facts["scene"])}) for facts in map(json.loads, done.lines)]
    for facts in every:
        assert len({os.getpid(), *facts.pids}) == 3
    return every


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def play(places: list[str], mode: str, *, directory: Path, stack: ExitStack) -> list[Played]:
    """Play a scene at each of the places, side by side, each in a task of its own."""
    agents: dict[str, FakeAgent] = {}
    scenes: list[Scene] = []
    for place in reversed(places):  # the last take longest
        (own := directory / place.replace(" ", "-")).mkdir(mode=0o700)
        agents[place] = stack.enter_context(FakeAgent())
        scenes.append(Scene(uri=agents[place].uri, directory=str(own), place=place, mode=mode))
    with ThreadPoolExecutor(INTERPRETERS) as threads:
        shares = [threads.submit(told, "ordinary", scenes[first::INTERPRETERS]) for first in range(INTERPRETERS)]
        every = [facts for share in shares for facts in share.result()]
    assert {facts.scene.place for facts in every} == set(places)
    return [Played(agent=agents[facts.scene.place], facts=facts) for facts in every]


def check_matrix(required: list[str], chosen: list[str], run: list[str]) -> None:
    """Print which seams were required, run and not applicable; none may be missing that every run comes by.

    `chosen`: those of the required that are played now; the others are left to the soak.
    """
    of_required, of_chosen, of_run = (Counter(place.split()[0] for place in some) for some in (required, chosen, run))
    for action, number in of_required.items():
        print(
            f"{action:8} required {number:3}   run {of_run[action]:3}   "
            f"not applicable {of_chosen[action] - of_run[action]:3}   left to the soak {number - of_chosen[action]:3}"
        )
    for place in sorted(set(chosen) - set(run)):
        print(f"not applicable: {place}: {BY_CHANCE}")
    assert not (missing := ESSENTIAL - set(run)), sorted(missing)
    assert all(of_required[action] >= fewest for action, fewest in FEWEST.items())
    assert len(run) >= 0.8 * len(chosen)


@pytest.mark.parametrize("mode", ["stop", "kill"])
def test_a_process_that_is_stopped_or_killed_at_any_seam_holds_nobody_up_and_costs_nobody_protection(
    mode: str, required: list[str], tmp_path: Path, stack: ExitStack
) -> None:
    places = required if TIMES > 1 else sorted(ESSENTIAL)
    played = [scene for scene in play(places, mode, directory=tmp_path, stack=stack) if scene.facts.reached]
    check_matrix(required, places, [scene.facts.scene.place for scene in played])
    for scene in played:
        facts, place = scene.facts, scene.facts.scene.place
        assert facts.started - facts.asked < seams.TIMEOUT_S + MARGIN_S, f"{place}: the other was held up"
        assert facts.other, f"{place}: the other was never confirmed"
        assert not scene.lies(facts.other), f"{place}: I1, by the other"
        assert not scene.lies(facts.victim), f"{place}: I1, by the one that woke"
        assert bool(facts.victim) == (mode == "stop"), f"{place}: who wakes is protected in the end"
        assert not scene.agent.protected, f"{place}: I4"
    print(f"slowest start {max(scene.facts.started - scene.facts.asked for scene in played):.2f} s")
    print(f"slowest release {max(scene.facts.idle - scene.facts.released for scene in played):.2f} s")


def test_who_stops_just_before_it_reads_the_record_forgets_no_disable_that_another_has_sent_meanwhile(
    tmp_path: Path,
) -> None:
    clock = FastClock(speed=4.0)
    with FakeAgent(clock=clock) as agent:
        agent.fail(faults.LandLate(seams.LATE_S), only="disable")
        scene = Scene(uri=agent.uri, directory=str(tmp_path), place="acquire flock 0", mode="stop", **asdict(clock))
        (facts,) = told("late", [scene])
        assert facts.reached
        assert facts.victim, "in the end it is protected"
        landed = [change.time for change in agent.changes if change.cause == "late call"]
        assert landed, "the disable has landed"
        assert landed[0] < facts.victim[-1][1], "while the hold was in flight"
        assert not Played(agent=agent, facts=facts).lies(facts.victim)
