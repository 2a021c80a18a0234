"""The accountant finds what a worker does to messages that is none of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from integrations.celery_worker.journal import Body
from integrations.sqs.program import Order, client
from integrations.sqs.scene import Scene

VISIBILITY_S = 30


class NaiveWorker:
    """One that people write: receive, handle, delete, each when it is told to."""

    def __init__(self, scene: Scene, aws: Any, journal: Path) -> None:
        self._scene, self._aws, self._journal = scene, aws, journal

    def receive(self) -> dict[str, Any]:
        reply = self._aws.receive_message(QueueUrl=self._scene.url, VisibilityTimeout=VISIBILITY_S)
        (message,) = reply["Messages"]
        return dict(message)

    def begin(self, message: dict[str, Any]) -> Body:
        body = Body("job", task_id=message["MessageId"], journal=self._journal)
        body.note("start")
        body.note("receipt", message["ReceiptHandle"])
        return body

    def end(self, body: Body) -> None:
        body.note("result", "handled")
        body.note("end")

    def delete(self, message: dict[str, Any]) -> None:
        entries = [{"Id": "0", "ReceiptHandle": message["ReceiptHandle"]}]
        self._aws.delete_message_batch(QueueUrl=self._scene.url, Entries=entries)

    def hide(self, message: dict[str, Any], for_s: int) -> None:
        entries = [{"Id": "0", "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": for_s}]
        self._aws.change_message_visibility_batch(QueueUrl=self._scene.url, Entries=entries)


@pytest.fixture
def worker(scene: Scene) -> Iterator[NaiveWorker]:
    with closing(client(scene.wire.url)) as aws:
        yield NaiveWorker(scene, aws, scene.journal)


def found(scene: Scene, ids: list[str]) -> list[str]:
    return [fault.partition(":")[0] for fault in scene.accounts().faults(ids, visibility_s=VISIBILITY_S)]


def test_a_worker_that_does_all_well_but_protects_nothing(scene: Scene, worker: NaiveWorker) -> None:
    ids = scene.send(Order())
    message = worker.receive()
    worker.end(worker.begin(message))
    worker.delete(message)
    assert found(scene, ids) == ["unprotected"]


def test_a_message_that_is_given_back_while_it_is_handled(scene: Scene, worker: NaiveWorker) -> None:
    scene.agent.task.enable()
    ids = scene.send(Order())
    first = worker.receive()
    one = worker.begin(first)
    worker.hide(first, 0)
    second = worker.receive()
    two = worker.begin(second)
    worker.end(two)
    worker.end(one)
    worker.delete(second)
    assert found(scene, ids) == ["twice at once"]


def test_a_message_that_is_deleted_before_it_is_handled(scene: Scene, worker: NaiveWorker) -> None:
    scene.agent.task.enable()
    ids = scene.send(Order())
    message = worker.receive()
    body = worker.begin(message)
    worker.delete(message)
    worker.end(body)
    assert found(scene, ids) == ["deleted without being handled"]


def test_a_message_that_is_forgotten(scene: Scene, worker: NaiveWorker) -> None:
    ids = scene.send(Order())
    message = worker.receive()
    assert found(scene, ids) == ["never settled"]
    assert len(scene.accounts().not_given_back()) == 1
    worker.hide(message, 2 * VISIBILITY_S)
    assert found(scene, ids) == ["stranded", "never settled"]
