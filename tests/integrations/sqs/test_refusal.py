"""While ECS refuses nothing is handled, and what was received is visible again at once; after that all goes on."""

from __future__ import annotations

from collections import Counter

from integrations.sqs.program import Order, Shape
from integrations.sqs.scene import Scene
from integrations.sqs.stage import Stage, shapes

from protectwork import ProtectionManager
from protectwork.testing.faults import Refuse

FAST = 30.0
"""How much faster the manager's time runs: ECS is asked again a second after it has refused."""

VISIBILITY_S = 30  # what is only visible again because its time is over was stranded
MESSAGES = 4


def refused_manager(scene: Scene, **settings: object) -> ProtectionManager:
    scene.agent.fail(Refuse(), times=None, only="enable")
    return scene.manager(speed=FAST, **settings)


def asked_again(scene: Scene, *, times: int = 2) -> None:
    number = len(scene.agent.enables) + times
    assert scene.agent.wait_until(lambda: len(scene.agent.enables) >= number, timeout_s=60)


def test_a_refusal_returns_what_was_received_and_a_confirmation_resumes(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        manager = refused_manager(scene)
        ids = scene.send(*(Order(number=number) for number in range(MESSAGES)))
        with scene.consuming(shape, manager=manager, visibility_timeout=VISIBILITY_S):
            asked_again(scene, times=3)
            accounts = scene.accounts()
            assert not accounts.runs
            assert accounts.receipts
            assert accounts.not_given_back() == []
            assert scene.visible() == MESSAGES
            assert max(Counter(receipt.id for receipt in accounts.receipts.values()).values()) == 1
            scene.agent.heal()
            scene.settled(MESSAGES)
        accounts = scene.accounts()
        assert accounts.faults(ids, visibility_s=VISIBILITY_S) == []
        assert {run.id for run in accounts.runs} == set(ids)
        assert max(len(accounts.of(message)) for message in ids) <= 2

    stage.each(play, shapes("for", "batches", "async for", "consumer", "async consumer"))


def test_in_strict_order_nothing_is_received_while_ecs_refuses(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        manager = refused_manager(scene)
        ids = scene.send(Order())
        with scene.consuming(shape, manager=manager, strict=True):
            asked_again(scene)
            assert scene.wire.exchanges("ReceiveMessage") == []
            scene.agent.heal()
            scene.settled(1)
        assert scene.accounts().faults(ids, visibility_s=VISIBILITY_S) == []
        assert len(scene.accounts().receipts) == 1

    stage.each(play, shapes("for", "async consumer"))


def test_a_worker_that_is_to_run_on_does_so_unprotected(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape, setting: str | None, argument: str | None) -> None:
        manager = refused_manager(scene, when_refused=setting)
        ids = scene.send(Order(), Order())
        with scene.consuming(shape, manager=manager, when_refused=argument):
            scene.settled(2)
        accounts = scene.accounts()
        assert len(accounts.unprotected()) == 2
        assert accounts.unsettled(ids) == []

    stage.each(play, [("for", "pause", "run"), ("consumer", "run", None), ("async consumer", None, "run")])


def test_the_argument_wins_over_the_setting_and_work_that_insists_over_both(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape, setting: str, argument: str, on_unprotected: str) -> None:
        manager = refused_manager(scene, when_refused=setting, on_unprotected=on_unprotected)
        ids = scene.send(Order())
        with scene.consuming(shape, manager=manager, when_refused=argument, visibility_timeout=VISIBILITY_S):
            asked_again(scene, times=3)
            assert not scene.runs()
            assert len(scene.accounts().receipts) == 1
            assert scene.accounts().not_given_back() == []
            scene.agent.heal()
            scene.settled(1)
        assert scene.accounts().faults(ids, visibility_s=VISIBILITY_S) == []

    stage.each(
        play,
        [
            ("consumer", "run", "pause", "run"),
            ("for", "run", "run", "raise"),
            ("async consumer", "run", "run", "raise"),
        ],
    )
