"""A worker for which nothing comes: it calls nobody, or leaves ECS gaps in which to stop it."""

from __future__ import annotations

from itertools import pairwise

from integrations.sqs.program import Order, Shape
from integrations.sqs.scene import Scene
from integrations.sqs.stage import Stage, shapes

from protectwork.testing import Change

FAST = 200.0
"""How much faster the manager's time runs, so that what it may spend on releases grows again."""
LINGER_S = 0.4
GAPS = 4


def test_an_idle_consumer_makes_no_call_at_all(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        with scene.consuming(shape, manager=scene.manager()):
            scene.wire.until(lambda: len(scene.wire.exchanges("ReceiveMessage")) >= 3, what=lambda: "it waits again")
        assert scene.agent.calls == ()

    stage.each(play, shapes("for", "async for", "consumer", "async consumer"))


def test_in_strict_order_an_idle_consumer_leaves_gaps_in_which_ecs_may_stop_it(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        # So fast a clock takes a moment without a processor for a process that was stopped, and a call for not sent.
        manager = scene.manager(speed=FAST, linger=LINGER_S, on_unprotected="raise")
        with scene.consuming(shape, manager=manager, strict=True, wait_time=0):
            assert scene.agent.wait_until(lambda: len(rises(scene)) > GAPS, timeout_s=60)
            scene.send(Order())
            scene.settled(1)
        first, *_, last = rises(scene)[: GAPS + 1]
        protected_s = sum(
            two.time - one.time for one, two in pairwise(scene.agent.changes) if one.protected and two.time <= last.time
        )
        share = protected_s / (last.time - first.time)
        print(f"{shape}: idle, and protected {share:.0%} of the time; {len(scene.agent.calls)} calls")
        assert share <= 0.5
        assert [
            exchange for exchange in scene.wire.exchanges("ReceiveMessage") if in_a_gap(scene, exchange.asked)
        ] == []
        assert scene.accounts().unprotected() == []

    stage.each(play, shapes("for", "async consumer"))


def rises(scene: Scene) -> list[Change]:
    """When the task became protected."""
    return [change for change in scene.agent.changes if change.protected]


def in_a_gap(scene: Scene, moment: float) -> bool:
    return not scene.agent.was_protected(moment, moment)
