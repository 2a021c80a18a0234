"""What the other processes of the task are told of this one, for people: nothing depends on it."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

__all__ = ["Notice"]

_EVERY_S = 1.0


class Notice:
    """Publishes a text when it has changed, once a second at most. Whoever shares it does so under the keeper's lock.

    Attributes:
        due: When to publish what has changed since the last time; inf if nothing has.
    """

    def __init__(self) -> None:
        self.due = inf
        self._text, self._at = "", -inf

    def tell(self, text: str, publish: Callable[[str], None], *, now: float) -> None:
        """Have it published now, or say when."""
        changed, ready_at = text != self._text, self._at + _EVERY_S
        self.due = ready_at if changed and now < ready_at else inf
        if changed and now >= ready_at:
            publish(text)
            self._text, self._at = text, now
