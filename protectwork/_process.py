"""The process's own manager, built at first use, and the two names that most users need."""

from __future__ import annotations

import logging
import os
from _thread import RLock
from collections.abc import Callable
from typing import Any, overload

from protectwork._backend import Backend
from protectwork._decorator import Decorable
from protectwork._errors import SettingsError
from protectwork._forks import forgets_on_fork
from protectwork._hold import Hold
from protectwork._manager import ProtectionManager, agent_missing, backend_for, decorate
from protectwork._observers import logger
from protectwork._policy_time import time_scale
from protectwork._settings import BackendName, OnUnprotected, Settings, unknown_variables
from protectwork._terms import check_parts
from protectwork._types import Seconds
from protectwork._waiting import SystemClock
from protectwork.backends.null import NullBackend

__all__ = ["configure", "configure_for_framework", "get_manager", "protect", "protected", "reset_manager"]


class _Process:
    """What this process was told, and the manager that came of it."""

    def __init__(self) -> None:
        self.manager: ProtectionManager | None = None
        self.backend: Backend | None = None
        self.settings: Settings | None = None
        self.overrides: dict[str, Any] = {}
        self.defaults: dict[str, Any] = {}
        self.forget_parent()
        forgets_on_fork(self)

    def forget_parent(self) -> None:
        """The parent may have been building its manager on another thread."""
        self.lock = RLock()  # guards everything above

    def build(self) -> ProtectionManager:
        """The manager; what there is to say about it is logged after the lock is left, for a log handler may hang."""
        words: list[tuple[int, str]] = []
        with self.lock:
            if self.manager is None:
                words += ((logging.WARNING, warning) for warning in unknown_variables(os.environ))
                self.manager = self._built(words)
            manager = self.manager
        for level, text in words:
            logger.log(level, "%s", text)
        return manager

    def _built(self, words: list[tuple[int, str]]) -> ProtectionManager:
        try:
            settings = self.settings or Settings.from_env(os.environ, **{**self.defaults, **self.overrides})
            backend = backend_for(settings, os.environ, SystemClock()) if self.backend is None else self.backend
            time_scale(os.environ)  # which the manager takes: a bad one is told here
        except SettingsError as error:  # a bad environment must not break the job: it is told, and nothing is protected
            words.append((logging.ERROR, f"protection is off: {error}"))
            return ProtectionManager(NullBackend(), settings=Settings())
        if warning := agent_missing(backend, settings, os.environ):
            words.append((logging.WARNING, warning))
        return ProtectionManager(backend, settings=settings)


_process = _Process()


def get_manager() -> ProtectionManager:
    """The process's own manager, built at first use from `configure` and the environment.

    A bad environment is one error in the log, and protection is off: it never breaks the job that came first.
    Safe in any thread; does not block.
    """
    return _process.manager or _process.build()


def configure(
    *, backend: Backend | BackendName | None = None, settings: Settings | None = None, **overrides: Any
) -> None:
    """Set up the process's own manager before its first use.

    Args:
        backend: What makes the calls; or, by its name, the single setting: ``auto``, ``agent``, ``ecs`` or ``off``.
        settings: All settings at once; the environment is not looked at then.
        overrides: Single settings by name (``lease=``, ``linger=``, …); they win over the environment.

    Raises:
        SettingsError: An argument is outside its rule, or the manager is in use already.
    """
    if isinstance(backend, str):
        overrides["backend"], backend = backend, None
    check_parts(backend=backend, settings=settings)
    if settings is not None and overrides:
        raise SettingsError(
            setting="configure()", rule="given settings= or single settings", value=f"both ({', '.join(overrides)})"
        )
    Settings.from_env({}, **overrides)
    with _process.lock:
        if _process.manager is not None:
            raise SettingsError(
                setting="configure()",
                rule="called before the first use",
                value="a call after it",
                remedy="call it at start-up, before any protected work and before adapters are installed",
            )
        _process.backend, _process.settings, _process.overrides = backend, settings, overrides


def configure_for_framework(**settings: Any) -> bool:
    """Set up the process's own manager by a framework's configuration: below `configure`, above the environment.

    Returns:
        Whether they are in force from now on; not if the manager is in use already.

    Raises:
        SettingsError: One is outside its rule.
    """
    Settings.from_env({}, **settings)
    with _process.lock:
        if _process.manager is not None:
            return False
        _process.defaults = settings
    return True


def reset_manager() -> None:
    """Close the process's own manager and forget it and what `configure` said; for tests. Blocks for at most 2 s."""
    with _process.lock:
        manager, _process.manager = _process.manager, None
        _process.backend, _process.settings, _process.overrides, _process.defaults = None, None, {}, {}
    if manager:
        manager.close()


def protect(
    label: str | None = None,
    *,
    max_duration: Seconds | None = None,
    on_unprotected: OnUnprotected | None = None,
    on_lost: Callable[[Hold], object] | None = None,
) -> Hold:
    """A hold of the process's own manager, for ``with`` or ``async with``: see `ProtectionManager.protect`."""
    return get_manager().protect(label, max_duration=max_duration, on_unprotected=on_unprotected, on_lost=on_lost)


@overload
def protected(wrapped: Decorable, /) -> Decorable: ...


@overload
def protected(
    *,
    label: str | None = None,
    max_duration: Seconds | None = None,
    on_unprotected: OnUnprotected | None = None,
    on_lost: Callable[[Hold], object] | None = None,
) -> Callable[[Decorable], Decorable]: ...


def protected(wrapped: Any = None, /, **options: Any) -> Any:
    """Protect the task during each run of a function.

    Works bare and with the arguments of `protect`, on def, async def, generators and async generators, on methods,
    class and static methods; signature, name and type stay as they are, and a module-level function still pickles.
    The hold of a generator lasts from its first ``next`` to its end, close or garbage collection. The label is the
    qualified name of the function unless one is given.

    Raises:
        SettingsError: An argument is outside its rule.
        TypeError: What is decorated is no function.
    """
    return decorate(wrapped, options, get_manager)
