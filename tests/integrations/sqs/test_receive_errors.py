"""Receipts that fail are tried again, ever more seldom; where that goes on for too long, one clear error ends it."""

from __future__ import annotations

from itertools import pairwise

from integrations.sqs.program import Order, Shape
from integrations.sqs.scene import Scene
from integrations.sqs.stage import Stage, shapes
from integrations.sqs.wire import Fault
from protectwork_sqs import QueueError

RECEIVE = "ReceiveMessage"
GONE = Fault(code="AWS.SimpleQueueService.NonExistentQueue")
DENIED = Fault(code="AccessDeniedException", status=403)
EXPIRED = Fault(code="ExpiredTokenException", status=403)
THROTTLED = Fault(code="ThrottlingException")
BROKEN = Fault(code=None)

FIRST_PAUSE_S = 0.25  # half of what it is without jitter; it doubles


def error_of(scene: Scene, shape: Shape, *, give_up_after: float = 1.0) -> QueueError:
    """What consuming ends with, all by itself."""
    with scene.consuming(shape, give_up_after=give_up_after, wait_time=0) as consuming:
        error = consuming.over()
    assert isinstance(error, QueueError), repr(error)
    assert error.queue_url == scene.url
    assert scene.url in str(error)
    return error


def test_after_the_bound_there_is_an_error_that_says_what_is_wrong_and_what_helps(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape, fault: Fault, reason: str, remedy: str | None) -> None:
        scene.wire.fail(RECEIVE, fault)
        error = error_of(scene, shape)
        assert error.reason == reason
        assert remedy is None or remedy in (error.remedy or "")
        asked = [receipt.asked for receipt in scene.wire.exchanges(RECEIVE)]
        assert len(asked) >= 3
        assert asked[-1] - asked[0] >= 1.0, "it gave up too early"
        grown = [FIRST_PAUSE_S * 2**number for number in range(len(asked) - 2)]  # the last one ends at the bound
        assert all(two - one >= pause_s for (one, two), pause_s in zip(pairwise(asked), grown, strict=False))

    cases = [
        ("for", GONE, "NonExistentQueue", "name, account and Region"),
        ("async for", EXPIRED, "ExpiredTokenException", "renew the credentials"),
        ("consumer", DENIED, "AccessDeniedException", "sqs:ReceiveMessage"),
        ("async consumer", THROTTLED, "ThrottlingException", None),
        ("batches", BROKEN, "ConnectionClosedError", None),
    ]
    stage.each(play, cases)


def test_a_queue_that_is_deleted_meanwhile_is_such_an_error(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        scene.aws.delete_queue(QueueUrl=scene.url)
        error = error_of(scene, shape, give_up_after=0.1)
        assert error.reason in {"NonExistentQueue", "QueueDoesNotExist"}
        assert "look at the queue's name" in str(error)

    stage.each(play, shapes("for", "async consumer"))


def test_nobody_who_answers_is_such_an_error(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        scene.wire.close()
        assert error_of(scene, shape, give_up_after=0.3).reason in {"EndpointConnectionError", "ClientConnectorError"}

    stage.each(play, shapes("consumer", "async for"))


def test_a_fault_that_passes_is_survived(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape, fault: Fault) -> None:
        ids = scene.send(Order())
        scene.wire.fail(RECEIVE, fault, times=2)
        with scene.consuming(shape) as consuming:
            scene.settled(1)
        assert consuming.error is None
        assert scene.accounts().faults(ids, visibility_s=4) == []

    stage.each(play, [("for", BROKEN), ("async for", EXPIRED), ("consumer", GONE), ("async consumer", THROTTLED)])


def test_the_error_comes_when_what_runs_has_ended_and_is_settled(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        ids = scene.send(Order(run_s=1.5))
        with scene.consuming(shape, give_up_after=0.1) as consuming:
            scene.begun()
            scene.wire.fail(RECEIVE, EXPIRED)
            assert isinstance(consuming.over(), QueueError)
        assert scene.accounts().faults(ids, visibility_s=4) == []
        assert scene.is_empty()

    stage.each(play, ["consumer", "async consumer"])


def test_a_stop_ends_the_pause_between_two_tries(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        scene.wire.fail(RECEIVE, THROTTLED)
        with scene.consuming(shape) as consuming:
            scene.wire.until(lambda: len(scene.wire.exchanges(RECEIVE)) >= 3, what=lambda: "it has tried three times")
        assert consuming.error is None
        assert len(scene.wire.exchanges(RECEIVE)) == 3

    stage.each(play, shapes("for", "async consumer"))
