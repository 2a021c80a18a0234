"""What a manager is told to do: every value checked once, in one place, wherever it came from."""

from __future__ import annotations

import difflib
import math
import os
import re
import reprlib
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePath
from typing import Any, Literal, cast

from protectwork._errors import SettingsError
from protectwork._policy_time import LAB_PREFIX
from protectwork._types import Seconds
from protectwork.backends._endpoint import parse_allowed

__all__ = [
    "BackendName",
    "OnUnprotected",
    "Origin",
    "Settings",
    "WhenRefused",
    "in_words",
    "is_one_of",
    "origins",
    "parse_duration",
    "printable",
    "seconds",
    "shown",
    "unknown_variables",
]

BackendName = Literal["auto", "agent", "ecs", "off"]
OnUnprotected = Literal["run", "raise"]
WhenRefused = Literal["run", "pause"]
Origin = Literal["argument", "environment", "default"]

_PREFIX = "PROTECTWORK_"
_MINUTE_S = 60
_HOUR_S = 3600
_SHOWN_CHARS = 200

_Check = Callable[[str, object], object]
"""Takes the name and the value of a setting; raises SettingsError if the value is outside its rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a manager is told to do.

    Durations are seconds or a timedelta. Every setting can also come from the environment: see `from_env`.

    Attributes:
        backend: What protects: ``agent`` (the container agent), ``ecs`` (the ECS API, with the extra ``ecs``), ``off``,
            or ``auto``: the agent where there is one, else the API where this is ECS and boto3 is installed.
        lease: How long protection is asked for at a time, 1 min to 48 h; 2 h by default. ECS refuses renewals during a
            deployment, so this is what work is sure of then: at least half of it.
        linger: How long the lease is kept after the last hold ended, in case more work comes, 0 to 15 min; 30 s by
            default.
        acquire_timeout: How long the first hold of an outage waits for its lease at most, 0 to 5 min; 15 s by default.
        on_unprotected: ``run`` work that cannot be protected, or ``raise`` before it starts.
        when_refused: What adapters do while ECS refuses: ``run`` on, or ``pause`` until a lease is confirmed again.
            None is each adapter's own default.
        retire_when_superseded: Adapters take no new work once a newer deployment of the service is primary.
        state_dir: The directory that the processes of the task share, an absolute path; None finds one.
        allow_endpoint: Host names, addresses or networks that ``ECS_AGENT_URI`` and ``ECS_CONTAINER_METADATA_URI_V4``
            may lead to, beside loopback, link-local and private ones.

    Raises:
        SettingsError: A value is outside its rule; also from ``dataclasses.replace``.
    """

    backend: BackendName = "auto"
    lease: Seconds = 2 * _HOUR_S
    linger: Seconds = 30
    acquire_timeout: Seconds = 15
    on_unprotected: OnUnprotected = "run"
    when_refused: WhenRefused | None = None
    retire_when_superseded: bool = False
    state_dir: str | os.PathLike[str] | None = None
    allow_endpoint: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, (check, _) in _RULES.items():
            check(name, getattr(self, name))

    @property
    def lease_s(self) -> float:
        """The lease in seconds."""
        return _float_s(self.lease)

    @property
    def linger_s(self) -> float:
        """The linger in seconds."""
        return _float_s(self.linger)

    @property
    def acquire_timeout_s(self) -> float:
        """The time that the first hold of an outage waits, in seconds."""
        return _float_s(self.acquire_timeout)

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **overrides: Any) -> Settings:
        """Take each setting from ``overrides``, else from the environment, else its default.

        Args:
            environ: The environment: ``PROTECTWORK_LEASE`` and so on. Durations are seconds, or ``90s``, ``30m``,
                ``2h``; switches ``on`` or ``off``; lists are parted by commas. An empty variable counts as not set.
            overrides: Single settings by name; None counts as not given. What they replace is not even looked at.

        Raises:
            SettingsError: A value is outside its rule; its ``setting`` is the variable's name if it came from there.
        """
        values = {name: value for name, value in overrides.items() if value is not None}
        for name, (check, parse) in _RULES.items():
            variable = _variable(name)
            text = environ.get(variable, "").strip()
            if text and name not in values:
                values[name] = parse(variable, text)
                check(variable, values[name])  # here too, for only here the variable's name is known
        return cls(**values)


