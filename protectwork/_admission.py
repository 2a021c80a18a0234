"""Whether adapters may take new work."""

from __future__ import annotations

from _thread import RLock
from collections.abc import Callable

from protectwork._errors import SettingsError
from protectwork._events import AdmissionClosed, AdmissionOpened, Event
from protectwork._forks import forgets_on_fork

__all__ = ["Admission"]


class Admission:
    """Open until somebody has a reason against it, and again when every reason is gone.

    Adapters look at `is_open` before they take work; protected work itself never does. Safe in any thread.
    """

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._reasons: tuple[str, ...] = ()
        self.forget_parent()
        forgets_on_fork(self)

    def forget_parent(self) -> None:
        """Some thread of the parent may have been at it; its reasons stay."""
        self._lock = RLock()  # guards _reasons

    @property
    def is_open(self) -> bool:
        """Whether new work may be taken."""
        return not self._reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is closed, the oldest reason first."""
        return self._reasons

    def close(self, reason: str) -> None:
        """Take no new work while `reason` stands; the same reason twice is one.

        Raises:
            SettingsError: The reason is no string.
        """
        _check(reason)
        with self._lock:
            was_open = not self._reasons
            if reason not in self._reasons:
                self._reasons = (*self._reasons, reason)
        if was_open:
            self._tell(AdmissionClosed(reason=reason))

    def reopen(self, reason: str) -> None:
        """`reason` stands no longer; a reason that never stood changes nothing.

        Raises:
            SettingsError: The reason is no string.
        """
        _check(reason)
        with self._lock:
            was_open = not self._reasons
            self._reasons = tuple(other for other in self._reasons if other != reason)
            opened = not was_open and not self._reasons
        if opened:
            self._tell(AdmissionOpened())


def _check(reason: object) -> None:
    if not isinstance(reason, str):  # told by its type alone, for it may raise when it is asked for its text
        raise SettingsError(setting="reason", rule="a string", value=f"<{type(reason).__name__}>")
