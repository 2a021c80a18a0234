"""The error of a queue that cannot be consumed."""

from __future__ import annotations

from protectwork import ProtectworkError

__all__ = ["QueueError"]


class QueueError(ProtectworkError, RuntimeError):
    """Messages cannot be received, and trying on makes no sense any more. What was in hand has been settled.

    Attributes:
        queue_url: The queue.
        reason: The error code of SQS, or what went wrong on the way to it.
        detail: What was said about it, or None.
        remedy: What to do about it, or None.
    """

    def __init__(self, *, queue_url: str, reason: str, detail: str | None = None, remedy: str | None = None) -> None:
        super().__init__(queue_url=queue_url, reason=reason, detail=detail, remedy=remedy)
        self.queue_url = queue_url
        self.reason = reason
        self.detail = detail
        self.remedy = remedy

    @staticmethod
    def _text(**fields: str | None) -> str:
        said = f" ({fields['detail']})" if fields["detail"] else ""
        text = f"no messages can be received from {fields['queue_url']}: {fields['reason']}{said}"
        return f"{text}; {fields['remedy']}" if fields["remedy"] else text
