"""Other services use up the account's calls, and hardly any are left for this one, which is scaled in and deployed."""

from protectwork.lab.scenarios._stage import Stage


def play(stage: Stage) -> None:
    stage.begin()
    stage.service.quota.limit(burst=1, per_s=0.1)
    stage.service.quota.take()
    stage.wait(10, 20)
    stage.service.scale(stage.fewer())
    stage.wait(30, 60)
    stage.service.scale(stage.desired)
    stage.wait(10, 20)
    stage.service.deploy()
    stage.wait(30, 60)
    stage.service.quota.limit(burst=200, per_s=80)
    stage.settle()
