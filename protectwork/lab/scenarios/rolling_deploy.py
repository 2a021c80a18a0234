"""A deployment replaces every task while jobs run, and another one soon after it."""

from protectwork.lab.scenarios._stage import Stage


def play(stage: Stage) -> None:
    stage.begin()
    stage.service.deploy()
    stage.wait_until(stage.deployed, most_s=600)
    stage.wait(10, 30)
    stage.service.deploy()
    stage.settle()
