"""What a lab's service is made of, checked once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from protectwork._errors import SettingsError
from protectwork._policy_time import LAB_PREFIX, check_scale
from protectwork.lab._container import Container

__all__ = ["Spec", "check_count", "containers_of", "environ_of"]

_OTHERS = ("AWS_", "ECS_", LAB_PREFIX, "PROTECTWORK_STATE_DIR")
"""What a task must not inherit: it has its own, or none."""
_WHOLE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What holds for a service as long as it is there; see `Service`."""

    name: str
    cluster: str
    environ: Mapping[str, str]
    directory: str | None
    stop_timeout_s: float
    maximum_percent: int
    minimum_healthy_percent: int
    time_scale: float
    seed: int

    def __post_init__(self) -> None:
        _check_texts(self.environ)
        if self.directory is not None and not Path(self.directory).is_dir():
            raise SettingsError(setting="directory", rule="a directory that is there", value=repr(self.directory))
        check_scale(self.time_scale, setting="time_scale")
        if not self.maximum_percent >= _WHOLE:
            raise SettingsError(setting="maximum_percent", rule="100 or more", value=f"{self.maximum_percent}")
        if not 0 <= self.minimum_healthy_percent <= _WHOLE:
            value = f"{self.minimum_healthy_percent}"
            raise SettingsError(setting="minimum_healthy_percent", rule="from 0 to 100", value=value)
        if self.maximum_percent == _WHOLE == self.minimum_healthy_percent:
            raise SettingsError(
                setting="maximum_percent",
                rule="more than 100 where minimum_healthy_percent is 100",
                value="100",
                remedy="with both at 100 no deployment could ever start or stop a task",
            )

    @property
    def minute_s(self) -> float:
        """How long a minute of protection lasts."""
        return 60.0 / self.time_scale


def check_count(value: int) -> int:
    """A number of tasks.

    Raises:
        SettingsError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:  # pyright: ignore[reportUnnecessaryIsInstance] - it is a user's
        raise SettingsError(setting="desired_count", rule="a whole number from 0 on", value=repr(value))
    return value


def containers_of(
    name: str, command: Sequence[str], others: Iterable[Container], *, environ: Mapping[str, str]
) -> tuple[Container, ...]:
    """The containers of a task: one that is called as the service, and others.

    Raises:
        SettingsError: There is no such program, or two have one name.
    """
    containers = tuple(_clean(container) for container in (Container(name=name, command=command), *others))
    if len({container.name for container in containers}) < len(containers):
        names = ", ".join(container.name for container in containers)
        raise SettingsError(setting="containers", rule="named each in its own way", value=names)
    for container in containers:
        _check_command(container, environ)
    return containers


def environ_of(given: Mapping[str, str]) -> dict[str, str]:
    """What every container finds in its environment: what is here, but for what belongs to another task."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
    return {"PYTHONUNBUFFERED": "1", **ours, **given}


def _check_texts(environ: Mapping[str, str]) -> None:
    for name, value in environ.items():
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance] - it is a user's
            raise SettingsError(setting=f"environ[{name!r}]", rule="a text", value=repr(value))


def _clean(container: Container) -> Container:
    command = container.command
    try:
        parts = () if isinstance(command, str) else tuple(os.fspath(part) for part in command)
    except TypeError:
        parts = ()
    if not parts:
        rule = "a program and its arguments, one by one"
        raise SettingsError(setting="command", rule=rule, value=repr(command), remedy='["python", "worker.py"], say')
    return replace(container, command=parts)


def _check_command(container: Container, environ: Mapping[str, str]) -> None:
    command = container.command
    if not shutil.which(command[0], path=environ.get("PATH", os.defpath)):
        raise SettingsError(
            setting="command",
            rule="a program that can be run",
            value=repr(command[0]),
            remedy=_why_not(Path(command[0])),
        )


def _why_not(program: Path) -> str:
    if program.name == str(program):
        return "nothing of that name is in PATH"
    if program.is_file():
        return "that file is not executable; a script may want its interpreter in front"
    return "there is no such file"
