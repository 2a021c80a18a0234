"""Spot capacity is taken away, protected or not, which protection does not cover; and the service is scaled in."""

from protectwork.lab.scenarios._stage import Stage


def play(stage: Stage) -> None:
    stage.begin()
    for _ in range(3):
        if task := stage.any_task():
            stage.service.spot_interrupt(task)
        stage.wait(10, 30)
        stage.service.scale(stage.fewer())
        stage.wait(10, 30)
        stage.service.scale(stage.desired)
        stage.wait(10, 20)
    stage.settle()
