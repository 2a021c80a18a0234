"""One ECS task as ECS knows it: its protection with a real expiry, and everything that ever happened to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from operator import itemgetter

from protectwork._errors import SettingsError
from protectwork.testing._ecs_time import EcsTime

__all__ = ["DEFAULT_MINUTES", "MINUTES", "Cause", "Change", "FakeTask", "Refusal", "Span", "TaskState", "Write"]

MINUTES = range(1, 2880 + 1)
"""What ECS takes for ``expiresInMinutes`` (contract §4)."""
DEFAULT_MINUTES = 120


class Cause(StrEnum):
    """What changed the protection of a task."""

    CALL = "call"
    """A call, when it came."""
    LATE_CALL = "late call"
    """A call, some time after it came."""
    EXPIRY = "expiry"
    """Time."""
    OUTSIDE = "outside"
    """Somebody else: a test that called the task's own methods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a task's protection.

    Attributes:
        time: When, on the time of the task.
        protected: Whether the task was protected from then on.
        expires: Until when, at the latest; None if not protected.
        cause: What changed it.
    """

    time: float
    protected: bool
    expires: float | None
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time from `start` until `end`."""

    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """ECS's no: its reason, ``DEPLOYMENT_BLOCKED`` for example, and what it says about it."""

    reason: str
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """A task at one moment.

    Attributes:
        arn: Its ARN.
        expires: Until when it is protected; None: it is not.
        refusal: What ECS says no with to the request that this state was asked for.
        minute_s: How long a minute of its protection lasts.
    """

    arn: str
    expires: float | None
    refusal: Refusal | None = None
    minute_s: float = 60.0

    def expires_after(self, write: Write | None, *, now: float) -> float | None:
        """Until when it is protected once that is done `now`; None: it is not. Without a write, as it is."""
        return write.ends(now, minute_s=self.minute_s) if write else self.expires


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """What a call does to a task: protect it for `minutes` (None: no longer), `after_s` seconds after it came."""

    minutes: int | None
    after_s: float = 0.0

    def ends(self, now: float, *, minute_s: float) -> float | None:
        """Until when the task is protected by it, if it is done `now`."""
        return None if self.minutes is None else now + self.minutes * minute_s


class FakeTask:
    """The protection of one task, as every fake endpoint that shares this object sees it. Any thread may use it.

    Every enable replaces the expiry, a shorter one too (contract §4). Nothing runs in the background: what time
    has done, expiry and late writes, is worked out when somebody looks.

    Args:
        arn: The ARN of the task.
        time: The time it lives in.

    Attributes:
        rule: What ECS says no with now, to a request for protection or (False) to any other; None: it says yes. It may
            look at other tasks.
    """

    def __init__(
        self,
        arn: str = "arn:aws:ecs:us-west-2:111122223333:task/work/0123456789abcdef0123456789abcdef",
        *,
        time: EcsTime | None = None,
    ) -> None:
        self.arn = arn
        self.time = time or EcsTime()
        self.rule: Callable[[bool], Refusal | None] = lambda _enable: None
        self._lock = threading.RLock()  # guards all below
        self._changes: list[Change] = []
        self._expires: float | None = None
        self._late: list[tuple[float, Write]] = []  # when each lands; the soonest first

    def enable(self, minutes: int = DEFAULT_MINUTES) -> None:
        """Protect the task from outside, as a colleague with the AWS command line would.

        Raises:
            SettingsError: ECS refuses that many minutes.
        """
        if minutes not in MINUTES:
            raise SettingsError(setting="minutes", rule=f"from {MINUTES[0]} to {MINUTES[-1]}", value=str(minutes))
        self.write(Write(minutes=minutes), cause=Cause.OUTSIDE)

    def disable(self) -> None:
        """End the protection from outside."""
        self.write(Write(minutes=None), cause=Cause.OUTSIDE)

    def write(self, write: Write, *, cause: Cause = Cause.CALL) -> None:
        """Apply what a call does, now or when it lands."""
        with self._lock:
            now = self._catch_up()
            if write.after_s > 0:
                self._late.append((now + write.after_s, write))
                self._late.sort(key=itemgetter(0))
            else:
                self._apply(write, at=now, cause=cause)

    def unless_protected(self, act: Callable[[], object]) -> bool:
        """Call `act` if the task is not protected, and let no call change that meanwhile; return whether it was called.

        Args:
            act: What is done; it must not block.
        """
        with self._lock:
            self._catch_up()
            if self._expires is not None:
                return False
            act()
            return True

    def state(self, *, enable: bool = False) -> TaskState:
        """The task now, as a request for protection or any other one finds it."""
        refusal = self.rule(enable)  # before the lock is taken: it may look at a task that just looks at this one
        return TaskState(arn=self.arn, expires=self.expires, refusal=refusal, minute_s=self.time.minute_s)

    @property
    def expires(self) -> float | None:
        """Until when the task is protected; None: it is not."""
        with self._lock:
            self._catch_up()
            return self._expires

    @property
    def protected(self) -> bool:
        """Whether the task is protected now."""
        return self.expires is not None

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every change so far, oldest first."""
        with self._lock:
            self._catch_up()
            return tuple(self._changes)

    def was_protected(self, start: float, end: float) -> bool:
        """Whether the task was protected from `start` to `end`, all the time.

        Raises:
            SettingsError: `end` lies before `start`, or has not come yet.
        """
        return not self.unprotected_spans(start, end) and self._was_protected_at(start)

    def unprotected_spans(self, start: float, end: float) -> list[Span]:
        """When the task was not protected between `start` and `end`, oldest first.

        Raises:
            SettingsError: `end` lies before `start`, or has not come yet.
        """
        now = self.time.now()
        if not start <= end <= now:
            raise SettingsError(setting="end", rule=f"from start ({start:g}) to now ({now:g})", value=f"{end:g}")
        changes = self.changes
        starts = [-float("inf"), *(change.time for change in changes), float("inf")]
        states = [False, *(change.protected for change in changes)]
        gaps = [span for span, state in zip(pairwise(starts), states, strict=True) if not state]
        cut = [(max(begin, start), min(until, end)) for begin, until in gaps]
        return [Span(start=begin, end=until) for begin, until in cut if begin < until]

    def _was_protected_at(self, moment: float) -> bool:
        before = [change.protected for change in self.changes if change.time <= moment]
        return bool(before) and before[-1]

    def _catch_up(self) -> float:
        """Let everything happen that was to happen by now; returns now."""
        now = self.time.now()
        while self._late and self._late[0][0] <= now:
            at, write = self._late.pop(0)
            self._expire(by=at)
            self._apply(write, at=at, cause=Cause.LATE_CALL)
        self._expire(by=now)
        return now

    def _expire(self, *, by: float) -> None:
        if self._expires is not None and self._expires <= by:
            self._note(at=self._expires, expires=None, cause=Cause.EXPIRY)

    def _apply(self, write: Write, *, at: float, cause: Cause) -> None:
        if write.minutes is not None:
            self._note(at=at, expires=write.ends(at, minute_s=self.time.minute_s), cause=cause)
        elif self._expires is not None:
            self._note(at=at, expires=None, cause=cause)

    def _note(self, *, at: float, expires: float | None, cause: Cause) -> None:
        self._expires = expires
        self._changes.append(Change(time=at, protected=expires is not None, expires=expires, cause=cause))
