"""In a FIFO queue the messages of a group are handled in order, whatever fails; what waits behind goes back with it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from integrations.celery_worker.journal import Run
from integrations.sqs.program import Order, Shape
from integrations.sqs.scene import Scene
from integrations.sqs.stage import Stage, shapes

GROUPS, EACH = 3, 4
VISIBILITY_S = 2


def group_of(order: Order) -> str:
    return f"group-{order.number % GROUPS}"


def number_of(run: Run) -> int:
    return int(run.remarks["number"])


def by_group(runs: list[Run]) -> list[list[Run]]:
    return [[run for run in runs if number_of(run) % GROUPS == group] for group in range(GROUPS)]


def batch_size(shape: Shape) -> dict[str, int]:
    return {} if "consumer" in shape else {"batch_size": 10}


def test_a_group_is_handled_in_order_whatever_fails(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape, on_failure: str) -> None:
        numbers = range(GROUPS * EACH)
        orders = [Order(number=number, run_s=0.02, fails=(1,) if number in (0, 4) else ()) for number in numbers]
        ids = scene.send(*orders, group=group_of)
        manager = scene.protected_manager()
        options = {"on_failure": on_failure, "visibility_timeout": VISIBILITY_S, **batch_size(shape)}
        with scene.consuming(shape, manager=manager, **options):
            scene.settled(len(ids))
        runs = sorted(scene.runs(), key=lambda run: run.start)
        at_once = [(one, two) for group in by_group(runs) for one, two in pairwise(group) if two.start < one.last]
        assert at_once == []
        if "batches" not in shape:  # there the body decides what comes after one that failed
            handled = [run for run in runs if run.remarks["result"] == "handled"]
            assert [list(map(number_of, group)) for group in by_group(handled)] == [
                list(range(group, GROUPS * EACH, GROUPS)) for group in range(GROUPS)
            ]
        assert scene.accounts().faults(ids, visibility_s=VISIBILITY_S) == []
        assert scene.is_empty()

    cases = zip(shapes("for", "batches", "consumer", "async consumer"), ("leave", "return") * 3, strict=False)
    stage.each(play, cases, fifo=True)


def test_what_waits_behind_one_that_failed_goes_back_with_it_in_order(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        scene.send(*(Order(number=number, fails=(1,) if number == 0 else ()) for number in range(4)))
        options = {"on_failure": "return", "visibility_timeout": 30, **batch_size(shape)}
        with scene.consuming(shape, manager=scene.protected_manager(), **options):
            scene.settled(4)
        returned = scene.wire.exchanges("ChangeMessageVisibilityBatch")[0].request["Entries"]
        received = scene.wire.exchanges("ReceiveMessage")[0].answer["Messages"]
        assert [each["ReceiptHandle"] for each in returned] == [each["ReceiptHandle"] for each in received]
        assert list(map(number_of, scene.runs())) == [0, 0, 1, 2, 3]

    stage.each(play, [shape for shape in shapes("for", "async consumer") if "batches" not in shape], fifo=True)


def test_where_a_message_is_left_its_group_waits_for_it(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        scene.send(*(Order(number=number, fails=(1,) if number == 1 else ()) for number in range(3)))
        options = {"on_failure": "leave", "visibility_timeout": VISIBILITY_S, **batch_size(shape)}
        with scene.consuming(shape, manager=scene.protected_manager(), **options):
            scene.settled(3)
        assert list(map(number_of, scene.runs())) == [0, 1, 1, 2]

    stage.each(play, [shape for shape in shapes("async for", "consumer") if "batches" not in shape], fifo=True)


@pytest.mark.parametrize("sqs", ["moto"], indirect=True)  # fauxqs never gives two of a group
def test_the_next_of_a_group_starts_at_once_and_not_when_a_receipt_ends(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        scene.send(*(Order(number=number) for number in range(3)))
        with scene.consuming(shape, manager=scene.protected_manager(), wait_time=5) as consuming:
            scene.settled(3)
            first, *later = scene.wire.exchanges("ReceiveMessage")
            consuming.stop()
            scene.send(Order(number=3))  # ends the receipt that is under way, so that nobody has to wait for it
        assert len(first.answer["Messages"]) == 3
        assert [receipt for receipt in later if 0 < receipt.answered < scene.runs()[2].start] == []

    stage.each(play, ["consumer", "async consumer"], fifo=True)
