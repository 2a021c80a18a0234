"""``protectwork lab``: a small ECS service on this machine, and what it does to a worker."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from protectwork._settings import parse_duration
from protectwork.cli._ended_by_signals import ended_by_signals
from protectwork.cli._lab_screen import Screen
from protectwork.cli._lab_story import Story
from protectwork.cli._lab_verdict import Verdict
from protectwork.cli._repeated import repeated
from protectwork.lab import Service
from protectwork.lab.scenarios import SCENARIOS, Scenario, Stage, find

__all__ = ["command"]

_FRAME_S = 0.25
_FOREVER_S = 3600.0
_AT_ONCE_S = 0.5  # what tasks get to end in when the command is interrupted


@click.group("lab")
def command() -> None:
    """A small ECS service on this machine: its tasks are processes, its scale-ins and deployments real signals."""


def _summaries() -> str:
    return "\n".join(f"  {one.name:<24}{one.summary}" for one in map(find, SCENARIOS))


@command.command(
    "run",
    context_settings={"allow_interspersed_args": False},
    epilog=f"\b\nScenarios:\n{_summaries()}",
)
@click.option("--desired", type=click.IntRange(0, 200), default=4, show_default=True, help="How many tasks.")
@click.option(
    "--scenario", type=click.Choice(SCENARIOS), help="What happens to them; without one, nothing, until Ctrl-C."
)
@click.option("--seed", type=int, default=0, show_default=True, help="What is drawn from.")
@click.option(
    "--time-scale",
    type=click.FloatRange(1, 10),
    default=10.0,
    show_default=True,
    help="How many times as fast leases, their expiry, the linger and the scenario pass.",
)
@click.option(
    "--stop-timeout",
    metavar="DURATION",
    default="30s",
    show_default=True,
    help="How long a task gets to end after SIGTERM, in real time.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines: the report as one JSON object, and nothing else.")
@click.option(
    "--report",
    "report_file",
    type=click.File("w", lazy=False),
    help="Where to write the same object.",
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD...")
@click.pass_context
def run(
    ctx: click.Context,
    *,
    desired: int,
    scenario: str | None,
    seed: int,
    time_scale: float,
    stop_timeout: str,
    as_json: bool,
    report_file: IO[str] | None,
    program: tuple[str, ...],
) -> None:
    """Run a worker as the tasks of a service, and tell what a scenario does to its jobs.

    The worker tells of its jobs with protectwork.lab.journal. Ctrl-C ends it all, and leaves no process.

    \b
      protectwork lab run --desired 8 --scenario scale-storm -- python worker.py

    \b
    Exit status, judged by ECS's timeline and the journal:
      0  no job was killed in flight by a scale-in or a deployment
      1  some job was, or there was none
      2  wrong usage
    """  # noqa: D301 - what \b means to click
    service = Service(
        program, desired, stop_timeout=parse_duration("--stop-timeout", stop_timeout), time_scale=time_scale, seed=seed
    )
    script = find(scenario) if scenario else None
    title = f"{scenario or 'until Ctrl-C'}, seed {seed}, time x{time_scale:g}"
    with service, ended_by_signals():
        try:
            with _shown(service, title, quiet=as_json):
                _play(script, Stage(service, desired=desired, seed=seed, pace=time_scale))
                service.close(grace=parse_duration("--stop-timeout", stop_timeout))
        finally:
            service.close(grace=_AT_ONCE_S)
            verdict = Verdict(service.report())
            _tell(verdict, as_json=as_json, report_file=report_file)
    ctx.exit(0 if verdict.ok else 1)


def _play(script: Scenario | None, stage: Stage) -> None:
    if script:
        script.play(stage)
    while script is None:
        stage.service.wait_until(lambda: False, timeout_s=_FOREVER_S)


@contextmanager
def _shown(service: Service, title: str, *, quiet: bool) -> Generator[None, None, None]:
    console = Console(highlight=False)
    if quiet:
        yield
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False) as live, repeated(Screen(live, service, title).draw, _FRAME_S):
            yield
    else:
        story = Story(service)
        with repeated(lambda: _print(story), _FRAME_S):
            yield


def _print(story: Story) -> None:
    for line in story.news():
        click.echo(f"{line.time:7.2f} s  {line.text}")


def _tell(verdict: Verdict, *, as_json: bool, report_file: IO[str] | None) -> None:
    found = json.dumps(verdict.as_json(), indent=2)
    if report_file:
        report_file.write(f"{found}\n")
    if as_json:
        click.echo(found)
    else:
        style = "bold green" if verdict.ok else "bold red"
        console = Console(highlight=False)
        for number, line in enumerate(verdict.lines):
            console.print(Text(line, style="" if number else style), soft_wrap=True)
