"""``protectwork doctor``: looks at everything that protection takes, and says what is wrong and what to do about it."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from protectwork._settings import BackendName, in_words
from protectwork.cli._checks import findings_of
from protectwork.cli._facts import Facts, gather
from protectwork.cli._findings import Finding, Level, worst

__all__ = ["command"]

_CODES = {Level.OK: 0, Level.WARNING: 1, Level.BROKEN: 2}
_WORDS = {Level.OK: "ok", Level.WARNING: "warnings", Level.BROKEN: "broken"}
_STYLES = {Level.OK: "green", Level.NOTE: "cyan", Level.WARNING: "bold yellow", Level.BROKEN: "bold red"}
_LEVEL, _CHECK = "{:<8} ", "{:<12} "
_NARROWEST = 20


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
@click.option(
    "--backend",
    type=click.Choice(["agent", "ecs"]),
    help="Examine this way to ECS; the one that the settings choose by default.",
)
@click.option(
    "--try",
    "tries",
    is_flag=True,
    help="Protect the task for a minute, or extend the protection that stands, and give it back.",
)
@click.pass_context
def command(ctx: click.Context, *, as_json: bool, backend: BackendName | None, tries: bool) -> None:
    """Look at everything that protection takes; each finding comes with its remedy.

    Run it inside the task, as the user of the workers. It takes a second, half a minute where nobody answers. It reads
    the environment: what a program is told by argument or by its framework's configuration cannot be seen from here.

    Whether the protection may be changed it finds out without changing it: where nothing protects the task and nobody
    works, it asks for that state once more, by the rules that the workers reckon with; a worker that begins at that
    moment waits for the answer. A task that is protected is left alone, for an enable would replace the expiry. --try
    does change it: by a lease like any other, of a minute, which is never shorter than what stands, and is given back
    at once if nobody else needs it.

    \b
    Exit status:
      0  all is well
      1  there are warnings
      2  something is broken: nothing is protected, or not what should be;
         and wrong usage

    \b
    The keys of --json:
      status    ok, warnings or broken
      backend   agent, ecs or off; null where none can be used
      task_arn  the task, where it is known
      findings  each with check, level (ok, note, warning, broken), text,
                and remedy, null where there is nothing to do
      settings  each in force: its value, and its origin: argument,
                environment or default
    """  # noqa: D301 - what \b means to click
    facts = gather(os.environ, backend=backend, tries=tries)
    findings = findings_of(facts, wall_s=time.time())
    if as_json:
        click.echo(json.dumps(_as_json(facts, findings), indent=2))
    else:
        _show(facts, findings)
    ctx.exit(_CODES[worst(findings)])


def _as_json(facts: Facts, findings: list[Finding]) -> dict[str, Any]:
    return {
        "status": _WORDS[worst(findings)],
        "backend": facts.backend,
        "task_arn": facts.task_arn,
        "findings": [finding.as_json() for finding in findings],
        "settings": {
            name: {"value": value, "origin": facts.origins[name]} for name, value in in_words(facts.settings).items()
        },
    }


def _show(facts: Facts, findings: list[Finding]) -> None:
    console = Console(highlight=False)
    indent = len(_LEVEL.format("")) + len(_CHECK.format(""))
    width = max(console.width - indent, _NARROWEST) if console.is_terminal else sys.maxsize  # a pipe gets whole lines
    for finding in findings:
        style = _STYLES[finding.level]
        for number, (line, dim) in enumerate(_lines(finding, width)):
            level = _LEVEL.format("" if number else finding.level.name.lower())
            check = _CHECK.format("" if number else finding.check)
            console.print(Text.assemble((level, style), (check, "dim"), (line, "dim" if dim else "")), soft_wrap=True)
    console.print()
    for name, value in in_words(facts.settings).items():
        console.print(Text.assemble(f"{name:<24}", f"{value}  ", (facts.origins[name], "dim")), soft_wrap=True)
    console.print()
    status = worst(findings)
    console.print(Text.assemble((_WORDS[status], _STYLES[status]), _count(findings)), soft_wrap=True)


def _lines(finding: Finding, width: int) -> Iterator[tuple[str, bool]]:
    """The lines of one finding, and whether each is the remedy's."""
    texts = ((finding.text, False), (f"-> {finding.remedy}" if finding.remedy else "", True))
    for text, is_remedy in texts:
        for line in textwrap.wrap(text, width, break_on_hyphens=False, subsequent_indent="   " if is_remedy else ""):
            yield line, is_remedy


def _count(findings: list[Finding]) -> str:
    broken, warnings = (sum(each.level is level for each in findings) for level in (Level.BROKEN, Level.WARNING))
    counts = (
        f"{broken} broken" if broken else "",
        f"{warnings} warning{'' if warnings == 1 else 's'}" if warnings else "",
    )
    said = ", ".join(filter(None, counts))
    return f": {said}" if said else ""
