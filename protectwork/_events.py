"""What a manager tells its observers: frozen values, so that tests assert on them and never on the text of a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from protectwork._types import Answer

__all__ = [
    "AdapterEvent",
    "AdmissionClosed",
    "AdmissionOpened",
    "CallFinished",
    "Event",
    "HoldOverran",
    "LeaseAtRisk",
    "LeaseConfirmed",
    "LeaseLost",
    "LeaseRecovered",
    "LeaseRefused",
    "LeaseReleased",
    "LeaseRenewed",
    "Observer",
    "SharedStateUnavailable",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseConfirmed:
    """A lease was taken: the task is protected for at least ``slack_s`` more seconds."""

    slack_s: float
    minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRenewed:
    """The lease was extended: the task is protected for at least ``slack_s`` more seconds."""

    slack_s: float
    minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseReleased:
    """The lease was given back: nothing is in flight, and ECS may stop the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRefused:
    """ECS refused to protect the task. Told once, until a lease is confirmed again.

    Attributes:
        answer: ECS's reason and detail.
        in_flight: The number of holds in flight.
        slack_s: For how much longer the lease that was granted before still holds; 0 without one.
    """

    answer: Answer
    in_flight: int
    slack_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseAtRisk:
    """A lease could not be taken or renewed, for another cause than a refusal. Told once per outage.

    Attributes:
        answer: What the call came to.
        in_flight: The number of holds in flight.
        slack_s: For how much longer the lease that was granted before still holds; 0 without one.
    """

    answer: Answer
    in_flight: int
    slack_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost:
    """The lease ran out while ``in_flight`` holds were in flight: ECS may stop the task at any moment."""

    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecovered:
    """Work that had lost its lease is protected again, for at least ``slack_s`` more seconds."""

    slack_s: float
    minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOverran:
    """A hold runs longer than the ``max_duration`` it declared. Told once; it stays protected, and is never cut."""

    label: str
    max_duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished:
    """One call to ECS ended: ``call`` is ``"enable"``, ``"disable"`` or ``"get"``."""

    call: str
    answer: Answer
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionClosed:
    """Adapters take no new work from now on; ``reason`` says why."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionOpened:
    """Adapters may take new work again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedStateUnavailable:
    """The processes of the task cannot share their state, or not all of it. Told once per cause.

    Attributes:
        reason: What is wrong: value, rule and remedy.
        alone: This process counts for itself: the first to become idle ends the protection of the others. Otherwise
            only the record cannot be written: who is busy is still known, and it is tried again every 30 s.
        releases: Whether this process ends protection when it is idle itself; not if the state is another user's.
    """

    reason: str
    alone: bool = True
    releases: bool = True


class AdapterEvent:
    """The base of what adapters tell of their own business, of messages for example: see `ProtectionManager.tell`."""

    __slots__ = ()


Event = (
    LeaseConfirmed
    | LeaseRenewed
    | LeaseReleased
    | LeaseRefused
    | LeaseAtRisk
    | LeaseLost
    | LeaseRecovered
    | HoldOverran
    | CallFinished
    | AdmissionClosed
    | AdmissionOpened
    | SharedStateUnavailable
    | AdapterEvent
)


class Observer(Protocol):
    """Hears of every event of a manager, in order, on a thread of its own: it may block, raise, or call the manager."""

    def on_event(self, event: Event) -> None:
        """Take note of one event."""
        ...
