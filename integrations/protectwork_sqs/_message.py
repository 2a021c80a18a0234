"""One message, as whoever handles it sees it."""

from __future__ import annotations

import asyncio
import time
from _thread import RLock
from collections.abc import Iterator, Mapping
from math import inf
from typing import Any, cast

from protectwork.adapters import steady_now

__all__ = ["Lost", "Message"]

_LOOK_EVERY_S = 0.05


class Lost:
    """Set for good when the message is not ours any more: SQS may deliver it again, while we still handle it.

    Like an event of threading and of asyncio at once. It is set by SQS's word, or by the clock when the visibility
    could not be extended in time, so no thread need tell of it. Safe in any thread and task.
    """

    __slots__ = ("_lock", "_until")

    def __init__(self, until: float) -> None:
        self._lock = RLock()  # guards _until: once the clock has passed it, it stays
        self._until = until

    def is_set(self) -> bool:
        """Whether it is. Never blocks."""
        with self._lock:
            return steady_now() >= self._until

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, for at most `timeout` seconds; return whether it is. Blocks this thread or greenlet."""
        ends = inf if timeout is None else steady_now() + timeout
        while not self.is_set() and (left_s := ends - steady_now()) > 0:
            time.sleep(min(left_s, _LOOK_EVERY_S))
        return self.is_set()

    async def wait_async(self) -> None:
        """Wait until it is set, in a task; may be cancelled."""
        while not self.is_set():  # noqa: ASYNC110 - the clock may set it, and no task of ours is there to tell
            await asyncio.sleep(_LOOK_EVERY_S)


class Visibility(Lost):
    """The same for those who extend it."""

    __slots__ = ()

    @property
    def left_s(self) -> float:
        """For how long the message is certainly ours."""
        return self._until - steady_now()

    def extend(self, until: float) -> None:
        """It is ours until then, unless it was lost before."""
        with self._lock:
            if not self.is_set():
                self._until = until

    def lose(self) -> None:
        """It is not ours any more."""
        with self._lock:
            self._until = -inf

    def end(self) -> None:
        """The message is settled: it cannot be lost any more."""
        self.extend(inf)


class Message(Mapping[str, Any]):
    """One message of a queue, from its receipt until it is settled.

    It can be read like boto3's own dictionary, ``message["Body"]`` and ``message.get("Attributes")``, so that existing
    code goes on working; but no two messages are equal. All methods are safe in any thread; none blocks.

    Attributes:
        id: SQS's id of it.
        body: Its body, a text.
        receipt_handle: SQS's name for this receipt of it.
        raw: The dictionary that the client gave.
        lost: Set when the message is not ours any more: stop, for another may be handling it. It is then not deleted.
    """

    __slots__ = ("_failed", "body", "id", "lost", "raw", "receipt_handle")

    def __init__(self, raw: Mapping[str, Any], visibility: Visibility) -> None:
        self.raw = raw
        self.id = str(raw.get("MessageId", ""))
        self.body = str(raw.get("Body", ""))
        self.receipt_handle = str(raw["ReceiptHandle"])
        self.lost: Lost = visibility
        self._failed: bool | None = None

    def __repr__(self) -> str:
        return f"<Message {self.id}>"

    def __getitem__(self, key: str) -> Any:
        return self.raw[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def attributes(self) -> Mapping[str, str]:
        """What SQS says of it: ``SentTimestamp``, ``MessageGroupId`` and so on."""
        return cast("Mapping[str, str]", self.raw.get("Attributes") or {})

    @property
    def message_attributes(self) -> Mapping[str, Any]:
        """What its sender says of it."""
        return cast("Mapping[str, Any]", self.raw.get("MessageAttributes") or {})

    @property
    def group_id(self) -> str | None:
        """Its message group, if it has one."""
        return self.attributes.get("MessageGroupId")

    @property
    def receive_count(self) -> int:
        """How often it was received so far, this time included, as far as SQS knows; 0 if SQS did not say."""
        count = self.attributes.get("ApproximateReceiveCount", "")
        return int(count) if count.isdecimal() else 0

    def done(self) -> None:
        """It is handled: it will be deleted when the body of the loop, the batch or the handler ends."""
        self._failed = False

    def failed(self) -> None:
        """It is not handled: it will not be deleted, but be visible again, at once or when its visibility ends."""
        self._failed = True

    @property
    def is_done(self) -> bool:
        """Whether `done` was called last."""
        return self._failed is False

    @property
    def has_failed(self) -> bool:
        """Whether `failed` was called last."""
        return self._failed is True
