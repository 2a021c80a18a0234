"""The state of one process that shares it with nobody, behind the same face."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

from protectwork._ledger.chain import Head

__all__ = ["LoneState"]


class LoneState:
    """What `SharedState` does, in memory; see there. Nothing fails, and nothing is left behind.

    Args:
        trouble: Why the process is alone, if it wanted to share.
        foreign: Whether another user's processes hold the state of this task: then this process never disables.

    Attributes:
        owner: The id of this process.
        shared: Whether other processes have a part in it: no.
        foreign: As given.
        trouble: As given.
        directory: None, so empty.
    """

    shared = False
    directory = ""

    def __init__(self, *, trouble: str | None = None, foreign: bool = False) -> None:
        self.owner = uuid4().hex[:12]
        self.trouble = trouble
        self.foreign = foreign
        self._head = Head(number=-1, text=None)
        self._joined = self._seized = False
        self._published = ""

    @property
    def joined(self) -> bool:
        """Whether the gate is held shared."""
        return self._joined

    def join(self) -> bool:
        """Hold the gate shared, unless this process itself has seized it."""
        self._joined = not self._seized
        return self._joined

    def leave(self) -> None:
        """Hold the gate shared no longer."""
        self._joined = False

    def seize(self) -> bool:
        """Hold the gate exclusive, unless this process itself holds it shared."""
        self._seized = not self._joined
        return self._seized

    def let_go(self) -> None:
        """Hold the gate exclusive no longer."""
        self._seized = False

    def read(self) -> Head:
        """The record as it is now."""
        return self._head

    def commit(self, after: Head, text: str) -> Head | None:
        """Let `text` follow upon `after`; None if that is not the record any more."""
        if after.number != self._head.number:
            return None
        self._head = Head(after.number + 1, text)
        return self._head

    def dead(self, owners: Iterable[str]) -> set[str]:
        """All but this process."""
        return set(owners) - {self.owner}

    def fallen(self) -> set[str]:
        """Nobody."""
        return set()

    def bury(self, owner: str) -> None:
        """Nothing is left of anybody."""

    def publish(self, text: str) -> None:
        """Tell people what this process is doing."""
        self._published = text

    def living(self) -> dict[str, str]:
        """This process alone."""
        return {self.owner: self._published}

    def intact(self) -> bool:
        """Nobody can take it away."""
        return True

    def close(self, *, spent: bool = False) -> None:
        """There is nothing to give back."""

    def forget_parent(self) -> None:
        """In a forked child: there is nothing to close; the child makes a new one."""
