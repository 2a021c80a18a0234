"""The service is scaled in and out again, over and over, while its jobs run."""

from protectwork.lab.scenarios._stage import Stage


def play(stage: Stage) -> None:
    stage.begin()
    for _ in range(4):
        stage.service.scale(stage.fewer())
        stage.wait(20, 40)
        stage.service.scale(stage.desired)
        stage.wait(10, 20)
    stage.settle()
