"""``protectwork status``: asks ECS once whether this task is protected, and looks who holds in it."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from protectwork import Answer, Outcome
from protectwork._ledger import look_in
from protectwork.cli._holders import Holders, in_words
from protectwork.cli._remedies import remedy_of
from protectwork.cli._setup import Setup

__all__ = ["command"]

_LABEL = "  {:<9}"
_NARROWEST = 20  # the columns for what stands beside the label

_NOBODY_ASKED = Answer(outcome=Outcome.UNAVAILABLE)
_NOBODY_KNOWN = Holders(None, wall_s=0.0)


class Code(IntEnum):
    """The exit codes."""

    PROTECTED = 0
    UNPROTECTED = 1
    UNKNOWN = 3
    OFF = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What there is to say."""

    code: Code
    backend: str
    answer: Answer = _NOBODY_ASKED
    remedy: str | None = None
    holders: Holders = _NOBODY_KNOWN

    @property
    def left_s(self) -> float | None:
        """For how much longer the task is protected, in seconds, where ECS said so."""
        expires_at = self.answer.expires_at
        return max((expires_at - datetime.now(UTC)).total_seconds(), 0.0) if expires_at else None

    def as_json(self) -> dict[str, Any]:
        """The documented keys."""
        answer = self.answer
        return {
            "state": self.code.name.lower(),
            "protected": {Code.PROTECTED: True, Code.UNPROTECTED: False}.get(self.code),
            "expires_at": answer.expires_at.isoformat().replace("+00:00", "Z") if answer.expires_at else None,
            "seconds_left": None if self.left_s is None else round(self.left_s, 3),
            "task_arn": answer.task_arn,
            "backend": self.backend,
            "outcome": None if self.code is Code.OFF else str(answer.outcome),
            "reason": answer.reason,
            "detail": answer.detail,
            "remedy": self.remedy,
            **self.holders.as_json(),
        }


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Ask ECS whether this task is protected, and look who holds in it.

    Changes nothing; takes 6 seconds at most. Processes show themselves once they have begun their first hold, and tell
    once a second what they hold.

    \b
    Exit status:
      0  protected
      1  not protected
      2  wrong usage, or wrong settings
      3  no usable answer: refused, throttled, ambiguous, unavailable,
         misconfigured, or not a service's task
      4  off: not inside ECS, or turned off by PROTECTWORK_BACKEND

    \b
    The keys of --json, null where nothing is known:
      state         protected, unprotected, unknown or off
      protected     true or false
      expires_at    when protection ends, RFC 3339 in UTC
      seconds_left  until then
      task_arn      the task
      backend       agent, ecs (the ECS API) or off
      outcome       what the call came to: confirmed, refused, throttled,
                    ambiguous, unavailable, misconfigured, not-a-service-task
      reason        the reason or error code
      detail        what else was said
      remedy        what to do about it
      in_flight     the holds of all processes that share their state
      processes     each that lives: its pid, in_flight, and holds: the
                    label and the age_s of the oldest 20
      shared_state  the directory, whether it is available to this process,
                    and the reason why not
    """  # noqa: D301 - what \b means to click
    setup = Setup.from_environment()
    finding = _ask(setup)
    if as_json:
        click.echo(json.dumps(finding.as_json(), indent=2))
    else:
        _show(finding)
    ctx.exit(finding.code)


def _ask(setup: Setup) -> Finding:
    name = setup.backend.name
    if setup.why_off:
        return Finding(code=Code.OFF, backend=name, remedy=setup.why_off)
    answer = setup.backend.get()
    holders = Holders(look_in(setup.state_dir, endpoint=setup.scope), wall_s=time.time())
    if answer.outcome is not Outcome.CONFIRMED:
        remedy = remedy_of(answer, backend=name)
        return Finding(code=Code.UNKNOWN, backend=name, answer=answer, remedy=remedy, holders=holders)
    code = Code.PROTECTED if answer.protected else Code.UNPROTECTED
    return Finding(code=code, backend=name, answer=answer, holders=holders)


def _show(finding: Finding) -> None:
    console = Console(highlight=False)
    width = console.width - len(_LABEL.format("")) if console.is_terminal else sys.maxsize  # a pipe gets whole lines
    console.print(_headline(finding), soft_wrap=True)
    for name, text in _details(finding):
        for position, line in enumerate(_wrapped(text, max(width, _NARROWEST))):
            label = _LABEL.format("" if position else name)
            console.print(Text.assemble((label, "dim"), line), soft_wrap=True)


def _wrapped(text: str, width: int) -> list[str]:
    indent = text[: len(text) - len(text.lstrip())]
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)


def _headline(finding: Finding) -> Text:
    match finding.code:
        case Code.PROTECTED:
            left = "" if finding.left_s is None else f" for {in_words(finding.left_s)} more"
            return Text.assemble(("protected", "bold green"), left)
        case Code.UNPROTECTED:
            return Text.assemble(("not protected", "bold yellow"), ": ECS may stop this task at any moment")
        case Code.UNKNOWN:
            return Text.assemble(("no usable answer", "bold red"), f": {finding.answer.outcome}")
        case Code.OFF:
            return Text.assemble(("off", "bold"), ": nothing is protected from here")


def _details(finding: Finding) -> Iterator[tuple[str, str]]:
    """What stands below the headline: a name, or none where it belongs to the line above, and a text."""
    answer, holders = finding.answer, finding.holders
    lines = (
        ("until", f"{answer.expires_at:%Y-%m-%d %H:%M:%S} UTC" if answer.expires_at else None),
        ("task", answer.task_arn),
        ("backend", finding.backend),
        ("reason", answer.reason),
        ("detail", answer.detail),
        ("remedy", finding.remedy),
        *(("" if position else "holds", line) for position, line in enumerate(holders.holds())),
        ("shared", holders.shared()),
    )
    return ((name, text) for name, text in lines if text)
