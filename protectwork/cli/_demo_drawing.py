"""How the demo looks on a terminal: one bar for each job, one for the protection that the agent saw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Group
from rich.text import Text

from protectwork.cli._agent_log import Line
from protectwork.cli._demo_jobs import LABELS
from protectwork.cli._demo_report import Report

__all__ = ["draw"]

_LABEL_COLUMNS = 13
_SHORTEST_S = 16.0  # the scale begins with that, and grows when it is over
_TICK_S = 2
_OTHER_LINES = len(LABELS) + 9  # all but the last events: head, bars, scale, what is between them, verdict, prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paint:
    """A stretch of a bar, in the agent's time."""

    start: float
    end: float
    glyph: str
    style: str


def draw(report: Report, lines: Sequence[Line], *, width: int, height: int, ascii_only: bool) -> Group:
    """Draw the demo as it is now, to fit a terminal.

    Args:
        report: What came of it so far.
        lines: What happened so far, oldest first; the last ones are shown.
        width: The columns of the terminal.
        height: Its lines.
        ascii_only: It shows no other characters.
    """
    drawing = _Drawing(report, columns=max(width - _LABEL_COLUMNS - 1, 10), ascii_only=ascii_only)
    shown = lines[-max(height - _OTHER_LINES, 1) :]
    return Group(
        Text.assemble(
            ("One ECS task", "bold"), ", and its protection as the agent saw it", overflow="ellipsis", no_wrap=True
        ),
        Text(),
        *(drawing.job(label) for label in LABELS),
        drawing.protection(),
        drawing.scale(),
        Text(),
        *(Text(f"{line.time - report.began:6.2f} s  {line.text}", overflow="ellipsis", no_wrap=True) for line in shown),
    )


class _Drawing:
    """The bars of one moment, all to the same scale."""

    def __init__(self, report: Report, *, columns: int, ascii_only: bool) -> None:
        self._report = report
        self._columns = columns
        self._column_s = max(_SHORTEST_S, report.now - report.began) / columns
        self._work, self._unprotected, self._protected, self._idle = "=!#." if ascii_only else "━!█·"

    def job(self, label: str) -> Text:
        """When the job was in flight, and in red when it should not have been."""
        now = self._report.now
        in_flight = [
            _Paint(start=job.start, end=job.end or now, glyph=self._work, style="cyan")
            for job in self._report.jobs
            if job.label == label
        ]
        outages = [
            _Paint(start=outage.span.start, end=outage.span.end, glyph=self._unprotected, style="bold red")
            for outage in self._report.outages
            if outage.label == label
        ]
        return self._bar(label, [*in_flight, *outages])

    def protection(self) -> Text:
        """When the task was protected."""
        report = self._report
        idle = _Paint(start=report.began, end=report.now, glyph=self._idle, style="dim")
        spans = [
            _Paint(start=span.start, end=span.end, glyph=self._protected, style="green") for span in report.protection
        ]
        return self._bar("protection", [idle, *spans])

    def scale(self) -> Text:
        """The seconds, as far apart as there is room for them."""
        ticks, second = "", 0
        while (column := round(second / self._column_s)) < self._columns - 4:
            if column >= len(ticks) + 2 or not second:
                ticks += f"{'':{column - len(ticks)}}{second} s"
            second += _TICK_S
        return Text(f"{'':{_LABEL_COLUMNS}}{ticks}", style="dim")

    def _bar(self, label: str, paints: Iterable[_Paint]) -> Text:
        cells = [("", " ")] * self._columns
        for paint in paints:
            first, last = self._column(paint.start), self._column(paint.end)
            cells[first : last + 1] = [(paint.style, paint.glyph)] * (last + 1 - first)
        return Text.assemble(f"{label:<{_LABEL_COLUMNS}}", *_runs(cells))

    def _column(self, moment: float) -> int:
        return min(int((moment - self._report.began) / self._column_s), self._columns - 1)


def _runs(cells: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for style, run in groupby(cells, key=lambda cell: cell[0]):
        yield "".join(glyph for _, glyph in run), style
