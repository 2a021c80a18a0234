"""The flows, driven by hand: what they ask, and how long they wait, whatever comes in between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from protectwork_sqs._bell import Stop
from protectwork_sqs._consuming import Consuming
from protectwork_sqs._custody import InHand
from protectwork_sqs._flow import Call, Flow, Wait
from protectwork_sqs._options import Options
from protectwork_sqs._queue import Verdict

from protectwork import ProtectionManager

from .sqs_client import URL, options

RECEIVED = {"Messages": [{"MessageId": "m0", "ReceiptHandle": "m0/1", "Body": "", "Attributes": {}}]}


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protectwork_sqs._flow.steady_now", lambda: 1000.0)


@pytest.fixture
def stop() -> Stop:
    return Stop()


@pytest.fixture
def consuming(manager: ProtectionManager, stop: Stop) -> Iterator[Consuming]:
    consuming = Consuming(Options.of(URL, **options(manager)), stop)
    yield consuming
    consuming.leave(consuming.custody.all())
    consuming.end()


def received(consuming: Consuming) -> list[InHand]:
    flow = consuming.take(1)
    assert called(flow.send(None)) == "receive_message"
    flow.send(RECEIVED)
    return ended(flow)


def called(effect: Call | Wait) -> str:
    assert isinstance(effect, Call)
    return effect.operation


def waited(effect: Call | Wait) -> float:
    assert isinstance(effect, Wait)
    return effect.seconds


def ended(flow: Flow[Any]) -> Any:
    with pytest.raises(StopIteration) as end:
        flow.send(None)
    return end.value.value


def test_a_bell_does_not_shorten_the_pause_before_a_message_is_deleted_once_more(consuming: Consuming) -> None:
    (item,) = received(consuming)
    item.message.done()
    flow = consuming.settle([item], lambda _: [])
    assert called(flow.send(None)) == "delete_message_batch"
    pause_s = waited(flow.send({}))
    assert 0 < pause_s == waited(flow.send(None)) == waited(flow.send(None))


def test_a_bell_does_not_shorten_the_pause_after_a_receipt_that_failed_but_the_word_to_stop_does(
    consuming: Consuming, stop: Stop
) -> None:
    flow = consuming.take(1)
    assert called(flow.send(None)) == "receive_message"
    pause_s = waited(flow.throw(ConnectionError()))
    assert 0 < pause_s == waited(flow.send(None)) == waited(flow.send(None))
    stop.set()
    assert ended(flow) == []


GARBAGE = [None, [], "no", 7, {"Successful": [None]}, {"Failed": 3}, {"Successful": None}, {"Successful": [{}]}]


@pytest.mark.parametrize("answer", GARBAGE)
def test_by_an_answer_that_is_none_nothing_is_known_so_it_is_asked_again(consuming: Consuming, answer: object) -> None:
    queue = consuming.queue
    for flow in (queue.delete(["one", "two"]), queue.hide(["one", "two"], [1, 1])):
        called(flow.send(None))
        with pytest.raises(StopIteration) as end:
            flow.send(answer)
        assert end.value.value == [Verdict.AGAIN, Verdict.AGAIN]


def test_an_answer_that_says_both_of_a_message_is_no_deletion(consuming: Consuming) -> None:
    flow = consuming.queue.delete(["one", "two", "three"])
    called(flow.send(None))
    gone = {"Id": "1", "Code": "AWS.SimpleQueueService.MessageNotInflight"}
    with pytest.raises(StopIteration) as end:
        flow.send({"Successful": [{"Id": "0"}, {"Id": "2"}], "Failed": [{"Id": "0", "Code": "InternalError"}, gone]})
    assert end.value.value == [Verdict.AGAIN, Verdict.GONE, Verdict.DONE]


class RefusedError(Exception):
    """An error as the client raises it, for what the role does not allow."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.response = {"Error": {"Code": code, "Message": message}}


def test_what_is_wrong_with_visibility_is_told_when_it_changes_and_not_each_time(
    consuming: Consuming, caplog: pytest.LogCaptureFixture
) -> None:
    denied = RefusedError("AccessDenied", "not authorized to perform: sqs:ChangeMessageVisibility")
    for fault in (denied, denied, ConnectionError("reset"), denied):
        flow = consuming.queue.hide(["one"], [1])
        called(flow.send(None))
        with pytest.raises(StopIteration):
            flow.throw(fault)
    assert ["AccessDenied" in text for text in caplog.messages] == [True, False, True]
    assert "not authorized to perform: sqs:ChangeMessageVisibility" in caplog.messages[0]
    assert "task role" in caplog.messages[0]
    assert "reset" in caplog.messages[1]


def test_what_is_wrong_with_one_message_of_a_batch_is_told_too(
    consuming: Consuming, caplog: pytest.LogCaptureFixture
) -> None:
    flow = consuming.queue.hide(["one", "two"], [1, 1])
    called(flow.send(None))
    failed = {"Id": "1", "Code": "InternalError", "Message": "an error of ours"}
    with pytest.raises(StopIteration):
        flow.send({"Successful": [{"Id": "0"}], "Failed": [failed]})
    assert "InternalError (an error of ours)" in caplog.text


def test_a_deletion_that_fails_is_blamed_on_what_was_said_of_it(
    consuming: Consuming, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protectwork_sqs._settling._TRIES_S", ())
    (item,) = received(consuming)
    item.message.done()
    flow = consuming.settle([item], lambda _: [])
    called(flow.send(None))
    with pytest.raises(StopIteration):
        flow.throw(ConnectionError("SQS is away"))
    error = caplog.messages[-1]
    assert "cannot be deleted" in error
    assert "SQS is away" in error
    assert "sqs:DeleteMessage" not in error


@pytest.mark.parametrize(("wait_time", "messages", "pauses"), [(0, [], True), (1, [], False), (0, [{}], False)])
def test_only_a_receipt_that_did_not_wait_and_brought_nothing_is_followed_by_a_pause(
    manager: ProtectionManager, stop: Stop, wait_time: int, messages: list[Any], *, pauses: bool
) -> None:
    consuming = Consuming(Options.of(URL, **options(manager, wait_time=wait_time)), stop)
    flow = consuming.take(1)
    called(flow.send(None))
    found = [{**RECEIVED["Messages"][0], **each} for each in messages]
    assert (waited(flow.send({"Messages": found})) > 0) == pauses
    flow.close()
    consuming.leave(consuming.custody.all())
    consuming.end()


def test_it_is_said_once_that_nothing_is_received_for_admission_is_closed(
    consuming: Consuming, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    consuming.manager.admission.close("the owner says so")
    try:
        for _ in range(3):
            flow = consuming.take(1)
            assert waited(flow.send(None)) > 0
            assert ended(flow) == []
    finally:
        consuming.manager.admission.reopen("the owner says so")
    assert [text for text in caplog.messages if "nothing is received from jobs" in text] == [
        "nothing is received from jobs: admission is closed (the owner says so)"
    ]
