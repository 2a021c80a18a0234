"""The agents fail while the service is scaled in, each time in another way."""

from protectwork.lab.scenarios._stage import Stage
from protectwork.testing.faults import Drop, Error, Fault, Hang


def play(stage: Stage) -> None:
    stage.begin()
    outages: list[Fault] = [Hang(), Drop(), Error(500)]
    stage.random.shuffle(outages)
    for outage in outages:
        stage.service.agent.fail(outage, times=None)
        stage.wait(5, 15)
        stage.service.scale(stage.fewer())
        stage.wait(15, 45)
        stage.service.agent.heal()
        stage.service.scale(stage.desired)
        stage.wait(10, 20)
    stage.settle()
