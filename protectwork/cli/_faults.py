"""``--fault``: what goes wrong at the fake agent, as the commands that start one take it."""

from __future__ import annotations

from collections.abc import Iterable

import click

from protectwork._errors import SettingsError
from protectwork.testing import FakeAgent, Fault, parse_fault
from protectwork.testing.faults import FAULTS

__all__ = ["Armed", "arm", "fault_option"]

Armed = tuple[Fault, int | None]
"""A fault, and with how many requests it goes wrong; None: with every one."""


def _armed(text: str) -> Armed:
    name, star, times = text.rpartition("*")
    if star and not (times.isdecimal() and int(times)):
        raise click.BadParameter(f"{text!r}: after the * stands with how many requests it goes wrong, 1 or more")
    try:
        return parse_fault(name or text), int(times) if star else None
    except SettingsError as error:
        raise click.BadParameter(str(error)) from None


fault_option = click.option(
    "--fault",
    "faults",
    type=_armed,
    multiple=True,
    metavar="FAULT[*N]",
    help="Let something go wrong: with the next N requests, or with every one. More than one wait in line."
    f" FAULT is one of {', '.join(FAULTS)}.",
)


def arm(agent: FakeAgent, faults: Iterable[Armed]) -> None:
    """Let `agent` go wrong as the option says."""
    for fault, times in faults:
        agent.fail(fault, times=times)
