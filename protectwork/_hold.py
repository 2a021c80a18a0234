"""One unit of work in flight, in its two faces: `with` and `async with`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Self

from protectwork._errors import HoldError, ProtectionRefusedError, ProtectionUnavailableError
from protectwork._native import NativeAlarm
from protectwork._observers import callbacks
from protectwork._types import Outcome
from protectwork._waiting import GreenletWaiter, LoopWaiter, blocking_waiter, on_event_loop

if TYPE_CHECKING:
    from protectwork._keeper import Keeper

__all__ = ["Hold"]

_USE_ASYNC = "use `async with protect()`, or @protected on the async function"
_NEVER_WAITS = (
    "a sync protect() on the thread of a running event loop does not wait for ECS,"
    f" so the work starts unconfirmed; {_USE_ASYNC}"
)


class Hold:
    """One unit of work: while it is in flight, the manager keeps the task protected.

    Made by `protect()` and used with `with` or `async with`; made and entered by `ProtectionManager.acquire`, and
    then ended by `release`. One hold is one unit of work at a time: it may be used again when it has ended, not before.

    Entering waits until the lease is confirmed or refused, for at most `acquire_timeout`, and only if it is the first
    to find ECS out of reach; `async with` waits without blocking the loop, and may be cancelled. Leaving never waits.
    All methods are safe in any thread and task.
    """

    __slots__ = ("_keeper", "_on_lost", "_raises", "began_at", "label", "max_duration_s")

    def __init__(
        self,
        keeper: Keeper,
        label: str,
        max_duration_s: float | None,
        raises: bool,  # noqa: FBT001 - one call a hold, on the hot path
        on_lost: Callable[[Hold], object] | None,
    ) -> None:
        self._keeper = keeper
        self._raises = raises
        self._on_lost = on_lost
        self.label = label
        self.max_duration_s = max_duration_s
        self.began_at = inf  # on the keeper's clock; inf while not in flight

    def __repr__(self) -> str:
        return f"<Hold {self.label!r} {'in flight' if self.began_at != inf else 'not in flight'}>"

    @property
    def confirmed(self) -> bool:
        """ECS is known to protect the task now, and this hold is in flight."""
        return self.began_at != inf and self._keeper.now() < self._keeper.sure_until

    @property
    def lost(self) -> bool:
        """This hold is in flight and was protected, and the lease ran out before it could be renewed."""
        return self.began_at < self._keeper.sure_until <= self._keeper.now()

    @property
    def waiting(self) -> bool:
        """This hold is in flight, and ECS has yet to say whether it protects the task; see `acquire(timeout=)`."""
        return self.began_at != inf and self._keeper.still_waits()

    @property
    def expires_at(self) -> datetime | None:
        """When the lease ends as far as we know (aware, UTC); None while it is not confirmed."""
        return self._keeper.expires_at() if self.confirmed else None

    def release(self) -> None:
        """End the hold; when it is not in flight, nothing happens. Never waits, and raises nothing of its own."""
        try:
            keeper = self._keeper
            with keeper.lock:
                self.began_at = inf
                if self.max_duration_s is not None:
                    keeper.ledger.ends.pop(self, None)
                if keeper.holds.pop(self, self) is self or keeper.holds:
                    return  # not in flight (a fork, a second release), or not the last
                keeper.ledger.idle_since = now = keeper.now()
                if keeper.wakes_at > now + keeper.linger_reach_s:
                    keeper.went_idle()
        except BaseException:  # a signal handler raised here: the work has ended all the same
            self.drop()
            raise

    def drop(self) -> None:
        """End the hold soon, from code that may run in a finaliser: takes no lock."""
        self._keeper.drop(self)

    def tell_lost(self) -> None:
        """Have `on_lost` called if this hold lost its lease."""
        if (on_lost := self._on_lost) and self.lost:
            callbacks.call(lambda: on_lost(self))

    def __enter__(self) -> Self:
        if not self.begin():
            self.admit()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is GeneratorExit:  # the code around is being closed, perhaps in a finaliser
            self.drop()
        else:
            self.release()

    async def __aenter__(self) -> Self:
        if not self.begin():
            await self.admit_async()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def begin(self) -> bool:
        """Put the hold into the ledger; False when `admit` has to follow. What ``with`` does on entering, in two."""
        keeper, mine = self._keeper, False
        try:
            with keeper.lock:
                if keeper.dropped:
                    keeper.sweep()
                if self.began_at != inf:
                    raise HoldError(label=self.label)  # noqa: TRY301 - a call less on the hot path
                mine = True
                self.began_at = now = keeper.now()
                keeper.holds[self] = None
                if self.max_duration_s is None:
                    return now < keeper.settled_until
                keeper.ledger.ends[self] = end = now + self.max_duration_s
                return now < keeper.settled_until and end <= keeper.covered_until
        except BaseException:  # a signal handler raised here (Ctrl-C, a soft time limit): the work does not start
            if mine:
                self.drop()
            raise

    def admit(self) -> None:
        """Ask the keeper, and wait for it where this thread may wait."""
        try:
            waiter = None if on_event_loop() else blocking_waiter()
            wait_s = self._keeper.hold_began(self, waiter)
            if wait_s is not None and waiter:
                self._wait(waiter, wait_s)
            elif wait_s is not None:
                self._keeper.once(_NEVER_WAITS)
            self.require(remedy=None if waiter else _USE_ASYNC)
        except BaseException as error:  # an interrupt or the refusal: the work does not start, so nothing is in flight
            self.__exit__(type(error), error, None)
            raise

    def admit_within(self, most_s: float) -> None:
        """Ask the keeper, wait for `most_s` at most, and leave it to the caller what comes of it."""
        try:
            waiter = blocking_waiter() if most_s > 0 else None
            wait_s = self._keeper.hold_began(self, waiter)
            if wait_s is not None and waiter:
                self._wait(waiter, min(wait_s, most_s))
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise

    def _wait(self, waiter: NativeAlarm | GreenletWaiter, wait_s: float) -> None:
        try:
            waiter.wait(wait_s)
        finally:
            self._keeper.forget(waiter)

    async def admit_async(self) -> None:
        """Ask the keeper, and wait for it as a task does."""
        try:
            waiter = LoopWaiter()
            wait_s = self._keeper.hold_began(self, waiter)
            if wait_s is not None:
                try:
                    await waiter.wait(wait_s)
                finally:
                    self._keeper.forget(waiter)
            self.require()
        except BaseException as error:  # cancelled, say: the count has to be right all the same
            self.__exit__(type(error), error, None)
            raise

    def require(self, *, remedy: str | None = None) -> None:
        """Raise if this hold insists on protection and the task has none; it stays in flight.

        Raises:
            ProtectionRefusedError: ECS refuses.
            ProtectionUnavailableError: ECS could not be asked, or has not answered yet.
        """
        if not self._raises or (answer := self._keeper.unprotected_because()) is None:
            return
        kind = ProtectionRefusedError if answer.outcome is Outcome.REFUSED else ProtectionUnavailableError
        raise kind(label=self.label, reason=answer.reason or str(answer.outcome), detail=answer.detail or remedy)
