"""Who holds in this task, as its processes have told each other: for people and for machines.

What a process tells is text that any process of the task may have written, and is shown as such: checked, escaped, cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

from protectwork._ledger import View
from protectwork._settings import printable

__all__ = ["Holders", "in_words"]

_LARGEST = 2**31 - 1  # of pids and counts: a number without end is no more use than none
_LATEST_S = 1e11  # of times since the epoch, for the same reason
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    label: str
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    """What one living process has told; nothing where that cannot be read."""

    pid: int | None = None
    in_flight: int | None = None
    holds: tuple[_Held, ...] = ()

    def as_json(self) -> dict[str, Any]:
        holds = [{"label": held.label, "age_s": round(held.age_s, 3)} for held in self.holds]
        return {"pid": self.pid, "in_flight": self.in_flight, "holds": holds}

    def lines(self) -> Iterator[str]:
        if self.in_flight is None:
            yield "unreadable"
            return
        yield f"pid {self.pid}: {f'{self.in_flight} in flight' if self.in_flight else 'idle'}"
        for held in self.holds:
            yield f"  {held.label}, for {in_words(held.age_s)}"
        if (more := self.in_flight - len(self.holds)) > 0 and self.holds:
            yield f"  and {more} more"


class Holders:
    """Who holds, by one look at the state that the processes share.

    Args:
        view: What was seen there; without one nothing is known.
        wall_s: The time of the look, in seconds since the epoch.
    """

    def __init__(self, view: View | None, *, wall_s: float) -> None:
        self._view = view or View()
        told = self._view.told
        self._processes = None if told is None else sorted((_process(text, wall_s) for text in told), key=_by_pid)

    @property
    def in_flight(self) -> int | None:
        """How many holds there are; None where nothing is known."""
        return None if self._processes is None else _total(self._processes)

    def as_json(self) -> dict[str, Any]:
        """The documented keys."""
        view, processes = self._view, self._processes
        return {
            "in_flight": self.in_flight,
            "processes": None if processes is None else [process.as_json() for process in processes],
            "shared_state": {"directory": view.directory, "available": view.available, "reason": view.reason},
        }

    def holds(self) -> list[str]:
        """Who holds, in lines for people; what belongs to the line above is indented. Empty where nothing is known."""
        if self._processes is None:
            return []
        number = len(self._processes)
        head = f"{_total(self._processes)} in flight in {number} process{'' if number == 1 else 'es'}"
        return [head, *(line for process in self._processes for line in process.lines())]

    def shared(self) -> str | None:
        """Where the state is, or why it is not shared, in a line for people; None where nothing is known."""
        view = self._view
        if view.reason:
            return f"not available: {view.reason}" if view.available is False else view.reason
        return printable(view.directory) if view.directory else None


def in_words(seconds: float) -> str:
    """A duration for people: ``2 h 5 min``, ``3 min 10 s``, ``7 s``."""
    minutes, whole_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole_s} s" if minutes else f"{whole_s} s"


def _by_pid(process: _Process) -> float:
    return inf if process.pid is None else process.pid


def _total(processes: list[_Process]) -> int:
    return sum(process.in_flight or 0 for process in processes)


def _process(text: str, wall_s: float) -> _Process:
    try:
        told: Any = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or brackets without end
        return _Process()
    match told:
        case {"pid": int() as pid, "in_flight": int() as count, "holds": [*holds]} if _fits(pid) and _fits(count):
            return _Process(pid=pid, in_flight=count, holds=_held(holds, wall_s))
        case _:
            return _Process()


def _held(holds: list[Any], wall_s: float) -> tuple[_Held, ...]:
    """The holds that can be read; others stay in the count alone."""
    found: list[_Held] = []
    for hold in holds[:_MOST_NAMED]:
        match hold:
            case {"label": str() as label, "since": int() | float() as since} if 0 <= since < _LATEST_S:
                found.append(_Held(label=printable(label), age_s=max(wall_s - since, 0.0)))
            case _:
                continue
    return tuple(found)


def _fits(number: int) -> bool:
    return 0 <= number <= _LARGEST and not isinstance(number, bool)
