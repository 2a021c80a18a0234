"""What adapters need beside a manager: time and waiting, a thread that looks, the pause while ECS refuses, settings."""

from __future__ import annotations

from _thread import RLock

from protectwork._clock import steady_now
from protectwork._hold import Hold
from protectwork._manager import ProtectionManager
from protectwork._process import configure_for_framework
from protectwork._settings import is_one_of, printable, seconds, shown
from protectwork._types import Outcome, Seconds, State
from protectwork._waiting import LoopWaiter, Waiter, Waiters, blocking_waiter
from protectwork._watch import Watch

__all__ = [
    "LoopWaiter",
    "Pause",
    "Seconds",
    "Waiter",
    "Waiters",
    "Watch",
    "blocking_waiter",
    "configure_for_framework",
    "is_one_of",
    "printable",
    "seconds",
    "shown",
    "steady_now",
]


class Pause:
    """Keeps admission closed while the task cannot be protected, and has ECS asked again meanwhile.

    ECS is asked only while something is in flight, and work may not come while admission is closed. So it takes a hold
    of its own, which asks as often as the lease machine allows; but not while an older lease is still sure: without
    work that one has to end, for it is what the deployment waits for.

    Args:
        manager: Whose admission it is.
        when_refused: A refusal closes it, whatever its reason: ``DEPLOYMENT_BLOCKED``, ``MISSING``, or a new one.
        when_unprotected: Whatever leaves the task unprotected closes it.
    """

    REASON = "ECS does not protect this task"

    def __init__(self, manager: ProtectionManager, *, when_refused: bool, when_unprotected: bool) -> None:
        self._manager = manager
        self._when_refused, self._when_unprotected = when_refused, when_unprotected
        self._lock = RLock()  # guards the two below
        self._asking: Hold | None = None
        self._over = False

    def begin(self) -> None:
        """Close admission until a lease is confirmed again: work was refused that insists on one."""
        self._manager.admission.close(self.REASON)

    def look(self) -> None:
        """Close or open admission by what ECS said last; to be called about once a second. Never blocks."""
        with self._lock:
            if self._over:
                return
            admission = self._manager.admission
            if self._closes():
                self.begin()
            elif self.REASON in admission.reasons and self._may_open():
                admission.reopen(self.REASON)
            self._ask(wanted=admission.reasons == (self.REASON,) and not self._manager.confirmed)

    def end(self) -> None:
        """Leave admission as it is without this, for good."""
        with self._lock:
            self._over = True
            self._ask(wanted=False)
            self._manager.admission.reopen(self.REASON)

    def _closes(self) -> bool:
        trouble = self._manager.trouble
        if trouble is None:
            return False
        refused = self._when_refused and trouble.outcome is Outcome.REFUSED
        return refused or (self._when_unprotected and not self._manager.confirmed)

    def _may_open(self) -> bool:
        # No trouble alone is no lease: another container's record, say, knows nothing of a refusal.
        confirmed = self._manager.trouble is None and self._manager.confirmed
        return confirmed or self._manager.status().state is State.OFF

    def _ask(self, *, wanted: bool) -> None:
        if self._asking and not wanted:
            self._asking.release()
            self._asking = None
        elif wanted and not self._asking:
            self._asking = self._manager.acquire("asks ECS again", on_unprotected="run", timeout=0)
