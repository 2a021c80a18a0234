"""What a reply of the ECS API means: pure, and strict, for to boto3 any reply with status 200 is one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from protectwork._types import Answer, Outcome, TaskFailure, TaskProtection, TaskProtections
from protectwork.backends._answers import failed, told, unusable
from protectwork.backends._arns import id_of
from protectwork.backends._ecs_faults import Fault, Kind
from protectwork.backends._remote_text import JsonObject, arn_of, escaped, objects_of

__all__ = ["classify_fault", "classify_reply", "read_protections"]


def classify_reply(reply: Mapping[str, object], *, asked: bool | None, task: str) -> Answer:
    """Say what a whole reply to a question about one task comes to.

    Args:
        reply: What boto3 made of it.
        asked: The ``protectionEnabled`` that was put; None if it was only asked.
        task: The task that was named, by its ARN or its id.

    Returns:
        The answer, without ``sent_at``. It is confirmed only if the reply speaks of this task, of no other, and in one
        of its two lists; and if it holds the very boolean that was asked for. What cannot be read is ambiguous.
    """
    page = read_protections(reply)
    match page:
        case TaskProtections(protected_tasks=(entry,), failures=()) if id_of(entry.task_arn) == id_of(task):
            return told(enabled=entry.protected, expires_at=entry.expires_at, task_arn=entry.task_arn, asked=asked)
        case TaskProtections(protected_tasks=(), failures=(failure,)) if id_of(failure.task_arn or task) == id_of(task):
            return failed(reason=failure.reason, detail=failure.detail, task_arn=failure.task_arn)
        case TaskProtections(protected_tasks=(), failures=()):
            return unusable("it speaks of no task")
        case TaskProtections():
            return unusable("it speaks of more tasks than one, or of another")
        case None:
            return unusable("an answer of another shape")


def classify_fault(fault: Fault, *, sent: bool) -> Answer:
    """Say what a call comes to that has failed; `sent` is whether any request had been written."""
    outcomes = {
        Kind.ACCESS: Outcome.MISCONFIGURED,
        Kind.REQUEST: Outcome.MISCONFIGURED,
        Kind.THROTTLED: Outcome.THROTTLED,
        Kind.UNKNOWN: Outcome.AMBIGUOUS if sent else Outcome.UNAVAILABLE,
    }
    outcome = outcomes[fault.kind]
    return Answer(outcome=outcome, reason=fault.reason, detail=fault.detail, may_pass=fault.may_pass)


def read_protections(reply: Mapping[str, object]) -> TaskProtections | None:
    """Read a page of ``protectedTasks`` and ``failures``; None if it has neither, or an entry that cannot be read."""
    if not reply.keys() & {"protectedTasks", "failures"}:
        return None
    # Either may be left out, which is as good as empty.
    entries, failures = (objects_of(reply, key) if key in reply else [] for key in ("protectedTasks", "failures"))
    if entries is None or failures is None:
        return None
    protected_tasks = [_protection(entry) for entry in entries]
    failed_tasks = [_failure(entry) for entry in failures]
    if None in protected_tasks or None in failed_tasks:
        return None
    return TaskProtections(
        protected_tasks=tuple(entry for entry in protected_tasks if entry),
        failures=tuple(entry for entry in failed_tasks if entry),
    )


def _protection(entry: JsonObject) -> TaskProtection | None:
    task_arn, enabled, date = arn_of(entry, "taskArn"), entry.get("protectionEnabled"), entry.get("expirationDate")
    # Identity, not equality: to Python 1 equals true, to JSON it does not.
    if task_arn is None or not (enabled is True or enabled is False):
        return None
    return TaskProtection(task_arn=task_arn, protected=enabled, expires_at=_utc(date) if enabled else None)


def _failure(entry: JsonObject) -> TaskFailure | None:
    reason, detail = entry.get("reason"), entry.get("detail")
    if not isinstance(reason, str) or not reason:
        return None
    said = escaped(detail) if isinstance(detail, str) and detail else None
    return TaskFailure(task_arn=arn_of(entry, "arn"), reason=escaped(reason), detail=said)


def _utc(date: object) -> datetime | None:
    try:
        return date.astimezone(UTC) if isinstance(date, datetime) and date.tzinfo else None
    except OverflowError:
        return None
