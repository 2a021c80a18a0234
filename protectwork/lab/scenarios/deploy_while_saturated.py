"""A deployment begins when every task is at work, and none of them ever has nothing to do."""

from protectwork.lab.scenarios._stage import Stage


def play(stage: Stage) -> None:
    stage.begin()
    stage.service.deploy()
    stage.wait_until(stage.deployed, most_s=300)  # if it is not by then, the report says why
