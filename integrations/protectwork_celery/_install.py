"""`install` and `uninstall`: they join protection to a Celery app, and take it away again."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Literal
from weakref import WeakKeyDictionary

from protectwork import ProtectionManager, SettingsError
from protectwork_celery._celery import App, app_of
from protectwork_celery._options import Options

__all__ = ["install", "install_unless_installed", "options_of", "uninstall"]

_STEP = "protectwork_celery._step:ProtectionStep"  # by name: half of Celery comes with it, and only workers need that
_installed: WeakKeyDictionary[App, Options] = WeakKeyDictionary()


def install(
    app: object,
    *,
    tasks: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    when_refused: Literal["run", "pause"] | None = None,
    manager: ProtectionManager | None = None,
) -> None:
    """Have every worker of this app protected while it has jobs.

    Nothing happens before a worker starts, and nothing at all in web processes, in ``celery inspect``, in eager mode or
    outside ECS. May be called before the app is configured or finalised, in any thread; never blocks. Once more with
    the same arguments is a no-op.

    Args:
        app: The Celery application.
        tasks: Names or globs of the Celery tasks that deserve protection, such as ``"reports.*"``; all by default.
        exclude: Names or globs of those that do not.
        when_refused: What to do while ECS refuses: ``"run"`` on (the default), or ``"pause"`` consumption until a lease
            is confirmed again.
        manager: Whose lease it is; the process's own by default, set up by the app's ``protectwork_*`` configuration.

    Raises:
        SettingsError: An argument is outside its rule, or other arguments are in force for this app.
    """
    found = _app(app)
    options = Options.of(tasks=tasks, exclude=exclude, when_refused=when_refused, manager=manager)
    if _installed.setdefault(found, options) != options:
        raise SettingsError(
            setting="install()",
            rule="called with the same arguments for one app",
            value=f"{options} after {_installed[found]}",
            remedy="call uninstall(app) in between",
        )
    found.steps["consumer"].add(_STEP)
    if "celery.worker.control" in sys.modules:  # a worker, or a command line that has to know what it may ask
        import_module("protectwork_celery._inspect")


def install_unless_installed(app: object) -> None:
    """For those who have no arguments to say; what the app itself has said stands."""
    if _app(app) not in _installed:
        install(app)


def uninstall(app: object) -> None:
    """Undo `install`, for workers that start from now on; without it, a no-op.

    Raises:
        SettingsError: This is no Celery application.
    """
    found = _app(app)
    _installed.pop(found, None)
    found.steps["consumer"].discard(_STEP)


def options_of(app: App) -> Options:
    """What `install` was told for this app."""
    return _installed.get(app, Options())


def _app(app: object) -> App:
    found = app_of(app)
    if found is None:
        remedy = "pass the object that Celery(...) made"
        raise SettingsError(setting="app", rule="a Celery application", value=repr(app)[:200], remedy=remedy)
    return found
