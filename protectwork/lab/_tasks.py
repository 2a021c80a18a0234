"""One task of a lab: its containers from the first to the last moment, and what is known of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from protectwork.lab._container import ContainerProcess
from protectwork.lab._facts import Cause
from protectwork.lab._leftovers import kill_marked
from protectwork.lab.journal import TASK_VARIABLE
from protectwork.testing import FakeDeployment, Placement

__all__ = ["LabTask"]

_CODES = {
    Cause.SCALE_IN: ("ServiceSchedulerInitiated", "Scaling activity initiated by (deployment {deployment})"),
    Cause.DEPLOYMENT: ("ServiceSchedulerInitiated", "Scaling activity initiated by (deployment {deployment})"),
    Cause.STOP_TASK: ("UserInitiated", "Task stopped by user"),
    Cause.SPOT: ("SpotInterruption", "Your Spot Task was interrupted."),
    Cause.EXIT: ("EssentialContainerExited", "Essential container in task exited"),
    Cause.CLOSE: ("UserInitiated", "The lab ends"),
}


@dataclass(eq=False, slots=True, kw_only=True)
class LabTask:
    """A task; only the thread of its service changes it.

    Attributes:
        name: What it is called in this lab.
        placement: The task in its cluster.
        deployment: What it was started for.
        began: When it was started.
        processes: Its containers.
        cause: Why it was told to stop, or ended.
        chosen_at: When that was decided.
        was_protected: Whether it was protected then.
        kill_at: When its time is over.
        killed: Whether SIGKILL was needed.
        ended: When its last process had ended.
    """

    name: str
    placement: Placement
    deployment: FakeDeployment
    began: float
    processes: list[ContainerProcess] = field(default_factory=list[ContainerProcess])
    cause: Cause | None = None
    chosen_at: float | None = None
    was_protected: bool = False
    kill_at: float = math.inf
    killed: bool = False
    ended: float | None = None

    @property
    def live(self) -> bool:
        """Whether it runs, and was not told to stop."""
        return self.cause is None

    @property
    def id(self) -> str:
        """The id of the task."""
        return self.placement.id

    def choose(self, cause: Cause, *, now: float, stop_timeout_s: float, primary: str) -> bool:
        """Tell it to stop, unless it is protected and the cause respects that; returns whether it was told.

        No call can protect it between the look and the decision.
        """

        def decide() -> None:
            code, reason = _CODES[cause]
            self.placement.stop(code=code, reason=reason.format(deployment=primary))
            self.cause, self.chosen_at, self.kill_at = cause, now, now + stop_timeout_s

        if not self.placement.task.unless_protected(decide):
            if cause.covered:
                return False
            self.was_protected = True
            decide()
        for process in self.processes:
            process.terminate()
        return True

    def kill(self) -> None:
        """Its time is over."""
        self.killed, self.kill_at = True, math.inf
        for process in self.processes:
            process.kill()

    def has_ended(self) -> bool:
        """Whether every container has ended; nothing that they started is left then."""
        if not all(process.has_ended() for process in self.processes):
            return False
        kill_marked(f"{TASK_VARIABLE}={self.id}")
        return True

    def lost_an_essential(self) -> bool:
        """Whether a container has ended without which the task does not go on."""
        return any(process.has_ended() and process.container.essential for process in self.processes)

    def exit_codes(self) -> Iterable[int | None]:
        """How its containers ended."""
        return (process.exit_code for process in self.processes)
