"""The seam to ECS: whatever can make the three calls is a backend."""

from __future__ import annotations

from typing import Protocol

from protectwork._types import Answer

__all__ = ["Backend"]


class Backend(Protocol):
    """Makes the three calls of task protection and classifies their answers; it decides nothing.

    A manager calls its backend from one thread only, one call at a time. Each call blocks for at most 6 s, whatever
    the other side does, and never raises for what the other side does: the answer says it.

    A backend may have a `scope` (str): what names this container to all its processes, and no other task. With one,
    the processes share their state; without one, each counts for itself, unless `state_dir` says where to share it.
    """

    name: str
    """What ``status`` calls it."""

    def enable(self, minutes: int) -> Answer:
        """Protect the task for ``minutes`` (whole, 1 to 2880) from now; replaces whatever expiry there was."""
        ...

    def disable(self) -> Answer:
        """End the protection of the task."""
        ...

    def get(self) -> Answer:
        """Ask whether the task is protected, and until when."""
        ...
