"""RecordingBackend: a backend in memory, for tests of which calls a program makes and what it makes of the answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from protectwork._clock import Clock, steady_now
from protectwork._errors import SettingsError
from protectwork._types import Answer, Outcome
from protectwork.testing._fake_clock import FakeClock
from protectwork.testing._task import MINUTES

__all__ = ["RecordedCall", "RecordingBackend", "Scripted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """One call that came: its name, the minutes of an enable, and the time on the backend's clock."""

    name: Literal["enable", "disable", "get"]
    minutes: int | None
    time: float


Scripted = Answer | Outcome | Exception | Callable[[RecordedCall], Answer]
"""What a call comes to: an answer, an outcome alone, an error that it raises, or a function of the call."""


class RecordingBackend:
    """A backend that makes no calls: it confirms what is asked, with real state, and remembers it.

        backend = RecordingBackend()
        with ProtectionManager(backend) as manager, manager.protect():
            assert backend.protected
        assert [call.name for call in backend.calls] == ["enable", "disable"]

    Any thread may use it.

    Args:
        clock: The clock of the manager, where that is not the machine's: calls are stamped with it, protection runs
            out on it, and answers carry dates, which they do not without it.
    """

    name = "recording"

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock
        self._now = clock.now if clock else steady_now
        self._changed = threading.Condition()  # guards all below; tells of calls, and of the end of a pause
        self._calls: list[RecordedCall] = []
        self._script: list[Scripted] = []
        self._expires: float | None = None
        self._pauses = 0
        self._held = 0

    # -- the backend

    def enable(self, minutes: int) -> Answer:
        """See `Backend.enable`."""
        return self._call("enable", minutes)

    def disable(self) -> Answer:
        """See `Backend.disable`."""
        return self._call("disable")

    def get(self) -> Answer:
        """See `Backend.get`."""
        return self._call("get")

    # -- for tests

    @property
    def calls(self) -> tuple[RecordedCall, ...]:
        """Every call so far, oldest first; each is in it before it is answered."""
        with self._changed:
            return tuple(self._calls)

    @property
    def protected(self) -> bool:
        """Whether the task is protected now."""
        with self._changed:
            return self._expires is not None and self._expires > self._now()

    def answer_next(self, scripted: Scripted, *, times: int = 1) -> None:
        """Say what the next calls come to; those after them are confirmed again. Scripts wait in line.

        What is confirmed changes the state; anything else leaves it as it was.

        Args:
            scripted: What they come to.
            times: How many of them.

        Raises:
            SettingsError: `times` is less than 1.
        """
        if times < 1:
            raise SettingsError(setting="times", rule="1 or more", value=str(times))
        with self._changed:
            self._script += [scripted] * times

    @contextmanager
    def paused(self) -> Generator[None]:
        """Hold every call that comes, recorded but not answered, until the block is left.

        Time on a `FakeClock` can be moved meanwhile, if this backend has it.
        """
        with self._changed:
            self._pauses += 1
        try:
            yield
        finally:
            with self._changed:
                self._pauses -= 1
                self._changed.notify_all()
                # Only when they are on their way again does a FakeClock wait for the threads that were held.
                self._changed.wait_for(lambda: self._pauses > 0 or self._held == 0)

    def wait_until(self, condition: Callable[[], bool], *, timeout_s: float = 10.0) -> bool:
        """Wait until `condition` holds; it is asked again after each call came. Returns whether it does.

        Args:
            condition: For example ``lambda: len(backend.calls) == 1``; it must not block.
            timeout_s: For how long to wait at most, in real time.
        """
        with self._changed:
            return self._changed.wait_for(condition, timeout_s)

    # -- how it answers

    def _call(self, name: Literal["enable", "disable", "get"], minutes: int | None = None) -> Answer:
        call = RecordedCall(name=name, minutes=minutes, time=self._now())
        with self._changed:
            self._calls.append(call)
            self._changed.notify_all()
            self._wait_while_paused()
            scripted = self._script.pop(0) if self._script else Outcome.CONFIRMED
        match scripted:
            case Exception():
                raise scripted
            case Answer() | Outcome():
                answer = scripted
            case _:
                answer = scripted(call)  # a test's own code: no lock is held
        with self._changed:
            return self._carry_out(call, answer)

    def _wait_while_paused(self) -> None:
        if not self._pauses:
            return
        self._held += 1
        try:
            with self._clock.away() if isinstance(self._clock, FakeClock) else nullcontext():
                self._changed.wait_for(lambda: not self._pauses)
        finally:
            self._held -= 1
            self._changed.notify_all()

    def _carry_out(self, call: RecordedCall, answer: Answer | Outcome) -> Answer:
        outcome = answer.outcome if isinstance(answer, Answer) else answer
        if outcome is Outcome.CONFIRMED and call.name == "enable" and call.minutes not in MINUTES:
            return Answer(outcome=Outcome.MISCONFIGURED, reason="InvalidParameterException")
        if outcome is Outcome.CONFIRMED:
            self._apply(call)
        if isinstance(answer, Answer):
            return answer
        sent_at = call.time if self._clock else None
        if outcome is not Outcome.CONFIRMED:
            return Answer(outcome=outcome, reason=outcome.value, sent_at=sent_at)
        return Answer(outcome=outcome, protected=self.protected, expires_at=self._date(), sent_at=sent_at)

    def _apply(self, call: RecordedCall) -> None:
        if call.name != "get":
            self._expires = None if call.minutes is None else self._now() + call.minutes * 60

    def _date(self) -> datetime | None:
        if not self._clock or self._expires is None or not self.protected:
            return None
        return datetime.fromtimestamp(self._clock.wall() + self._expires - self._now(), UTC)