def seconds(setting: str, value: object, *, low_s: float, high_s: float) -> float:
    """Give a duration as float seconds.

    Args:
        setting: Its name, for the error.
        value: A finite number of seconds, or a timedelta.
        low_s: The least it may be.
        high_s: The most it may be.

    Raises:
        SettingsError: It is no duration, or outside the range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | timedelta):  # a bool would pass as one second
        raise SettingsError(setting=setting, rule="a number of seconds or a timedelta", value=shown(value))
    value_s = _float_s(value)
    if not low_s <= value_s <= high_s:  # what is not a number is in no range
        rule = f"from {_duration(low_s)} to {_duration(high_s)}"
        raise SettingsError(setting=setting, rule=rule, value=_duration(value_s))
    return value_s


def unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Say of each ``PROTECTWORK_`` variable that is no setting that it is none, and which one may be meant."""
    known = {_variable(name) for name in _RULES}
    ours = (name for name in sorted(environ) if name.startswith(_PREFIX) and not name.startswith(LAB_PREFIX))
    return tuple(_unknown(name) for name in ours if name not in known)


def origins(environ: Mapping[str, str], *, arguments: Collection[str] = ()) -> dict[str, Origin]:
    """Say of each setting where its value comes from.

    Args:
        environ: The environment that `Settings.from_env` was given.
        arguments: The names of the single settings that it was given.
    """

    def origin(name: str) -> Origin:
        if name in arguments:
            return "argument"
        return "environment" if environ.get(_variable(name), "").strip() else "default"

    return {name: origin(name) for name in _RULES}


def in_words(settings: Settings) -> dict[str, str]:
    """Each setting as people write it."""
    return {
        "backend": settings.backend,
        "lease": _duration(settings.lease_s),
        "linger": _duration(settings.linger_s),
        "acquire_timeout": _duration(settings.acquire_timeout_s),
        "on_unprotected": settings.on_unprotected,
        "when_refused": settings.when_refused or "each adapter's own",
        "retire_when_superseded": "on" if settings.retire_when_superseded else "off",
        "state_dir": "found" if settings.state_dir is None else printable(os.fspath(settings.state_dir)),
        "allow_endpoint": ", ".join(settings.allow_endpoint) or "none",
    }


def _variable(name: str) -> str:
    return f"{_PREFIX}{name.upper()}"


def _unknown(variable: str) -> str:
    name = variable.removeprefix(_PREFIX)[:_SHOWN_CHARS].lower()  # with the prefix any two would be alike
    similar = [f"; did you mean {_variable(match)}?" for match in difflib.get_close_matches(name, _RULES, n=1)]
    return "".join([shown(variable)[1:-1], " is no setting", *similar])


# --- checks


def _within(low_s: float, high_s: float) -> _Check:
    return lambda setting, value: seconds(setting, value, low_s=low_s, high_s=high_s)


def _one_of(*choices: str | None) -> _Check:
    *others, last = [choice for choice in choices if choice]
    rule = f"{', '.join(others)} or {last}"

    def check(setting: str, value: object) -> None:
        if not is_one_of(value, *choices):
            raise SettingsError(setting=setting, rule=rule, value=shown(value))

    return check


def is_one_of(value: object, *choices: str | None) -> bool:
    """Whether it is one of the words; what compares by rules of its own, which may even raise, is none of them."""
    with suppress(Exception):
        return isinstance(value, str | None) and value in choices
    return False


def _switch(setting: str, value: object) -> None:
    if not isinstance(value, bool):
        raise SettingsError(setting=setting, rule="True or False", value=shown(value))


def _directory(setting: str, value: object) -> None:
    if value is not None and not _is_absolute(value):
        raise SettingsError(setting=setting, rule="an absolute path", value=shown(value))


