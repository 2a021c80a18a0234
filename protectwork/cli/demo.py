"""``protectwork demo``: one scale-in on two small ECS services, whose workers are alike but for protection."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from protectwork._clock import steady_now
from protectwork.cli import _demo_worker
from protectwork.cli._agent_log import Line
from protectwork.cli._demo_drawing import draw
from protectwork.cli._demo_side import Half, Side
from protectwork.cli._ended_by_signals import ended_by_signals
from protectwork.cli._repeated import repeated
from protectwork.lab import Service

__all__ = ["command"]

_FRAME_S = 0.2
_LASTS_S = 45.0
_TASKS, _FEWER = 6, 2
_SCALE = 10.0
_STOP_TIMEOUT_S, _LINGER_S = 3.0, 30.0  # ECS's default, and ours, at that scale and an unhurried pace
_READY_WITHIN_S, _BUSY_WITHIN_S, _SETTLED_WITHIN_S = 60.0, 5.0, 15.0  # on a machine with much else to do
_SCALE_IN_ROUND, _SCALE_IN_AFTER_S = 1, 1.5
_LAST_JOBS_S = 12.0
_TITLE = f"Two ECS services of {_TASKS} tasks are scaled in to {_FEWER} while their jobs run."

_Show = Callable[[Sequence[Half], Sequence[Line]], None]
"""Shows the demo as it is now, given what happened since it was last shown."""

_SIDES: Mapping[str, Mapping[str, str]] = {"without protection": {"PROTECTWORK_BACKEND": "off"}, "with protectwork": {}}


@click.command("demo")
@click.option(
    "--seconds", type=click.FloatRange(10, 45), default=_LASTS_S, show_default=True, help="How long it takes, about."
)
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object, at the end.")
@click.pass_context
def command(ctx: click.Context, *, seconds: float, as_json: bool) -> None:
    """Watch ECS scale in a service while its jobs run: without protection, and with it.

    Two small ECS services run on this machine, of six processes each, which get their jobs in three rounds. In the
    second one both services are scaled in to two tasks. Needs no AWS account. Policy time passes ten times as fast: so
    SIGKILL comes after 3 s, where ECS gives 30 s, to jobs of 5 to 8.5 s.

    \b
    Exit status, judged by ECS's timeline and what the jobs told:
      0  no job that was protected was lost
      1  some was, or there was none

    \b
    The keys of --json:
      ok        true or false, as the exit status
      without   what came of the service without protection: as of protectwork lab run --json
      with      the same of the one with it
    """  # noqa: D301 - what \b means to click
    for name in [name for name in os.environ if name.startswith("PROTECTWORK_")]:
        del os.environ[name]  # the settings of the caller are not those of the demo
    with ExitStack() as stack:
        stack.enter_context(ended_by_signals())
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="protectwork-demo-"))
        go, pace = Path(directory) / "go", seconds / _LASTS_S
        services = [stack.enter_context(_service(environ, go=go, pace=pace)) for environ in _SIDES.values()]
        sides = [Side(name, service) for name, service in zip(_SIDES, services, strict=True)]
        with _display(sides, as_json=as_json, lasts_s=seconds + 3.0):
            _play(services, go=go, pace=pace)
        ctx.exit(_tell(sides, as_json=as_json))


def _service(environ: Mapping[str, str], *, go: Path, pace: float) -> Service:
    return Service(
        [sys.executable, "-m", _demo_worker.__name__],
        _TASKS,
        environ={
            "PROTECTWORK_LINGER": f"{_LINGER_S * pace}",
            **environ,
            _demo_worker.GO: str(go),
            _demo_worker.PACE: f"{pace}",
        },
        stop_timeout=_STOP_TIMEOUT_S * pace,
        time_scale=_SCALE,
    )


def _play(services: list[Service], *, go: Path, pace: float) -> None:
    for service in services:
        service.wait_until(lambda: _ready(service) >= _TASKS, timeout_s=_READY_WITHIN_S)  # noqa: B023 - called at once
    began = steady_now()
    _write(go, f"{began!r}")
    _pass(services, until=began + (_SCALE_IN_ROUND * _demo_worker.ROUND_S + _SCALE_IN_AFTER_S) * pace)
    for service in services:
        service.wait_until(lambda: _busy(service), timeout_s=_BUSY_WITHIN_S)  # noqa: B023 - called at once
    for service in services:
        service.scale(_FEWER)
    _pass(services, until=began + (_demo_worker.ROUNDS - 1) * _demo_worker.ROUND_S * pace + _LAST_JOBS_S * pace)
    services[-1].wait_until(lambda: services[-1].settled, timeout_s=_SETTLED_WITHIN_S)


def _ready(service: Service) -> int:
    return sum(line.text == _demo_worker.READY for line in service.output())


def _busy(service: Service) -> bool:
    return all(len(task.jobs) == _demo_worker.JOBS_AT_ONCE for task in service.snapshot().tasks)


def _write(path: Path, text: str) -> None:
    """Write it so that nobody sees half of it."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.rename(path)


def _pass(services: list[Service], *, until: float) -> None:
    services[0].wait_until(lambda: steady_now() >= until, timeout_s=max(until - steady_now(), 0.0))


def _tell(sides: list[Side], *, as_json: bool) -> int:
    reports = [side.report for side in sides]
    ok = bool(reports[-1].started) and not reports[-1].killed
    if as_json:
        found = {"ok": ok, "without": reports[0].as_json(), "with": reports[1].as_json()}
        click.echo(json.dumps(found, indent=2))
    else:
        console = Console(highlight=False)
        for side in sides:
            console.print(Text(side.verdict, style="bold red" if side.report.killed else "bold green"), soft_wrap=True)
    return 0 if ok else 1


@contextmanager
def _display(sides: list[Side], *, as_json: bool, lasts_s: float) -> Generator[None, None, None]:
    console = Console(highlight=False)
    with ExitStack() as stack:
        show: _Show = _show_nothing
        if console.is_terminal and not as_json:
            show = _drawing_on(stack.enter_context(Live(console=console, auto_refresh=False)), lasts_s=lasts_s)
        elif not as_json:
            click.echo(_TITLE)
            show = _print_news
        stack.enter_context(repeated(lambda: show([side.look() for side in sides], _news(sides)), _FRAME_S))
        yield


def _news(sides: list[Side]) -> list[Line]:
    return sorted((line for side in sides for line in side.news()), key=lambda line: line.time)


def _drawing_on(live: Live, *, lasts_s: float) -> _Show:
    story: list[Line] = []

    def show(halves: Sequence[Half], news: Sequence[Line]) -> None:
        story.extend(news)
        width, height = live.console.size
        ascii_only = live.console.options.ascii_only
        drawn = draw(halves, story, title=_TITLE, lasts_s=lasts_s, width=width, height=height, ascii_only=ascii_only)
        live.update(drawn, refresh=True)

    return show


def _print_news(_halves: Sequence[Half], news: Sequence[Line]) -> None:
    for line in news:
        click.echo(f"{line.time:6.2f} s  {line.text}")


def _show_nothing(_halves: Sequence[Half], _news: Sequence[Line]) -> None: ...
