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
WAITS_S = [0.0, 0.001, 0.01, 0.03, 0.3, 1.0, 1.0, 2.5, 2.5, 7.0, 7.0, 13.0, 31.0, 70.0]
LONGEST_S = {"refused": 320.0, "misconfigured": 640.0, "may pass": 640.0}


def weather(luck: random.Random) -> Weather:
    kind = luck.choice(["fine", "ambiguous", "ambiguous", "ambiguous", *sorted(NO)])
    return Weather(
        kind=kind,
        lands_after_s=luck.choice([None, 0.0, 0.01, 3.0, 8.0, 11.99]),
        takes_s=luck.choice([0.001, 0.05, 1.0, 6.0]),
    )


def live(task: Task, luck: random.Random, steps: int) -> None:
    """One deed after another, and some time between them."""
    for _ in range(steps):
        deed, process = luck.choice(DEEDS), luck.choice(task.processes)
        if not process.stopped:
            act(task, process, deed)
        elif deed in {"go on", "begin", "fine"}:
            task.say(process.name, "goes on")
            process.stopped = False
            process.look()
        if deed == "weather":
            task.weather = weather(luck)
            task.say(task.weather)
        elif deed == "fine":
            task.weather = Weather()
        elif deed == "start" and len(task.processes) < 4:
            task.say(task.start().name, "starts")
        task.run(luck.choice(WAITS_S))


def act(task: Task, process: Process, deed: str) -> None:
    match deed:
        case "begin" if len(process.holds) < 2:
            task.say(process.name, "begins")
            process.begin()
        case "end" | "idle" if process.holds:
            task.say(process.name, "ends")
            process.end()
        case "die" if len(task.processes) > 1:
            task.say(process.name, "dies", process.sent.call if process.sent else "")
            process.die()
        case "stop":
            task.say(process.name, "is stopped", process.sent.call if process.sent else "")
            process.stopped = True
        case _:
            pass


def quiet(task: Task, kinds: set[str]) -> None:
    """I3, I4: when all faults end, ECS's state becomes the wanted one."""
    task.say("quiet")
    task.weather = Weather()
    for process in task.processes:
        process.stopped = False
        process.look()
    task.run(max(LONGEST_S.get(kind, 100.0) for kind in kinds) if task.holds else 1500.0)
    if task.holds:
        assert task.ecs.protected(), "work in flight, and not protected"
        assert all(process.confirmed for process in task.processes if process.holds)
    else:
        assert not task.ecs.protected(), "nothing in flight, and protected"


@pytest.mark.parametrize("block", range(8))
def test_whatever_happens_nobody_believes_a_lie_and_the_end_is_right(block: int, request) -> None:
    most = request.config.getoption("--examples") // 8
    for seed in range(block * most, (block + 1) * most):
        luck = random.Random(seed)
        task = Task(
            seed, Policy(lease_s=luck.choice([60.0, 60.0, 600.0, 7200.0]), linger_s=luck.choice([0.0, 1.0, 30.0]))
        )
        for _ in range(luck.choice([1, 2, 3])):
            task.start()
        try:
            live(task, luck, 40)
            quiet(task, {call for _, _, _, call in task.calls} | {"fine"})
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}\n" + "\n".join(task.script[-60:])) from error
