"""``protectwork run``: protects a program that knows nothing of it."""

from __future__ import annotations

from pathlib import PurePath

import click

from protectwork import ProtectionManager, UnprotectedError, get_manager
from protectwork._settings import OnUnprotected, parse_duration
from protectwork.cli._supervisor import Supervisor

__all__ = ["command"]

_UNPROTECTED = 75  # EX_TEMPFAIL: trying again later may help


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.option("--label", metavar="TEXT", help="What logs call the work; the program's name by default.")
@click.option(
    "--max-duration",
    metavar="DURATION",
    help="How long the program runs at most: the lease covers it. Seconds, or 90s, 30m, 2h. Never cuts it off.",
)
@click.option(
    "--on-unprotected",
    type=click.Choice(["run", "raise"]),
    help="Whether to start the program when ECS does not protect the task; PROTECTWORK_ON_UNPROTECTED by default.",
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD...")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    label: str | None,
    max_duration: str | None,
    on_unprotected: OnUnprotected | None,
    program: tuple[str, ...],
) -> None:
    """Run a program, and keep the task protected until it ends.

    The program gets this command's input, output and signals. One that comes before it has started keeps it from
    starting. What the program leaves running behind is not waited for.

    \b
    Exit status:
      that of the program, or 128 + n if signal n ended it
        2  wrong usage, or wrong settings
       75  --on-unprotected raise, and the task is not protected: not started
      126  the program cannot be executed
      127  the program was not found
    """  # noqa: D301 - what \b means to click
    supervisor = Supervisor()
    # Who insists on protection is told of a bad environment; for all others it must not keep the work from running.
    manager = ProtectionManager() if on_unprotected == "raise" else get_manager()
    try:
        hold = manager.protect(
            label or PurePath(program[0]).name,
            max_duration=None if max_duration is None else parse_duration("--max-duration", max_duration),
            on_unprotected=on_unprotected,
        )
        try:
            status = supervisor.run(program, hold=hold)
        finally:
            hold.release()
    except UnprotectedError as error:
        click.echo(f"protectwork: {error}", err=True)
        status = _UNPROTECTED
    finally:
        manager.close()
    ctx.exit(status)
