"""The values that travel between the floors: what ECS answered, and what a manager reports of itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = [
    "Answer",
    "HoldStatus",
    "Outcome",
    "Seconds",
    "State",
    "Status",
    "TaskFailure",
    "TaskProtection",
    "TaskProtections",
]

Seconds = float | timedelta
"""A duration at the edge of the library: a number of seconds, or a timedelta."""


class Outcome(StrEnum):
    """What one call to ECS came to; every answer is exactly one of these (contract §3)."""

    CONFIRMED = "confirmed"
    """ECS did what was asked, and said so in so many words."""
    REFUSED = "refused"
    """ECS said no: ``DEPLOYMENT_BLOCKED``, ``MISSING``, or a reason it invents tomorrow."""
    THROTTLED = "throttled"
    """ECS or the agent said no because of the rate of calls."""
    AMBIGUOUS = "ambiguous"
    """Nobody knows whether it was done, or will be: a time-out, a reset, a 5xx, garbage."""
    UNAVAILABLE = "unavailable"
    """Nothing was sent: connection refused, name not found, connect time-out."""
    MISCONFIGURED = "misconfigured"
    """It cannot work until somebody mends the set-up: permissions, endpoint, cluster."""
    NOT_A_SERVICE_TASK = "not-a-service-task"
    """The task belongs to no service, so there is nothing that it could be protected from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One classified answer of ECS.

    Attributes:
        outcome: What it came to.
        protected: Whether the task is protected; only of a confirmed answer.
        expires_at: When ECS says that protection ends (aware, UTC), where it said so.
        reason: ECS's reason or error code, or what went wrong; at most 200 printable characters.
        detail: What else was said about it; at most 200 printable characters.
        task_arn: The task that the answer speaks of, where it named one.
        sent_at: When the request had been written, on the manager's clock, where the backend knows. A write that
            got no definite answer may land until 12 s after that.
        may_pass: Of a misconfigured answer: the same answer comes for a while after an agent restart (contract §1).
    """

    outcome: Outcome
    protected: bool | None = None
    expires_at: datetime | None = None
    reason: str | None = None
    detail: str | None = None
    task_arn: str | None = None
    sent_at: float | None = None
    may_pass: bool = False


class State(StrEnum):
    """What a manager is doing, in one word."""

    OFF = "OFF"
    """Not inside ECS, turned off, or not a service's task: no calls are made."""
    IDLE = "IDLE"
    """No work in flight here, and no lease."""
    ACQUIRING = "ACQUIRING"
    """Work in flight, no lease yet, and no refusal: the keeper is trying."""
    PROTECTED = "PROTECTED"
    """Work in flight, and the lease is confirmed."""
    AT_RISK = "AT_RISK"
    """Work in flight and the lease still sure, but the last attempt to renew it failed."""
    LOST = "LOST"
    """Work in flight that was protected, and the lease ran out."""
    REFUSED = "REFUSED"
    """Work in flight without a lease, because ECS refused or the set-up is wrong."""
    LINGERING = "LINGERING"
    """No work in flight here; the lease is kept for a while in case more comes, or for that of other processes."""
    RELEASING = "RELEASING"
    """No work in flight; the call that ends protection is under way."""
    CLOSED = "CLOSED"
    """The manager was closed: work still runs, nothing protects it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldStatus:
    """One hold in flight: its label, and its age in seconds."""

    label: str
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A snapshot of a manager.

    Attributes:
        state: What it is doing.
        in_flight: The number of holds of this process.
        in_flight_all: The number of holds of all processes of the task that share their state.
        holds: The holds of this process, oldest first.
        confirmed: ECS is known to protect the task now.
        expires_at: When the lease ends as far as we know (aware, UTC); None without a sure lease.
        admission: ``"open"`` or ``"closed"``.
        last_outcome: What the last finished call came to; None before the first.
        calls: The number of calls made so far.
        backend: What protects: ``agent``, ``ecs``, ``off``, or the name of a backend of your own.
    """

    state: State
    in_flight: int
    in_flight_all: int
    holds: tuple[HoldStatus, ...]
    confirmed: bool
    expires_at: datetime | None
    admission: str
    last_outcome: Outcome | None
    calls: int
    backend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskProtection:
    """What ECS says of the protection of one task.

    Attributes:
        task_arn: The task.
        protected: Whether it is protected.
        expires_at: Until when (aware, UTC); None if it is not protected, or ECS did not say.
    """

    task_arn: str
    protected: bool
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailure:
    """Why ECS says nothing of the protection of one task.

    Attributes:
        task_arn: The task, as ECS names it; None if it does not.
        reason: ``MISSING``: there is no such task in the cluster (any more); ``TASK_NOT_VALID``: it belongs to no
            service; or a reason that ECS invents tomorrow.
        detail: What else ECS said, or None.
    """

    task_arn: str | None
    reason: str
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskProtections:
    """What ECS says of the protection of some tasks.

    Attributes:
        protected_tasks: The tasks that it knows, protected or not; the API calls them ``protectedTasks``.
        failures: The tasks of which it cannot say.
    """

    protected_tasks: tuple[TaskProtection, ...]
    failures: tuple[TaskFailure, ...]
