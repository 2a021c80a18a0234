"""What becomes of a message that cannot be kept, or cannot be deleted: its handler and the observers hear of it."""

from __future__ import annotations

from integrations.sqs.program import Order, Shape
from integrations.sqs.scene import Scene
from integrations.sqs.stage import Stage, shapes
from integrations.sqs.wire import Fault

VISIBILITY_S = 2
LONG_S = 4  # half of it is enough for a second try, on a busy machine too
EXTEND, DELETE = "ChangeMessageVisibilityBatch", "DeleteMessageBatch"
GONE = Fault(code="ReceiptHandleIsInvalid", entries=True)
NOT_IN_FLIGHT = Fault(code="AWS.SimpleQueueService.MessageNotInflight", entries=True)
NO_ANSWER = Fault(code="ThrottlingException")
BAD_ENTRIES = Fault(code="InternalError", entries=True)
BROKEN = Fault(code=None)
LOST_ONCE = ["MessageReceived", "MessageLost", "MessageReceived", "MessageSettled"]


def test_a_handler_hears_that_its_message_is_lost_and_it_is_not_deleted(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape, fault: Fault) -> None:
        (message,) = scene.send(Order(until_lost=True))
        scene.wire.fail(EXTEND, fault)
        with scene.consuming(shape, manager=scene.protected_manager(), visibility_timeout=VISIBILITY_S):
            scene.begun()
            scene.until(lambda: "lost" in scene.runs()[0].remarks, what="it is lost")
            scene.wire.heal()
            scene.settled(1)
        _, second = scene.runs()
        assert "lost" not in second.remarks
        assert scene.accounts().twice_at_once() == []
        assert [receipt.deleted_at < float("inf") for receipt in scene.accounts().of(message)] == [False, True]
        assert sorted(scene.told()) == sorted(LOST_ONCE)  # it may come again before it is told that it was lost

    few = shapes("for", "async for", "consumer", "async consumer")
    stage.each(play, zip(few, (GONE, NOT_IN_FLIGHT, NO_ANSWER) * 2, strict=False))


def test_an_extension_that_fails_once_is_tried_again_in_time(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape, fault: Fault) -> None:
        ids = scene.send(Order(run_s=1.25 * LONG_S))
        scene.wire.fail(EXTEND, fault, times=1)
        with scene.consuming(shape, manager=scene.protected_manager(), visibility_timeout=LONG_S):
            scene.settled(1)
        assert scene.accounts().faults(ids, visibility_s=LONG_S) == []
        assert scene.told() == ["MessageReceived", "MessageSettled"]

    stage.each(play, zip(shapes("for", "async consumer"), (BROKEN, BAD_ENTRIES, NO_ANSWER) * 2, strict=False))


def test_a_deletion_that_fails_is_tried_again(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape, fault: Fault) -> None:
        ids = scene.send(Order(), Order())
        scene.wire.fail(DELETE, fault, times=2)
        with scene.consuming(shape, manager=scene.protected_manager()):
            scene.settled(2)
        accounts = scene.accounts()
        assert accounts.faults(ids, visibility_s=4) == []
        assert [len(accounts.of(message)) for message in ids] == [1, 1]
        assert scene.is_empty()

    few = shapes("for", "async batches", "consumer", "async consumer")
    stage.each(play, zip(few, (NO_ANSWER, BAD_ENTRIES, BROKEN) * 2, strict=False))


def test_a_message_that_is_lost_when_it_is_to_be_deleted_is_told_and_comes_again(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        (message,) = scene.send(Order())
        scene.wire.fail(DELETE, GONE, times=1)
        with scene.consuming(shape, manager=scene.protected_manager(), visibility_timeout=VISIBILITY_S):
            scene.settled(1)
        assert len(scene.accounts().of(message)) == 2
        assert scene.told() == LOST_ONCE

    stage.each(play, shapes("batches", "consumer", "async for"))
