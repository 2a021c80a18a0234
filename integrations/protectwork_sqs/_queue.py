"""What can be asked of a queue, and what its answers mean; an answer for each message, never one for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

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
    """One queue. Its flows have no state, so any number of them may run at once.

    Args:
        url: Its URL.
        wait_s: For how long a receipt waits for a message, in whole seconds.
        visibility_s: For how long a received message is ours, in whole seconds.
    """

    def __init__(self, url: str, *, wait_s: int, visibility_s: int) -> None:
        self.url = url
        self.name = url.rstrip("/").rpartition("/")[2]
        self.is_fifo = self.name.endswith(".fifo")
        self.visibility_s = visibility_s
        self._wait_s = wait_s

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
        return self._batch("delete_message_batch", [{"ReceiptHandle": handle} for handle in handles])

    def hide(self, handles: Sequence[str], seconds: Sequence[int]) -> Flow[list[Verdict]]:
        """Have up to 10 messages be visible again in so many seconds each; raises nothing that the client raises."""
        pairs = zip(handles, seconds, strict=True)
        entries = [{"ReceiptHandle": handle, "VisibilityTimeout": after_s} for handle, after_s in pairs]
        return self._batch("change_message_visibility_batch", entries)

    def _batch(self, operation: str, entries: Sequence[Mapping[str, Any]]) -> Flow[list[Verdict]]:
        named = [{"Id": str(number), **entry} for number, entry in enumerate(entries)]
        try:
            verdicts = _verdicts((yield Call(operation, {"QueueUrl": self.url, "Entries": named})))
        except Exception:  # noqa: BLE001 - of a batch without an answer nothing is known: it is asked again
            verdicts = {}
        return [verdicts.get(entry["Id"], Verdict.AGAIN) for entry in named]


def _verdicts(reply: Any) -> dict[str, Verdict]:
    done = {str(entry.get("Id")): Verdict.DONE for entry in reply.get("Successful") or ()}
    return done | {str(entry.get("Id")): _failure(entry) for entry in reply.get("Failed") or ()}


def _failure(entry: Mapping[str, Any]) -> Verdict:
    code = str(entry.get("Code", "")).rpartition(".")[2]  # AWS.SimpleQueueService.… in some answers
    return Verdict.GONE if code in _GONE else Verdict.AGAIN
