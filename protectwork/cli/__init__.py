"""The command line, on click and rich, which the extra ``cli`` brings."""

from __future__ import annotations

import importlib
from typing import Any

import click

from protectwork._errors import SettingsError

__all__ = ["cli"]

# Loaded only when called for: `protectwork run` stands before a program that wants to start.
_COMMANDS = {
    "status": "protectwork.cli.status",
    "run": "protectwork.cli.run",
    "keeper": "protectwork.cli.keeper",
    "doctor": "protectwork.cli.doctor",
    "fleet": "protectwork.cli.fleet",
    "fake-agent": "protectwork.cli.fake_agent",
    "lab": "protectwork.cli.lab",
    "demo": "protectwork.cli.demo",
}
_INTERRUPTED = 130


class _BadSettings(click.ClickException):
    exit_code = 2


class _Commands(click.Group):
    """Loads its commands by name, and says in one line what would otherwise be a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        module = _COMMANDS.get(cmd_name)
        return importlib.import_module(module).command if module else None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise _BadSettings(str(error)) from None
        except KeyboardInterrupt:
            ctx.exit(_INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="protectwork", message="%(prog)s %(version)s")
def cli() -> None:
    """Keep Amazon ECS from killing this task while it works."""
