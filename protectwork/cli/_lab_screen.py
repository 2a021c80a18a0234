"""How a lab looks on a terminal: a row for each task, and below them what happens."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from protectwork.cli._agent_log import Line
from protectwork.cli._lab_story import Story
from protectwork.lab import Report, Service, Snapshot, TaskRow

__all__ = ["Screen", "draw"]

_EVENTS_AT_LEAST = 4
_OTHER_LINES = 7  # head, titles, what is between, figures, prompt


class Screen:
    """Draws one service, again and again.

    Args:
        live: Where to.
        service: The service.
        title: What is played.
    """

    def __init__(self, live: Live, service: Service, title: str) -> None:
        self._live, self._service, self._title = live, service, title
        self._story = Story(service)
        self._lines: list[Line] = []

    def draw(self) -> None:
        """Draw it as it is now."""
        width, height = self._live.console.size
        self._lines = [*self._lines, *self._story.news()][-height:]
        drawn = draw(
            self._service.snapshot(), self._service.report(), self._lines, title=self._title, width=width, height=height
        )
        self._live.update(drawn, refresh=True)


def draw(
    now: Snapshot, report: Report, lines: Sequence[Line], *, title: str, width: int, height: int
) -> RenderableType:
    """Draw a lab as it is, to fit a terminal.

    Args:
        now: Its tasks.
        report: What came of it so far.
        lines: What happened so far, oldest first; the last ones are shown.
        title: What is played.
        width: The columns of the terminal.
        height: Its lines.
    """
    rows = max(min(len(now.tasks), height - _OTHER_LINES - _EVENTS_AT_LEAST), 1)
    events = max(height - _OTHER_LINES - rows, 1)
    return Group(
        _line(f"protectwork lab: {title}; {report.seconds:.0f} s", style="bold"),
        _line(_state(now)),
        _table(now.tasks[:rows], hidden=len(now.tasks) - rows, width=width),
        _line(_figures(report), style="bold red" if report.killed else ""),
        Text(),
        *(_line(f"{line.time:7.2f} s  {line.text}") for line in lines[-events:]),
    )


def _state(now: Snapshot) -> str:
    protected = sum(task.protected for task in now.tasks)
    refuses = "; ECS refuses protection: more tasks are protected than desired" if now.blocked else ""
    return f"tasks: {now.desired} desired, {len(now.tasks)} there, {protected} protected{refuses}"


def _figures(report: Report) -> str:
    others = f", {len(report.killed_otherwise)} otherwise" if report.killed_otherwise else ""
    return (
        f"jobs: {report.finished} finished, {report.in_flight} in flight, {len(report.killed)} killed{others};"
        f" calls: {report.calls.made}, {report.calls.refused} refused"
    )


def _table(tasks: Sequence[TaskRow], *, hidden: int, width: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", width=width)
    for name in ("task", "state", "protected", "jobs"):
        table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=1 if name == "jobs" else None)
    for task in tasks:
        table.add_row(task.name, _task_state(task), _protection(task), Text(", ".join(task.jobs) or "-"))
    if hidden > 0:
        table.add_row(Text(f"and {hidden} more", style="dim"))
    return table


def _task_state(task: TaskRow) -> Text:
    if task.stopping:
        return Text(f"stopping: {task.stopping}", style="yellow")
    return Text("running" if task.primary else "running, old deployment")


def _protection(task: TaskRow) -> Text:
    if task.expires_in_s is None:
        return Text("no", style="bold yellow" if task.jobs else "dim")
    return Text(f"for {task.expires_in_s:.0f} s", style="green")


def _line(text: str, *, style: str = "") -> Text:
    return Text(text, style=style, overflow="ellipsis", no_wrap=True)
