"""What an answer of the agent means: pure, and strict, for a status code alone confirms nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import cast

from protectwork._types import Answer, Outcome
from protectwork.backends._remote_text import JsonObject, arn_of, escaped, json_object

__all__ = ["classify", "failed", "told", "unusable"]

_KINDS = frozenset({"protection", "failure", "error"})
# Go writes what ECS sent with as many fraction digits as it needs, 0 to 9.
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
# These are a fault of ECS wherever they stand: the write may have been done, and may still be.
_FAULTS = frozenset({"ServerException", "RequestCanceled"})


def classify(status: int, body: bytes, *, asked: bool | None) -> Answer:
    """Say what one whole answer of the agent comes to.

    Args:
        status: The HTTP status.
        body: The whole body.
        asked: The ``ProtectionEnabled`` that was put; None for a GET.

    Returns:
        The answer, without ``sent_at``. It is confirmed only by status 200 with ``protection``, and neither
        ``failure`` nor ``error``, that holds the very JSON boolean that was asked for. Whatever is no definite yes or
        no is ambiguous: the write may have been applied, or may be yet.
    """
    if status == HTTPStatus.TOO_MANY_REQUESTS:  # the agent's own limiter, in plain text
        return _answer(Outcome.THROTTLED, f"HTTP {status}", "too many requests to the agent")
    if status // 100 == 3:  # noqa: PLR2004 - 3xx
        return _answer(Outcome.MISCONFIGURED, f"HTTP {status}", "a redirect is never followed; look at ECS_AGENT_URI")
    content = json_object(body)
    if status == HTTPStatus.OK:
        return _classify_200(content, asked=asked)
    return _classify_error(status, content)


def told(*, enabled: object, expires_at: datetime | None, task_arn: str | None, asked: bool | None) -> Answer:
    """Say what it comes to that ECS tells whether a task is protected, by the agent or by its API.

    Args:
        enabled: Its ``protectionEnabled``, whatever that is.
        expires_at: Its ``expirationDate``, where there is one to believe.
        task_arn: The task.
        asked: The ``protectionEnabled`` that was put; None if it was only asked.
    """
    # Identity, not equality: to Python 1 equals true, to JSON it does not.
    if not (enabled is True or enabled is False):
        return unusable("an answer of another shape")
    if asked is not None and enabled is not asked:
        return unusable(f"asked for {asked}, was told {enabled}")
    if asked is None and enabled and expires_at is None:
        return unusable("protected, but without a date to believe")
    expires_at = expires_at if enabled else None
    return Answer(outcome=Outcome.CONFIRMED, protected=enabled, expires_at=expires_at, task_arn=task_arn)


def failed(*, reason: object, detail: object, task_arn: str | None) -> Answer:
    """Say what it comes to that ECS names a task among the failures, by the agent or by its API."""
    if not isinstance(reason, str) or not reason:
        return unusable("an answer of another shape")
    outcome = Outcome.NOT_A_SERVICE_TASK if reason == "TASK_NOT_VALID" else Outcome.REFUSED
    return _answer(outcome, reason, detail, arn=task_arn)


def unusable(detail: str) -> Answer:
    """Say that there is an answer, and that nobody can tell by it what was done."""
    return _answer(Outcome.AMBIGUOUS, "unusable answer", detail)


def _classify_200(content: JsonObject, *, asked: bool | None) -> Answer:
    if protection := _only(content, "protection"):
        enabled, expires_at = protection.get("ProtectionEnabled"), _date(protection.get("ExpirationDate"))
        return told(enabled=enabled, expires_at=expires_at, task_arn=arn_of(protection, "TaskArn"), asked=asked)
    if failure := _only(content, "failure"):
        reason, detail = failure.get("Reason"), failure.get("Detail")
        return failed(reason=reason, detail=detail, task_arn=arn_of(failure, "Arn"))
    return unusable("an answer of another shape")


def _classify_error(status: int, content: JsonObject) -> Answer:
    error = _only(content, "error")
    code = error.get("Code")
    reason = code if isinstance(code, str) and code else f"HTTP {status}"
    # With the id of a request the answer is ECS's own. A 403 without one is the agent's: it has no credentials of the
    # task role, and after a restart it has none for a while.
    no_credentials = status == HTTPStatus.FORBIDDEN and not content.get("requestID")
    return _answer(
        _outcome_of_error(status, code),
        reason,
        error.get("Message"),
        arn=arn_of(error, "Arn"),
        may_pass=no_credentials,
    )


def _outcome_of_error(status: int, code: object) -> Outcome:
    if status // 100 != 4 or (isinstance(code, str) and code in _FAULTS):  # noqa: PLR2004 - 4xx
        return Outcome.AMBIGUOUS
    if code == "ThrottlingException":  # ECS's own throttling comes as a 400
        return Outcome.THROTTLED
    # The agent's router refuses a path with 404 and a method with 405, neither in JSON.
    certain = status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}
    return Outcome.MISCONFIGURED if certain or isinstance(code, str) else Outcome.AMBIGUOUS


def _answer(
    outcome: Outcome,
    reason: str,
    detail: object = None,
    *,
    arn: str | None = None,
    may_pass: bool = False,
) -> Answer:
    said = escaped(detail) if isinstance(detail, str) and detail else None
    return Answer(outcome=outcome, reason=escaped(reason), detail=said, task_arn=arn, may_pass=may_pass)


def _only(content: JsonObject, kind: str) -> JsonObject:
    """Give the object under ``kind``, empty if there is none, or if the content says something of another kind too."""
    value = content.get(kind)
    alone = isinstance(value, dict) and content.keys() & _KINDS == {kind}
    return cast("JsonObject", value) if alone else {}


def _date(text: object) -> datetime | None:
    """Read an RFC 3339 date as UTC; what is finer than a microsecond is cut off, so never later than it says."""
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
