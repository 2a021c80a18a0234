"""Why the processes of the task cannot share their state, or no longer can."""

from __future__ import annotations

__all__ = ["ForeignError", "StateError"]


class StateError(Exception):
    """The shared state cannot be used. Never seen by users, who hear of it by an event.

    Attributes:
        reason: Why, for people: value, rule and remedy.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ForeignError(StateError):
    """The state belongs to another user, whose processes are in this task too."""
