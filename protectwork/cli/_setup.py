"""What the environment tells a command to work with, and why there may be nothing to do."""

from __future__ import annotations

import os
from dataclasses import dataclass

import click

from protectwork import Settings
from protectwork._backend import Backend
from protectwork._settings import unknown_variables
from protectwork._waiting import SystemClock
from protectwork.backends import choose_backend, sign_of_ecs, why_off
from protectwork.backends.null import NullBackend

__all__ = ["Setup"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What to work with.

    Attributes:
        settings: What to do.
        backend: What makes the calls.
        why_off: Why nothing is protected from here; None where something is.
        scope: Told to every process of the task, and to no other task.
        state_dir: The directory that the user has named, if any.
    """

    settings: Settings
    backend: Backend
    why_off: str | None
    scope: str
    state_dir: str | None

    @classmethod
    def from_environment(cls) -> Setup:
        """Read it from the environment; variables that are no settings are told on the standard error.

        Raises:
            SettingsError: The environment holds a bad value.
        """
        for warning in unknown_variables(os.environ):
            click.echo(f"protectwork: {warning}", err=True)
        settings = Settings.from_env(os.environ)
        backend = choose_backend(
            settings.backend, environ=os.environ, allow_endpoint=settings.allow_endpoint, clock=SystemClock()
        )
        return cls(
            settings=settings,
            backend=backend,
            why_off=_why_off(settings) if isinstance(backend, NullBackend) else None,
            scope=str(getattr(backend, "scope", "")),
            state_dir=None if settings.state_dir is None else os.fspath(settings.state_dir),
        )


def _why_off(settings: Settings) -> str:
    if settings.backend == "off":
        return "unset PROTECTWORK_BACKEND to turn it on"
    if sign_of_ecs(os.environ):
        return f"this is ECS, but {why_off(os.environ)}"
    return "ECS_AGENT_URI is not set: this is not an ECS task"
