"""What a good request asks of ECS's API, and what ECS says to it (PURE)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from protectwork.testing._behaviours import plain
from protectwork.testing._exchange import Call, Reply, write_of
from protectwork.testing._kinds import EcsMode, ErrorStatus, GarbageKind
from protectwork.testing._replies import dropped, hung, in_json, in_text, late
from protectwork.testing._task import TaskState, Write

__all__ = ["DescribeAsk", "ProtectionAsk", "api_error"]

_JSON = "application/x-amz-json-1.1"
_REQUEST_ID = ("x-amzn-RequestId", "11111111-2222-3333-4444-555555555555")


def api_error(status: int, code: str, message: str) -> Reply:
    """An error of ECS."""
    return _said({"__type": code, "message": message}, status=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeAsk:
    """See `Ask`; of ECS's API, for something that changes nothing.

    Attributes:
        document: What is answered.
        key: Under which key of the document stands what was asked for.
        arns: What was asked for.
        content_type: What the document is.
    """

    call: Call
    operation: str
    task: TaskState
    now: float
    today: datetime
    document: dict[str, Any]
    key: str
    arns: tuple[str, ...] = ()
    content_type: str = _JSON
    minutes: int | None = None

    @property
    def write(self) -> Write | None:
        """See `Ask`."""
        return None

    def answered(self, *, digits: int | None = None) -> Reply:  # noqa: ARG002 - its dates are as they are
        """See `Ask.answered`."""
        return self._said(self.document)

    def refused(self, reason: str, *, detail: str | None = None) -> Reply:
        """See `Ask.refused`; a list knows no refusal, and is answered as ever."""
        if "failures" not in self.document:
            return self.answered()
        return self._said({self.key: [], "failures": [_failure(arn, reason, detail) for arn in self.arns]})

    def error(self, status: int, code: str, message: str) -> Reply:
        """See `Ask.error`."""
        return api_error(status, code, message)

    def failed(self, status: ErrorStatus) -> Reply:
        """See `Ask.failed`."""
        match status:
            case 500:
                return self.error(500, "ServerException", "Service Unavailable. Please try again later.")
            case 503:
                return self.error(503, "ServiceUnavailableException", "Service Unavailable")
            case 504:
                return in_text("<html><body><h1>504 Gateway Time-out</h1></body></html>", status=504)

    def delayed(self, seconds: float) -> Reply:
        """See `Ask.delayed`."""
        return late(self.answered(), by_s=seconds)

    def under(self, mode: EcsMode, *, tries: int | None = None) -> Reply:  # noqa: ARG002 - each try is a request
        """See `Ask.under`."""
        return plain(self, mode) or _MODES[mode](self)

    def garbage(self, kind: GarbageKind) -> Reply:
        """See `Ask.garbage`."""
        if kind == "text":
            return in_text("It works!", status=200)
        if kind == "empty":
            return Reply(status=200, content_type=self.content_type)
        return self._said(self._nonsense(kind))

    def _nonsense(self, kind: GarbageKind) -> dict[str, Any]:
        match kind:
            case "shape":
                return {self.key: [[entry] for entry in self._entries()]}
            case "strings":
                return {self.key: [_in_strings(entry) for entry in self._entries()]}
            case "both":
                failures = [_failure(arn, "DEPLOYMENT_BLOCKED", None) for arn in self.arns]
                return {self.key: self._entries(), "failures": failures}
            case "opposite":
                return {self.key: self._entries(opposite=True), "failures": []}
            case _:
                return {}

    def padded(self, size: int) -> Reply:
        """See `Ask.padded`; nothing was done."""
        good = {self.key: self._entries(), "failures": [], "padding": ""}
        return self._said({**good, "padding": "0" * (size - len(self._said(good).body))})

    def with_more(self) -> Reply:
        """As ever, and with one that was not asked for."""
        entries = self._entries()
        return self._said({self.key: [*entries, *_of_another(entries)], "failures": []})

    def with_nothing(self) -> Reply:
        """A good answer about nothing."""
        return self._said({self.key: [], "failures": []})

    def _entries(self, *, opposite: bool = False) -> list[Any]:  # noqa: ARG002 - nothing was asked to become so
        return list(self.document.get(self.key, []))

    def _said(self, document: dict[str, Any]) -> Reply:
        return _said(document, content_type=self.content_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionAsk(DescribeAsk):
    """See `Ask`; of ECS's API, for the protection of tasks.

    Attributes:
        tasks: The tasks, now; one that ECS does not know among those it refuses.
    """

    tasks: tuple[TaskState, ...]

    @property
    def write(self) -> Write | None:
        """See `Ask`."""
        return write_of(self.call, self.minutes)

    @property
    def granted(self) -> tuple[TaskState, ...]:
        """The tasks that ECS does not refuse."""
        return tuple(task for task in self.tasks if not task.refusal)

    def answered(self, *, digits: int | None = None) -> Reply:
        """See `Ask.answered`."""
        failures = [_failure(task.arn, no.reason, no.detail) for task in self.tasks if (no := task.refusal)]
        return replace(self._said({self.key: self._entries(digits=digits), "failures": failures}), write=self.write)

    def _entries(self, *, opposite: bool = False, digits: int | None = None) -> list[Any]:
        return [self._entry(task, opposite=opposite, digits=digits) for task in self.granted]

    def _entry(self, task: TaskState, *, opposite: bool, digits: int | None) -> dict[str, Any]:
        expires = task.expires_after(self.write, now=self.now)
        if opposite and self.write:
            expires = self.now + 3600 if expires is None else None
        entry: dict[str, Any] = {"taskArn": task.arn, "protectionEnabled": expires is not None}
        if expires is None:
            return entry
        moment = self.today.timestamp() + expires - self.now
        return {
            **entry,
            "expirationDate": round(moment, 3 if digits is None else digits) if digits != 0 else int(moment),
        }


def _said(document: dict[str, Any], *, status: int = 200, content_type: str = _JSON) -> Reply:
    return replace(in_json(document, status=status, content_type=content_type), headers=(_REQUEST_ID,))


def _failure(arn: str, reason: str, detail: str | None) -> dict[str, str]:
    return {"arn": arn, "reason": reason} | ({} if detail is None else {"detail": detail})


def _in_strings(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    return {name: str(value).lower() for name, value in cast("dict[str, Any]", entry).items()}


def _of_another(entries: list[Any]) -> list[Any]:
    return [{**entry, "taskArn": f"{entry['taskArn'][:-4]}ffff"} for entry in entries[:1] if "taskArn" in entry]


_MODES: dict[EcsMode, Callable[[DescribeAsk], Reply]] = {
    "drop": lambda _: dropped(),
    "empty": DescribeAsk.with_nothing,
    "hang": lambda _: hung(),
    "server_error": lambda ask: ask.failed(500),
    "throttle": lambda ask: ask.error(400, "ThrottlingException", "Rate exceeded"),
    "two_tasks": DescribeAsk.with_more,
    "unavailable": lambda ask: ask.failed(503),
}
