"""A child that a handler forks owns nothing of its parent's: it settles no message, and gives none back."""

from __future__ import annotations

import os
import signal

from integrations.celery_worker.journal import Run
from integrations.sqs.program import CHILD, Order, Shape
from integrations.sqs.scene import Scene
from integrations.sqs.stage import Stage

VISIBILITY_S = 30  # what is only visible again because its time is over was stranded


def child_of(scene: Scene) -> Run:
    """Wait for the run of the child."""
    scene.until(lambda: any(run.name == CHILD for run in scene.runs()), what="a child runs")
    (child,) = (run for run in scene.runs() if run.name == CHILD)
    return child


def test_a_child_that_goes_on_as_if_it_were_its_parent_settles_nothing(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape, fork: str, code: int) -> None:
        ids = scene.send(Order(fork=fork, run_s=0.3), Order(), Order())
        size = {} if shape == "consumer" else {"batch_size": 3}
        plan = scene.plan(shape, concurrency=1, visibility_timeout=VISIBILITY_S, **size)
        worker = scene.worker(plan, hears=False)
        child = child_of(scene)
        assert child.pid != worker.pid
        scene.settled(3, workers=[worker])
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0
        runs = [run for run in scene.runs() if run.name != CHILD]
        assert {run.pid for run in runs} == {worker.pid}
        assert [run.remarks["child"] for run in runs if "child" in run.remarks] == [str(code)]
        accounts = scene.accounts()
        assert [len(accounts.of(message)) for message in ids] == [1, 1, 1]
        assert accounts.deleted_without_being_handled() == []
        assert accounts.unsettled(ids) == []
        assert scene.wire.exchanges("ChangeMessageVisibilityBatch") == []

    cases = [("for", "goes on", 0), ("for", "raises", 1), ("for", "exits", 7), ("batches", "exits", 7)]
    stage.each(play, cases)


def test_a_child_that_lives_on_dies_by_sigterm_and_its_parent_goes_on(stage: Stage) -> None:
    def play(scene: Scene, shape: Shape) -> None:
        ids = scene.send(Order(fork="waits"), Order())
        plan = scene.plan(shape, concurrency=2, visibility_timeout=VISIBILITY_S)
        worker = scene.worker(plan, hears=False)
        os.kill(child_of(scene).pid, signal.SIGTERM)
        scene.settled(2, workers=[worker])
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0
        runs = [run for run in scene.runs() if run.name != CHILD]
        assert [run.remarks["child"] for run in runs if "child" in run.remarks] == [str(-signal.SIGTERM)]
        assert scene.accounts().unsettled(ids) == []
        assert scene.wire.exchanges("ChangeMessageVisibilityBatch") == []

    stage.each(play, ["for", "batches", "consumer"])
