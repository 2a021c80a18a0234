"""What can be asked of a queue, and what its answers mean; an answer for each message, never one for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from protectwork_sqs._faults import Trouble
from protectwork_sqs._flow import Call, Flow

__all__ = ["Queue", "Verdict"]

_GONE = frozenset({"ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidReceiptHandle"})


class Verdict(Enum):
    """What SQS said of one message of a batch."""

    DONE = "done"
    GONE = "gone"
    """It is not in our hand any more."""
    AGAIN = "again"
    """Neither is known: a fault, a limit, no answer."""


class Queue:
    """One queue. Any number of its flows may run at once.

    Args:
        url: Its URL.
        wait_s: For how long a receipt waits for a message, in whole seconds.
        visibility_s: For how long a received message is ours, in whole seconds.

    Attributes:
        deleting: What is wrong with that, if something is.
        hiding: The same of what changes visibility.
    """

    def __init__(self, url: str, *, wait_s: int, visibility_s: int) -> None:
        self.url = url
        self.name = url.rstrip("/").rpartition("/")[2]
        self.is_fifo = self.name.endswith(".fifo")
        self.visibility_s = visibility_s
        self._wait_s = wait_s
        self.deleting = Trouble(f"messages of {self.name} cannot be deleted")
        self.hiding = Trouble(f"the visibility of messages of {self.name} cannot be changed")

    def receive(self, most: int) -> Flow[Sequence[Mapping[str, Any]]]:
        """Receive up to `most` messages (1 to 10); raises what the client raises."""
        arguments = {
            "QueueUrl": self.url,
            "MaxNumberOfMessages": most,
            "WaitTimeSeconds": self._wait_s,
            "VisibilityTimeout": self.visibility_s,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        reply = yield Call("receive_message", arguments)
        found: list[Mapping[str, Any]] = reply.get("Messages") or []
        return [raw for raw in found if raw.get("ReceiptHandle")]

    def delete(self, handles: Sequence[str]) -> Flow[list[Verdict]]:
        """Delete up to 10 messages; raises nothing that the client raises."""
        return self._batch("delete_message_batch", [{"ReceiptHandle": handle} for handle in handles], self.deleting)

    def hide(self, handles: Sequence[str], seconds: Sequence[int]) -> Flow[list[Verdict]]:
        """Have up to 10 messages be visible again in so many seconds each; raises nothing that the client raises."""
        pairs = zip(handles, seconds, strict=True)
        entries = [{"ReceiptHandle": handle, "VisibilityTimeout": after_s} for handle, after_s in pairs]
        return self._batch("change_message_visibility_batch", entries, self.hiding)

    def _batch(self, operation: str, entries: Sequence[Mapping[str, Any]], trouble: Trouble) -> Flow[list[Verdict]]:
        named = [{"Id": str(number), **entry} for number, entry in enumerate(entries)]
        try:
            reply = yield Call(operation, {"QueueUrl": self.url, "Entries": named})
            found = _verdicts(reply)
        except Exception as error:  # noqa: BLE001 - of a batch without an answer nothing is known: it is asked again
            trouble.failed(error)
            return [Verdict.AGAIN] * len(named)
        verdicts = [found.get(entry["Id"], Verdict.AGAIN) for entry in named]
        if Verdict.AGAIN in verdicts:
            trouble.failed(_Unanswered(reply))
        else:
            trouble.passed()
        return verdicts


class _Unanswered(Exception):  # noqa: N818 - it is never raised
    """Some of a batch were neither done nor gone: says of the first what SQS said, as the client's own errors do."""

    def __init__(self, reply: Mapping[str, Any]) -> None:
        failed = [entry for entry in reply.get("Failed") or () if _failure(entry) is Verdict.AGAIN]
        self.response = {"Error": failed[0] if failed else {"Code": "NoAnswer"}}
        super().__init__(self.response["Error"].get("Message") or "for some messages of a batch")


def _verdicts(reply: Any) -> dict[str, Verdict]:
    done = {str(entry.get("Id")): Verdict.DONE for entry in reply.get("Successful") or ()}
    return done | {str(entry.get("Id")): _failure(entry) for entry in reply.get("Failed") or ()}


def _failure(entry: Mapping[str, Any]) -> Verdict:
    code = str(entry.get("Code", "")).rpartition(".")[2]  # AWS.SimpleQueueService.… in some answers
    return Verdict.GONE if code in _GONE else Verdict.AGAIN
