"""``protectwork demo``: a small ECS task on this machine, with its jobs and their protection on one time line."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from protectwork.cli._agent_log import AgentLog, Line
from protectwork.cli._demo_drawing import draw
from protectwork.cli._demo_jobs import Job, Jobs
from protectwork.cli._demo_report import Report, judge
from protectwork.cli._faults import Armed, arm, fault_option
from protectwork.testing import FakeAgent

__all__ = ["command"]

_FRAME_S = 0.1

_Show = Callable[[Report, Sequence[Line]], None]
"""Shows the demo as it is now, given what happened since it was last shown."""


@click.command("demo")
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object, at the end.")
@fault_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool, faults: Sequence[Armed]) -> None:
    """Watch protection follow the work, for a quarter of a minute.

    Starts a fake ECS agent on this machine, and runs sync, threaded, asyncio and subprocess jobs against it. Two of
    them overlap and the first one ends; in between the task is idle. Needs no AWS account.

    \b
    Exit status, judged by what the agent saw and nothing else:
      0  every job was protected from start to end
      1  some job was in flight while the task was not protected

    \b
    The keys of --json; times are seconds since the beginning:
      ok          true or false, as the exit status
      verdict     the same in one sentence
      seconds     how long it took
      jobs        label, start, end
      protection  start, end: when the task was protected
      calls       time, call (get, enable, disable), minutes, status
      violations  label, start, end: when a job was in flight unprotected
    """  # noqa: D301 - what \b means to click
    with FakeAgent() as agent:
        arm(agent, faults)
        report = _demonstrate(agent, as_json=as_json)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        Console(highlight=False).print(
            Text(report.verdict, style="bold green" if report.ok else "bold red"), soft_wrap=True
        )
    ctx.exit(0 if report.ok else 1)


def _demonstrate(agent: FakeAgent, *, as_json: bool) -> Report:
    began = agent.now()
    jobs = Jobs(agent)
    story = _Story(agent, jobs)
    with (
        _display(as_json=as_json) as show,
        _repeated(lambda: show(judge(agent, jobs.noted, began=began), story.news())),
    ):
        jobs.run()
    return judge(agent, jobs.noted, began=began)


class _Story:
    """What happens, in lines: to the jobs and at the agent."""

    def __init__(self, agent: FakeAgent, jobs: Jobs) -> None:
        self._agent = AgentLog(agent)
        self._jobs = jobs
        self._told: set[Line] = set()

    def news(self) -> list[Line]:
        """What happened since it was last asked, oldest first."""
        jobs = [(job, job.end) for job in self._jobs.noted]
        begins = [Line(job.start, f"{job.label} begins") for job, _ in jobs]
        ends = [Line(end, f"{job.label} ends, {self._others(job, at=end)} in flight") for job, end in jobs if end]
        fresh = {*begins, *ends} - self._told
        self._told |= fresh
        return sorted([*self._agent.news(), *fresh], key=lambda line: line.time)

    def _others(self, job: Job, *, at: float) -> int:
        others = (other for other in self._jobs.noted if other is not job)
        return sum(other.start <= at and (other.end is None or other.end > at) for other in others)


@contextmanager
def _display(*, as_json: bool) -> Generator[_Show, None, None]:
    console = Console(highlight=False)
    if as_json:
        yield lambda _report, _news: None
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield _drawing_on(live)
    else:
        yield _print_news


def _drawing_on(live: Live) -> _Show:
    story: list[Line] = []

    def show(report: Report, news: Sequence[Line]) -> None:
        story.extend(news)
        width, height = live.console.size
        ascii_only = live.console.options.ascii_only
        live.update(draw(report, story, width=width, height=height, ascii_only=ascii_only), refresh=True)

    return show


def _print_news(report: Report, news: Sequence[Line]) -> None:
    for line in news:
        click.echo(f"{line.time - report.began:6.2f} s  {line.text}")


@contextmanager
def _repeated(do: Callable[[], None]) -> Generator[None, None, None]:
    """Call `do` again and again on a thread of its own, and once more at the end."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(_FRAME_S):
            do()

    thread = threading.Thread(target=repeat, name="protectwork-demo", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        do()
