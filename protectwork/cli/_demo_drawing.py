"""How the demo looks on a terminal: two services side by side, a bar for each of their tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, zip_longest

from rich.console import Group
from rich.text import Text

from protectwork.cli._agent_log import Line
from protectwork.cli._demo_side import Cell, Half, Look

__all__ = ["draw"]

_LABEL_COLUMNS = 3
_GAP_COLUMNS = 3
_OTHER_LINES = 8  # all but bars and events: head, names, legend, what is between them, verdicts, prompt

_GLYPHS = {Cell.IDLE: "·", Cell.IDLE_PROTECTED: "─", Cell.BUSY: "━", Cell.BUSY_PROTECTED: "█", Cell.LOST: "✗"}
_ASCII = {Cell.IDLE: ".", Cell.IDLE_PROTECTED: "-", Cell.BUSY: "=", Cell.BUSY_PROTECTED: "#", Cell.LOST: "x"}
_STYLES = {
    Cell.IDLE: "dim",
    Cell.IDLE_PROTECTED: "green",
    Cell.BUSY: "yellow",
    Cell.BUSY_PROTECTED: "bold green",
    Cell.LOST: "bold red",
}
_LEGEND = (
    (Cell.BUSY, "at work"),
    (Cell.BUSY_PROTECTED, "at work, protected"),
    (Cell.IDLE_PROTECTED, "idle, protected"),
    (Cell.IDLE, "idle"),
    (Cell.LOST, "work lost"),
)


def draw(
    halves: Sequence[Half],
    lines: Sequence[Line],
    *,
    title: str,
    lasts_s: float,
    width: int,
    height: int,
    ascii_only: bool,
) -> Group:
    """Draw the demo as it is now, to fit a terminal.

    Args:
        halves: What there is to be seen of each service.
        lines: What happened so far, oldest first; the last ones are shown.
        title: What is to be seen.
        lasts_s: How long it takes: the length of a bar.
        width: The columns of the terminal.
        height: Its lines.
        ascii_only: It shows no other characters.
    """
    columns = max((width - 1 - _GAP_COLUMNS) // len(halves), _LABEL_COLUMNS + 5)
    bars = [
        list(_bars(one, columns=columns - _LABEL_COLUMNS, lasts_s=lasts_s, ascii_only=ascii_only)) for one in halves
    ]
    rows = [_beside(row, columns) for row in zip_longest(*bars, fillvalue=Text())]
    events = lines[-max(height - _OTHER_LINES - len(rows), 1) :]
    return Group(
        _line(title, style="bold"),
        Text(),
        _beside([Text(one.name, style="bold") for one in halves], columns),
        *rows,
        _beside([_figures(one) for one in halves], columns),
        _legend(ascii_only=ascii_only),
        Text(),
        *(_line(f"{line.time:6.2f} s  {line.text}") for line in events),
    )


def _bars(half: Half, *, columns: int, lasts_s: float, ascii_only: bool) -> Iterator[Text]:
    for name in sorted(half.looks, key=_number):
        cells = _columns(half.looks[name], columns=columns, lasts_s=lasts_s)
        yield Text.assemble(f"{_number(name):<{_LABEL_COLUMNS}}", *_runs(cells, _ASCII if ascii_only else _GLYPHS))


def _columns(looks: Iterable[Look], *, columns: int, lasts_s: float) -> list[Cell | None]:
    """The greatest of what was seen in each column of time."""
    cells: list[Cell | None] = [None] * columns
    for look in looks:
        column = min(int(look.time / lasts_s * columns), columns - 1)
        cells[column] = max(cells[column] or look.cell, look.cell)
    return cells


def _runs(cells: Iterable[Cell | None], glyphs: dict[Cell, str]) -> Iterator[tuple[str, str]]:
    for cell, run in groupby(cells):
        yield (glyphs[cell] if cell else " ") * len(list(run)), _STYLES[cell] if cell else ""


def _figures(half: Half) -> Text:
    return Text(f"{half.lost} of {half.started} jobs lost", style="bold red" if half.lost else "bold green")


def _legend(*, ascii_only: bool) -> Text:
    glyphs = _ASCII if ascii_only else _GLYPHS
    words = [part for cell, text in _LEGEND for part in ((glyphs[cell], _STYLES[cell]), (f" {text}  ", "dim"))]
    return Text.assemble(*words, overflow="ellipsis", no_wrap=True)


def _beside(texts: Sequence[Text], columns: int) -> Text:
    """Texts side by side, each cut or filled to so many columns."""
    joined = Text(overflow="ellipsis", no_wrap=True)
    for number, text in enumerate(texts):
        fitted = text.copy()
        fitted.truncate(columns, pad=True)
        joined.append_text(Text(" " * _GAP_COLUMNS if number else "")).append_text(fitted)
    return joined


def _line(text: str, *, style: str = "") -> Text:
    return Text(text, style=style, overflow="ellipsis", no_wrap=True)


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])
