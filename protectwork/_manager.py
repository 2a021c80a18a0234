"""The manager: what a user holds in hand, and the floor that adapters stand on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any, Self, overload

from protectwork._admission import Admission
from protectwork._backend import Backend
from protectwork._clock import Clock, steady_now
from protectwork._decorator import Decorable, protect_function
from protectwork._events import AdapterEvent, Observer
from protectwork._hold import Hold
from protectwork._keeper import Keeper
from protectwork._ledger import LoneState, TaskState, open_state
from protectwork._observers import LoggingObserver, Observers, logger
from protectwork._policy_time import time_scale
from protectwork._retiring import Retiring
from protectwork._settings import OnUnprotected, Settings, seconds
from protectwork._steps import Policy
from protectwork._terms import Terms, check_observer, check_on_lost, check_parts, clean_label, duration_s, insists
from protectwork._types import Answer, HoldStatus, Seconds, State, Status
from protectwork._waiting import SystemClock, blocking_waiter
from protectwork.backends import choose_backend, sign_of_ecs, why_off
from protectwork.backends.null import NullBackend

__all__ = ["ProtectionManager", "agent_missing", "backend_for", "decorate"]

_UNLABELLED = "work"


class ProtectionManager:
    """Keeps this task protected exactly while work is in flight.

    Its thread starts at the first hold and makes every call; no method of the manager makes one. Outside ECS it is
    off: everything works, no call is made, no thread started. All methods are safe in any thread; those that may
    block say for how long. In a forked child it begins anew, with nothing in flight.

    Args:
        backend: What makes the calls; chosen by the settings and the environment when not given.
        settings: What to do; from the environment (``PROTECTWORK_*``) when not given.
        clock: Where time comes from; this machine's when not given.
        random: Where jitter comes from.
        vigilant: This process does nothing but look after the task: it always watches what the others leave undone.

    Raises:
        SettingsError: An argument is not what it must be, or the environment holds a bad value.
    """

    def __init__(
        self,
        backend: Backend | None = None,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
        vigilant: bool = False,
    ) -> None:
        check_parts(backend=backend, settings=settings, clock=clock, random=random)
        self.settings = settings or Settings.from_env(os.environ)
        clock = SystemClock() if clock is None else clock
        random = Random() if random is None else random  # noqa: S311 - jitter
        if backend is None:
            backend = backend_for(self.settings, os.environ, clock)
            if warning := agent_missing(backend, self.settings, os.environ):
                logger.warning("%s", warning)
        self._backend = backend
        self._observers = Observers(LoggingObserver())
        self._raises = self.settings.on_unprotected == "raise"
        scope, off = str(getattr(self._backend, "scope", "")), isinstance(self._backend, NullBackend)
        self._keeper = Keeper(
            self._backend,
            policy=_policy(self.settings, 1.0 if off else time_scale(os.environ)),
            clock=clock,
            random=random,
            off=off,
            tell=self._observers.tell,
            open_state=partial(_open_state, self.settings.state_dir, scope),
            scope=scope,
            vigilant=vigilant,
        )
        self.admission = Admission(self._observers.tell)
        self._retiring = None if vigilant else self._made_to_retire(clock, random)

    def _made_to_retire(self, clock: Clock, random: Random) -> Retiring | None:
        if not self.settings.retire_when_superseded or isinstance(self._backend, NullBackend):
            return None
        allow_endpoint = self.settings.allow_endpoint
        retiring = Retiring(self._keeper, self.admission, clock=clock, random=random, allow_endpoint=allow_endpoint)
        self._keeper.on_news = retiring.ring
        return retiring

    def protect(
        self,
        label: str | None = None,
        *,
        max_duration: Seconds | None = None,
        on_unprotected: OnUnprotected | None = None,
        on_lost: Callable[[Hold], object] | None = None,
    ) -> Hold:
        """A hold for one unit of work, for use with ``with`` or ``async with``. Never blocks by itself.

        Args:
            label: Shown by ``status`` and in logs; control characters are escaped, and it is cut at 200 characters.
            max_duration: An upper bound on how long the work runs, in seconds or as a timedelta, at most 48 h: the
                lease asked for covers it. Not a time-out: work that runs longer is told once, never cut.
            on_unprotected: ``"run"`` starts the work all the same when ECS does not confirm, ``"raise"`` raises
                instead of starting it; the manager's setting when not given.
            on_lost: Called with the hold, on a thread of its own, when the lease runs out under it. The callbacks of
                holds that are lost at once come one after the other, past those that take long or hang.

        Raises:
            SettingsError: An argument is outside its rule.
        """
        return Hold(
            self._keeper,
            _UNLABELLED if label is None else clean_label(label),
            None if max_duration is None else duration_s(max_duration),
            self._raises if on_unprotected is None else insists(on_unprotected),
            None if on_lost is None else check_on_lost(on_lost),
        )

    def acquire(
        self,
        label: str | None = None,
        *,
        max_duration: Seconds | None = None,
        on_unprotected: OnUnprotected | None = None,
        on_lost: Callable[[Hold], object] | None = None,
        timeout: Seconds | None = None,
    ) -> Hold:
        """Begin a hold that `Hold.release` ends: for pairs of hooks, where ``with`` cannot be used.

        Takes the arguments of `protect`, and blocks as entering ``with protect(...)`` does; with a `timeout`, in
        seconds or as a timedelta, for no longer than that, and not at all with 0. It then raises nothing either: as
        long as the hold is `Hold.waiting` ECS has not said, and after that `Hold.require` tells.
        """
        hold = self.protect(label, max_duration=max_duration, on_unprotected=on_unprotected, on_lost=on_lost)
        if timeout is None:
            return hold.__enter__()
        most_s = seconds("timeout", timeout, low_s=0, high_s=threading.TIMEOUT_MAX)
        if not hold.begin():
            hold.admit_within(most_s)
        return hold

    @overload
    def protected(self, wrapped: Decorable, /) -> Decorable: ...

    @overload
    def protected(
        self,
        /,
        *,
        label: str | None = None,
        max_duration: Seconds | None = None,
        on_unprotected: OnUnprotected | None = None,
        on_lost: Callable[[Hold], object] | None = None,
    ) -> Callable[[Decorable], Decorable]: ...

    def protected(self, wrapped: Any = None, /, **options: Any) -> Any:
        """Decorate a function of any kind, so that each run of it is a hold; see `protectwork.protected`."""
        return decorate(wrapped, options, lambda: self)

    def start(self) -> None:
        """Start before there is work, and release what an earlier container may have left behind; for adapters."""
        self._keeper.start()

    @property
    def confirmed(self) -> bool:
        """ECS is known to protect the task now. Never blocks."""
        return self._keeper.now() < self._keeper.sure_until

    @property
    def trouble(self) -> Answer | None:
        """Why the task could not be protected the last time it was asked for; None once it could. Never blocks."""
        return self._keeper.trouble

    def status(self) -> Status:
        """A snapshot of what the manager knows. Makes no call and never blocks."""
        keeper = self._keeper
        elsewhere = keeper.book.in_flight_elsewhere()  # it looks at files, so not under the lock
        with keeper.lock:
            keeper.sweep()
            now = keeper.now()
            keeper.book.see(keeper.ledger.glance())
            holds = tuple(HoldStatus(label=hold.label, age_s=now - hold.began_at) for hold in list(keeper.holds))
            return Status(
                state=State.CLOSED if keeper.closed else keeper.lease.state(now),
                in_flight=len(holds),
                in_flight_all=len(holds) + elsewhere,
                holds=holds,
                confirmed=keeper.lease.sure(now),
                expires_at=keeper.expires_at(),
                admission="open" if self.admission.is_open else "closed",
                last_outcome=keeper.lease.last_outcome,
                calls=keeper.lease.calls,
                backend=self._backend.name,
            )

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Tell `observer` of every event from now on; the returned function ends that.

        It hears of events in order, on a thread of its own: it may block, raise, or use the manager.

        Raises:
            SettingsError: It has no ``on_event``.
        """
        check_observer(observer)
        return self._observers.add(observer)

    def tell(self, event: AdapterEvent) -> None:
        """Tell every observer of something that is an adapter's own business; it is not logged. Never blocks."""
        self._observers.tell(event)

    def drain(self, timeout: Seconds | None = None) -> bool:
        """Close admission, wait until nothing is in flight, release. Admission stays closed.

        Args:
            timeout: For how long to wait at most, in seconds or as a timedelta; without it, as long as the work takes.

        Returns:
            Whether nothing is in flight and the task is released.
        """
        timeout_s = threading.TIMEOUT_MAX if timeout is None else seconds("timeout", timeout, low_s=0, high_s=1e6)
        self.admission.close("draining")
        waiter = blocking_waiter()
        ends = steady_now() + timeout_s
        try:
            while self._keeper.retire(waiter):
                if (left_s := ends - steady_now()) <= 0:
                    return False
                waiter.wait(left_s)
        finally:
            self._keeper.forget(waiter)
        return True

    def close(self) -> None:
        """Release if nothing is in flight, and end the thread; best effort, blocks for at most 2 s.

        Closing twice is a no-op. Work that is in flight runs on, protected until its lease ends; work that begins later
        runs unprotected, or raises where it asked for that. The exit of the interpreter closes every manager.
        """
        with self._keeper.lock:
            in_flight = len(self._keeper.holds)
        if in_flight and not self._keeper.closed:
            logger.warning("closed with %d in flight: the lease is not renewed any more", in_flight)
        self._keeper.close()
        if self._retiring:
            self._retiring.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _policy(settings: Settings, scale: float) -> Policy:
    """The settings as the machine takes them, in a lab's policy time if this is one."""
    return Policy(
        lease_s=settings.lease_s / scale,
        linger_s=settings.linger_s / scale,
        acquire_timeout_s=settings.acquire_timeout_s,
        minute_s=60.0 / scale,
    )


