"""``protectwork status``: asks ECS once whether this task is protected."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from protectwork import Answer, Outcome, Settings
from protectwork._settings import unknown_variables
from protectwork._waiting import SystemClock
from protectwork.backends import choose_backend
from protectwork.backends.null import NullBackend

__all__ = ["command"]

_LABEL = "  {:<9}"

_REMEDIES = {
    Outcome.REFUSED: "ask again later; what was granted before stays until it expires",
    Outcome.THROTTLED: "too many calls in this account and Region: ask again in a minute",
    Outcome.AMBIGUOUS: "ask again: ECS or its agent had a fault",
    Outcome.UNAVAILABLE: "run this inside the task, where the container agent (1.65.0 or later) listens",
    Outcome.MISCONFIGURED: "give the task role ecs:GetTaskProtection and ecs:UpdateTaskProtection, and leave"
    " ECS_AGENT_URI as ECS set it",
    Outcome.NOT_A_SERVICE_TASK: "only tasks of services can be protected, and only they need it: set"
    " PROTECTWORK_BACKEND=off",
}
_NO_ROLE = "right after a restart of the agent ask again in 3 minutes; otherwise the task needs a task role"


_NOBODY_ASKED = Answer(outcome=Outcome.UNAVAILABLE)


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
        }


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Ask ECS whether this task is protected. Changes nothing; takes 6 seconds at most.

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
      backend       agent or off
      outcome       what the call came to: confirmed, refused, throttled,
                    ambiguous, unavailable, misconfigured, not-a-service-task
      reason        the reason or error code
      detail        what else was said
      remedy        what to do about it
    """  # noqa: D301 - what \b means to click
    for warning in unknown_variables(os.environ):
        click.echo(f"protectwork: {warning}", err=True)
    finding = _ask()
    if as_json:
        click.echo(json.dumps(finding.as_json(), indent=2))
    else:
        _show(finding)
    ctx.exit(finding.code)


def _ask() -> Finding:
    settings = Settings.from_env(os.environ)
    backend = choose_backend(
        settings.backend, environ=os.environ, allow_endpoint=settings.allow_endpoint, clock=SystemClock()
    )
    if isinstance(backend, NullBackend):
        return Finding(code=Code.OFF, backend=backend.name, remedy=_why_off(settings))
    answer = backend.get()
    if answer.outcome is not Outcome.CONFIRMED:
        remedy = _NO_ROLE if answer.may_pass else _REMEDIES[answer.outcome]
        return Finding(code=Code.UNKNOWN, backend=backend.name, answer=answer, remedy=remedy)
    return Finding(code=Code.PROTECTED if answer.protected else Code.UNPROTECTED, backend=backend.name, answer=answer)


def _why_off(settings: Settings) -> str:
    if settings.backend == "off":
        return "unset PROTECTWORK_BACKEND to turn it on"
    if os.environ.get("AWS_EXECUTION_ENV", "").startswith("AWS_ECS"):
        return "this is ECS, but ECS_AGENT_URI is missing: it takes container agent 1.65.0 or later"
    return "ECS_AGENT_URI is not set: this is not an ECS task"


def _show(finding: Finding) -> None:
    console = Console(highlight=False)
    width = console.width - len(_LABEL.format("")) if console.is_terminal else sys.maxsize  # a pipe gets whole lines
    console.print(_headline(finding), soft_wrap=True)
    for name, value in _details(finding).items():
        for position, line in enumerate(textwrap.wrap(value or "", max(width, 20), break_on_hyphens=False)):
            label = _LABEL.format("" if position else name)
            console.print(Text.assemble((label, "dim"), line), soft_wrap=True)


def _headline(finding: Finding) -> Text:
    match finding.code:
        case Code.PROTECTED:
            left = "" if finding.left_s is None else f" for {_in_words(finding.left_s)} more"
            return Text.assemble(("protected", "bold green"), left)
        case Code.UNPROTECTED:
            return Text.assemble(("not protected", "bold yellow"), ": ECS may stop this task at any moment")
        case Code.UNKNOWN:
            return Text.assemble(("no usable answer", "bold red"), f": {finding.answer.outcome}")
        case Code.OFF:
            return Text.assemble(("off", "bold"), ": nothing is protected from here")


def _details(finding: Finding) -> dict[str, str | None]:
    answer = finding.answer
    return {
        "until": f"{answer.expires_at:%Y-%m-%d %H:%M:%S} UTC" if answer.expires_at else None,
        "task": answer.task_arn,
        "backend": finding.backend,
        "reason": answer.reason,
        "detail": answer.detail,
        "remedy": finding.remedy,
    }


def _in_words(seconds: float) -> str:
    minutes, whole_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole_s} s" if minutes else f"{whole_s} s"
