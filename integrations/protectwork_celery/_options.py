"""What a worker is told about protection: by `install` and by the Celery configuration."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from types import ModuleType
from typing import Any, Literal, cast

from protectwork import ProtectionManager, Settings, SettingsError
from protectwork_celery._celery import App

__all__ = ["Options", "configured_settings", "unmatched"]

_PREFIX = "protectwork_"
_OWN = ("tasks", "exclude")
_NAMES = (*_OWN, *(field.name for field in fields(Settings)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `install` was told.

    Attributes:
        tasks: Names or globs of the Celery tasks that deserve protection; None is all.
        exclude: Names or globs of those that do not.
        when_refused: What to do while ECS refuses; None leaves it to the settings.
        manager: Whose lease it is; None is the process's own.

    Raises:
        SettingsError: A value is outside its rule.
    """

    tasks: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    when_refused: Literal["run", "pause"] | None = None
    manager: ProtectionManager | None = None

    def __post_init__(self) -> None:
        Settings(when_refused=self.when_refused)
        if self.manager is not None and not isinstance(cast("object", self.manager), ProtectionManager):
            raise SettingsError(setting="manager", rule="a ProtectionManager", value=repr(self.manager)[:200])

    @classmethod
    def of(
        cls, *, tasks: object = None, exclude: object = None, when_refused: Any = None, manager: Any = None
    ) -> Options:
        """What the user wrote, checked."""
        return cls(
            tasks=None if tasks is None else _globs("tasks", tasks),
            exclude=() if exclude is None or _is_empty_list(exclude) else _globs("exclude", exclude),
            when_refused=when_refused,
            manager=manager,
        )

    def deserves(self, name: str) -> bool:
        """Whether runs of the Celery task of that name are to be protected."""
        chosen = self.tasks is None or any(fnmatchcase(name, glob) for glob in self.tasks)
        return chosen and not any(fnmatchcase(name, glob) for glob in self.exclude)

    def completed(self, app: App) -> Options:
        """With what the Celery configuration says where `install` was told nothing.

        Raises:
            SettingsError: A value in the configuration is outside its rule.
        """
        told = dict(_told(app))
        tasks, exclude = (_globs(f"{_PREFIX}{name}", told[name]) if name in told else None for name in _OWN)
        return replace(self, tasks=tasks if self.tasks is None else self.tasks, exclude=self.exclude or exclude or ())


def configured_settings(app: App) -> dict[str, Any]:
    """The settings of the manager that the Celery configuration names: ``protectwork_lease`` and so on.

    Raises:
        SettingsError: One is unknown or outside its rule.
    """
    told = {name: value for name, value in _told(app) if name not in _OWN}
    return {name: _setting(name, value) for name, value in told.items()}


def unmatched(options: Options, names: Iterable[str]) -> tuple[str, ...]:
    """The globs that choose no registered Celery task: a misspelt one would leave its task unprotected in silence."""
    known = tuple(names)
    globs = (*(options.tasks or ()), *options.exclude)
    return tuple(glob for glob in globs if not any(fnmatchcase(name, glob) for name in known))


def _setting(name: str, value: Any) -> Any:
    """One setting, checked; a text is read as in the environment, for many configurations come from there."""
    environ, given = ({f"PROTECTWORK_{name.upper()}": value}, {}) if isinstance(value, str) else ({}, {name: value})
    try:
        return getattr(Settings.from_env(environ, **given), name)
    except SettingsError as error:
        setting = _PREFIX + name
        raise SettingsError(setting=setting, rule=error.rule, value=error.value, remedy=error.remedy) from None


def _told(app: App) -> Iterator[tuple[str, Any]]:
    """All settings of ours that the configuration has, by name."""
    for key in _keys(app):
        name, value = key.removeprefix(_PREFIX), app.conf.get(key)
        if isinstance(value, ModuleType) or _is_empty(value):  # the configuration may import us
            continue
        if name not in _NAMES:
            close = difflib.get_close_matches(name, _NAMES, n=1)
            remedy = f"did you mean {_PREFIX}{close[0]}?" if close else f"the settings are {', '.join(_NAMES)}"
            raise SettingsError(setting="the Celery configuration", rule="of known settings", value=key, remedy=remedy)
        yield name, value


def _is_empty_list(value: object) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and not value


def _is_empty(value: object) -> bool:
    """Whether it counts as not set, as an empty variable of the environment does."""
    return value is None or (isinstance(value, str) and not value.strip())


def _keys(app: App) -> list[str]:
    """The settings of ours in the configuration, wherever it comes from and whatever namespace it has there."""
    prefix = f"{app.namespace.lower()}_" if app.namespace else ""
    found = {str(key).lower().removeprefix(prefix) for source in app.conf.maps for key in source}
    return sorted(key for key in found if key.startswith(_PREFIX))


def _globs(setting: str, value: object) -> tuple[str, ...]:
    texts = value.split(",") if isinstance(value, str) else value
    given = tuple(cast("Iterable[object]", texts)) if isinstance(texts, Iterable) else ()
    globs = tuple(glob.strip() for glob in given if isinstance(glob, str))
    if not globs or not all(globs) or len(globs) < len(given):
        rule = "names of Celery tasks, or globs such as 'reports.*'"
        raise SettingsError(setting=setting, rule=rule, value=repr(value)[:200])
    return globs
