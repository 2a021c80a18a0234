"""The promises of several processes, held against a reference ECS through any weather, stops and deaths.

More than the suite's: `pytest tests/properties/test_task_promises.py --examples 20000`.
"""

from __future__ import annotations

import random

import pytest
from virtual_ecs import NO, Weather
from virtual_task import Process, Task

from protectwork._steps import Policy

DEEDS = ["begin", "begin", "end", "end", "end", "die", "stop", "go on", "weather", "weather", "fine", "start", "idle"]
HARSHER = ["declare", "die calling", "stop calling", "full", "full here", "full at the end", "heal", "heal", "heal"]
DECLARED_S = [10.0, 100.0, 5000.0, 20_000.0]
LEASES_S = [60.0, 60.0, 600.0, 7200.0]
LINGERS_S = [0.0, 1.0, 30.0]
WAITS_S = [0.0, 0.001, 0.01, 0.03, 0.3, 1.0, 1.0, 2.5, 2.5, 7.0, 7.0, 13.0, 31.0, 70.0]
FOUND = [435, 568, 775]  # beyond those of every run: each told a lie once
SETTLED_S = 100.0
LONGEST_S = {"refused": 220.0, "misconfigured": 540.0, "may pass": 540.0}  # after that


def weather(luck: random.Random) -> Weather:
    kind = luck.choice(["fine", "ambiguous", "ambiguous", "ambiguous", *sorted(NO)])
    return Weather(
        kind=kind,
        lands_after_s=luck.choice([None, 0.0, 0.01, 3.0, 8.0, 11.99]),
        takes_s=luck.choice([0.001, 0.05, 1.0, 6.0]),
    )


def policy(luck: random.Random) -> Policy:
    return Policy(lease_s=luck.choice(LEASES_S), linger_s=luck.choice(LINGERS_S))


def live(task: Task, luck: random.Random, deeds: list[str]) -> None:
    """One deed after another, and some time between them."""
    for _ in range(40):
        deed, process = luck.choice(deeds), luck.choice(task.processes)
        if not process.stopped:
            act(task, process, deed, luck)
        elif deed in {"go on", "begin", "fine"}:
            task.say(process.name, "goes on")
            process.go_on()
        befall(task, deed, luck)
        task.run(luck.choice(WAITS_S))


def act(task: Task, process: Process, deed: str, luck: random.Random) -> None:
    match deed:
        case "begin" if len(process.holds) < 2:
            task.say(process.name, "begins")
            process.begin()
        case "declare" if len(process.holds) < 2:
            declared_s = luck.choice(DECLARED_S)
            task.say(process.name, "begins, for", declared_s)
            process.begin(declared_s)
        case "end" | "idle" if process.holds:
            task.say(process.name, "ends")
            process.end()
        case "die" if len(task.processes) > 1:
            task.say(process.name, "dies", process.sent.call if process.sent else "")
            process.die()
        case "die calling" | "stop calling":
            process.at_next_call = "dies" if deed == "die calling" else "is stopped"
        case "stop":
            task.say(process.name, "is stopped", process.sent.call if process.sent else "")
            process.stopped = True
        case "full at the end" if process.holds:
            task.say("full for", process.name, "as its work ends")
            task.commons.full.add(process.state.owner)
            while process.holds:
                process.end()
        case "full here":
            task.say("full for", process.name)
            task.commons.full.add(process.state.owner)
        case _:
            pass


def befall(task: Task, deed: str, luck: random.Random) -> None:
    """What happens to all."""
    match deed:
        case "weather":
            task.weather = weather(luck)
            task.say(task.weather)
        case "fine":
            task.weather = Weather()
        case "start" if len(task.processes) < 4:
            own = policy(luck) if luck.random() < 0.5 else None
            task.say(task.start(own).name, "starts", own or "")
        case "full":
            task.say("full")
            task.commons.full.update(task.commons.alive)
        case "heal":
            task.say("healed")
            task.commons.full.clear()
        case _:
            pass


def quiet(task: Task) -> None:
    """I3, I4: when all faults end, ECS's state becomes the wanted one."""
    task.say("quiet")
    task.weather = Weather()
    task.commons.full.clear()
    for process in task.processes:
        process.at_next_call = ""
        process.go_on()
    task.run(SETTLED_S)
    if not as_wanted(task):  # a refusal is not asked again at once, and releases are few
        kinds = {kind for _, _, _, kind in task.calls}
        task.run(max((LONGEST_S.get(kind, 0.0) for kind in kinds), default=0.0) if task.holds else 1400.0)
    assert as_wanted(task), "work in flight, and not protected" if task.holds else "nothing in flight, and protected"


def as_wanted(task: Task) -> bool:
    if task.holds:
        return task.ecs.protected() and all(process.confirmed for process in task.processes if process.holds)
    return task.unwritten or not task.ecs.protected()  # of what is written nowhere nobody knows: it runs out


def play(seed: int) -> None:
    luck = random.Random(seed)
    task = Task(seed, policy(luck))
    for _ in range(luck.choice([1, 2, 3])):
        task.start()
    try:
        live(task, luck, luck.choice([DEEDS, DEEDS + HARSHER]))
        quiet(task)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}\n" + "\n".join(task.script[-60:])) from error


@pytest.mark.parametrize("seed", FOUND)
def test_what_was_found_once_stays_right(seed: int) -> None:
    play(seed)


@pytest.mark.parametrize("block", range(8))
def test_whatever_happens_nobody_believes_a_lie_and_the_end_is_right(block: int, request) -> None:
    most = request.config.getoption("--examples") // 8
    for seed in range(block * most, (block + 1) * most):
        play(seed)