def _open_state(state_dir: str | os.PathLike[str] | None, scope: str) -> TaskState:
    """The state of this task's processes; that of this process alone where nothing says what task it is in."""
    if not scope and state_dir is None:
        return LoneState()
    return open_state(state_dir=None if state_dir is None else os.fspath(state_dir), endpoint=scope)


def decorate(wrapped: Any, options: dict[str, Any], manager: Callable[[], ProtectionManager]) -> Any:
    """`protected` in both its forms; the manager is asked for at each run, so that none is built at import."""
    terms = Terms.of(**options)

    def decorator(function: Any) -> Any:
        return protect_function(function, lambda name: _hold_maker(terms, terms.label or clean_label(name), manager))

    return decorator if wrapped is None else decorator(wrapped)


def _hold_maker(terms: Terms, label: str, manager: Callable[[], ProtectionManager]) -> Callable[[], Hold]:
    max_duration_s, raises, on_lost = terms.max_duration_s, terms.raises, terms.on_lost

    def new_hold() -> Hold:  # looks into the manager, for this is the hot path: a method in between costs a tenth of it
        it = manager()
        keeper, default = it._keeper, it._raises  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        return Hold(keeper, label, max_duration_s, default if raises is None else raises, on_lost)

    return new_hold


def backend_for(settings: Settings, environ: Mapping[str, str], clock: Clock) -> Backend:
    """What the settings and the environment choose.

    Raises:
        SettingsError: The environment holds a bad value.
    """
    return choose_backend(settings.backend, environ=environ, allow_endpoint=settings.allow_endpoint, clock=clock)


def agent_missing(backend: Backend, settings: Settings, environ: Mapping[str, str]) -> str | None:
    """What to warn of where this is ECS and yet there is nothing that could protect; None where all is well."""
    sign, why = sign_of_ecs(environ), why_off(environ)
    if settings.backend != "auto" or not isinstance(backend, NullBackend) or not (sign and why):
        return None
    return f"{sign}, but nothing can be protected: {why}"
