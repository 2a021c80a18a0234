"""What stands in for ECS where there is none: it makes no call, and answers that there is nothing to protect."""

from __future__ import annotations

from protectwork._types import Answer, Outcome

__all__ = ["NullBackend"]

_ANSWER = Answer(outcome=Outcome.NOT_A_SERVICE_TASK, reason="off", detail="not inside ECS, or turned off")


class NullBackend:
    """The backend outside ECS, and wherever protection is turned off. A manager that has it makes no call at all."""

    name = "off"

    def enable(self, minutes: int) -> Answer:  # noqa: ARG002 - the seam's signature
        """Answer that there is nothing to protect."""
        return _ANSWER

    def disable(self) -> Answer:
        """Answer that there is nothing to protect."""
        return _ANSWER

    def get(self) -> Answer:
        """Answer that there is nothing to protect."""
        return _ANSWER
