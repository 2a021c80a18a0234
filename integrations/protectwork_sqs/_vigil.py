"""The strict order: protected before it receives, and unprotected for a while when nothing comes."""

from __future__ import annotations

from math import inf

from protectwork import Hold, ProtectionManager, State
from protectwork.adapters import steady_now
from protectwork_sqs._flow import Flow, Wait

__all__ = ["Vigil"]

_GAP = 1.25  # of the time that it was protected for nothing
_LOOK_SOON_S = 0.02
_LOOK_EVERY_S = 0.25
_WAITS = ": waits for messages"
_OTHERS = 1.5  # lingers: who only waits has released by then
_UNPROTECTED = frozenset({State.IDLE, State.OFF, State.CLOSED})
_LONGEST_S = 400.0  # the governor gives one release every five minutes; others may keep the task protected for ever


class Vigil:
    """The hold of one who waits for messages. For one thread or task.

    It holds while messages come and for the linger after the last one; then it releases, and stays away until the task
    has been unprotected for longer than it was protected for nothing: ECS can stop an idle task then. That is pointless
    where other work keeps the task protected: not while such work is seen in this process, and no longer than others
    who only wait would hold, where holds of other processes go on, of which more is not known.

    Args:
        manager: Whose hold it is.
        linger_s: For how long it waits for the next message.
        name: What is waited for, for the label of its hold.
    """

    def __init__(self, manager: ProtectionManager, *, linger_s: float, name: str) -> None:
        self._manager, self._linger_s, self._label = manager, linger_s, f"{name}{_WAITS}"
        self.hold: Hold | None = None
        self._idle_since: float | None = None
        self._gap_ends: float | None = None
        self._released_at: float | None = None
        self._others_since = inf  # others have held ever since, when it looked

    def keep(self, *, busy: bool) -> Flow[bool]:
        """See to it that the task is protected; return whether messages may be received now."""
        now = steady_now()
        if self._released_at is not None:
            return (yield from self._stay_away(now))
        if busy or self._idle_since is None:
            self._idle_since = now
        elif self.hold and now - self._idle_since >= self._linger_s:
            if not self._is_pointless():
                self.end()
                self._released_at = self._others_since = now
                return False
            self._idle_since = now  # until now it was not protected for nothing
        if self.hold is None:
            self.hold = self._manager.acquire(self._label, timeout=0)
        if not self.hold.confirmed and self.hold.waiting:
            yield Wait(_LOOK_SOON_S)
            return False
        return True

    def _stay_away(self, now: float) -> Flow[bool]:
        released_at, idle_since = self._released_at or now, self._idle_since or now
        status = self._manager.status()
        if not status.in_flight_all:
            self._others_since = inf
        if self._gap_ends is None and (status.state in _UNPROTECTED or now - released_at >= _LONGEST_S):
            self._gap_ends = now + _GAP * (now - idle_since)
        others_work = now - self._others_since >= _OTHERS * self._linger_s
        if others_work or (self._gap_ends is not None and now >= self._gap_ends):
            self._gap_ends = self._released_at = self._idle_since = None
        yield Wait(_LOOK_EVERY_S)
        return False

    def came(self) -> None:
        """Messages came: the linger begins when the next ones are waited for."""
        self._idle_since = None

    def _is_pointless(self) -> bool:
        """Whether to stay away is: nothing protects, or something else does, and not only waits."""
        status = self._manager.status()
        return status.state is State.OFF or not all(hold.label.endswith(_WAITS) for hold in status.holds)

    def end(self) -> None:
        """Hold no longer."""
        hold, self.hold = self.hold, None
        if hold:
            hold.release()
