"""Makes the one call that the machine has asked for; whatever goes wrong with it is an answer too (EFFECTS)."""

from __future__ import annotations

from collections.abc import Callable

from protectwork._backend import Backend
from protectwork._steps import Call, Send
from protectwork._types import Answer, Outcome

__all__ = ["NOT_SENT", "called"]

NOT_SENT = Answer(outcome=Outcome.UNAVAILABLE, reason="not sent: the process was stopped")
"""What was entered is not sent any more: what was right when it was entered may be wrong by now."""


def called(backend: Backend, send: Send, *, complain: Callable[[str], None]) -> Answer:
    """Make the call; blocks for as long as the backend takes, and raises nothing."""
    try:
        match send.call:
            case Call.ENABLE:
                return backend.enable(send.minutes)
            case Call.DISABLE:
                return backend.disable()
            case Call.GET:
                return backend.get()
    except BaseException as error:  # noqa: BLE001 - a backend's fault tells nothing about what ECS did
        complain("the backend raised; this counts as no answer")
        return Answer(outcome=Outcome.AMBIGUOUS, reason=type(error).__name__, detail=str(error)[:200])
