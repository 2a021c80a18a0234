"""What becomes of each message, for the observers of the manager: see `ProtectionManager.subscribe`."""

from __future__ import annotations

from dataclasses import dataclass

from protectwork import AdapterEvent

__all__ = ["MessageLost", "MessageReceived", "MessageReturned", "MessageSettled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReceived(AdapterEvent):
    """A message of `queue` (its name) came, for the `receive_count`-th time as SQS counts; 0 if SQS did not say."""

    queue: str
    message_id: str
    receive_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSettled(AdapterEvent):
    """A message was handled and deleted."""

    queue: str
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReturned(AdapterEvent):
    """A message was not handled, or its handling failed: it will be visible again in `visible_in_s` seconds, or now."""

    queue: str
    message_id: str
    visible_in_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLost(AdapterEvent):
    """A message in hand is not ours any more: SQS may deliver it to somebody else, so it is not deleted."""

    queue: str
    message_id: str