def _is_absolute(value: object) -> bool:
    try:
        path = PurePath(cast("str", value))
    except TypeError:  # no path, or one of bytes
        return False
    return path.is_absolute() and "\0" not in str(path)


def _endpoints(setting: str, value: object) -> None:
    if not isinstance(value, tuple):
        raise SettingsError(setting=setting, rule="a tuple of host names, addresses or networks", value=shown(value))
    for entry in cast("tuple[object, ...]", value):
        if not _is_endpoint(entry):
            rule = "host names, addresses or networks such as 10.0.0.0/8"
            raise SettingsError(setting=setting, rule=rule, value=shown(entry))


def _is_endpoint(entry: object) -> bool:
    try:
        return isinstance(entry, str) and bool(parse_allowed(entry))
    except ValueError:
        return False


# --- texts of the environment


def _parse_text(_: str, text: str) -> str:
    return text


def _parse_word(_: str, text: str) -> str:
    return text.lower()


def _parse_list(_: str, text: str) -> tuple[str, ...]:
    return tuple(entry for part in text.split(",") if (entry := part.strip()))


def parse_duration(setting: str, text: str) -> float:
    """Read a duration as people write it: seconds, or 90s, 30m, 2h.

    Raises:
        SettingsError: It is none.
    """
    match = re.fullmatch(r"([+-]?\d+(?:\.\d+)?)\s*([smh]?)", text, re.ASCII | re.IGNORECASE)
    if match is None:
        raise SettingsError(setting=setting, rule="seconds, or a duration such as 90s, 30m or 2h", value=shown(text))
    number, unit = match.groups()
    return float(number) * {"m": _MINUTE_S, "h": _HOUR_S}.get(unit.lower(), 1)


def _parse_switch(variable: str, text: str) -> bool:
    switch = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}.get(text.lower())
    if switch is None:
        raise SettingsError(setting=variable, rule="on or off", value=shown(text))
    return switch


# --- values in messages


def shown(value: object) -> str:
    """Show a value that may be anything, of any size, and may even raise when it is asked for its text."""
    with suppress(Exception):
        return printable(repr(value[:_SHOWN_CHARS]) if isinstance(value, str | bytes) else reprlib.repr(value))
    return f"<{type(value).__name__}>"


def printable(text: str) -> str:
    """A text of any size as one may show it: without control characters, and at most 200 characters."""
    # Cut first, by one more than may stay, for to escape millions takes long; by str's own way, for a subclass has its.
    cut = str.__getitem__(text, slice(_SHOWN_CHARS + 1))
    if not cut.isprintable():
        cut = cut.encode("unicode_escape").decode("ascii")
    return cut if len(cut) <= _SHOWN_CHARS else f"{cut[: _SHOWN_CHARS - 1]}…"


def _duration(value_s: float) -> str:
    for unit, unit_s in (("h", _HOUR_S), ("min", _MINUTE_S)):
        if abs(value_s) >= unit_s and (value_s / unit_s * 10).is_integer():
            return f"{value_s / unit_s:.10g} {unit}"
    return f"{value_s:.10g} s"


def _float_s(value: Seconds) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    try:
        return float(value)
    except OverflowError:  # an int beyond every float
        return math.inf if value > 0 else -math.inf


_RULES: Mapping[str, tuple[_Check, Callable[[str, str], object]]] = {
    "backend": (_one_of("auto", "agent", "ecs", "off"), _parse_word),
    "lease": (_within(_MINUTE_S, 48 * _HOUR_S), parse_duration),
    "linger": (_within(0, 15 * _MINUTE_S), parse_duration),
    "acquire_timeout": (_within(0, 5 * _MINUTE_S), parse_duration),
    "on_unprotected": (_one_of("run", "raise"), _parse_word),
    "when_refused": (_one_of("run", "pause", None), _parse_word),
    "retire_when_superseded": (_switch, _parse_switch),
    "state_dir": (_directory, _parse_text),
    "allow_endpoint": (_endpoints, _parse_list),
}
"""Of each setting: what checks its value, and what reads it from the environment."""
