"""One half of the demo: a service, and what each of its tasks did at each moment that somebody looked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from protectwork.cli._agent_log import Line
from protectwork.cli._lab_story import Story
from protectwork.lab import EventKind, Report, Service, TaskRow

__all__ = ["Cell", "Half", "Look", "Side"]

_TOLD = frozenset({EventKind.SCALED, EventKind.TASK_STOPPING, EventKind.TASK_KILLED, EventKind.TASK_ENDED})


class Cell(IntEnum):
    """What a task does; of several in a short time the greatest is shown."""

    IDLE = 1
    IDLE_PROTECTED = 2
    BUSY = 3
    BUSY_PROTECTED = 4
    LOST = 5


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment, in seconds since the beginning."""

    time: float
    cell: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """What there is to be seen of one service.

    Attributes:
        name: What it is called.
        looks: What was seen of each of its tasks, by the name of that.
        started: How many jobs have begun.
        lost: How many of them were killed in flight.
    """

    name: str
    looks: Mapping[str, Sequence[Look]]
    started: int
    lost: int


class Side:
    """One service of the demo. For one thread at a time.

    Args:
        name: What it is called.
        service: The service; it has been started.

    Attributes:
        report: What came of it, when it was last looked at.
    """

    def __init__(self, name: str, service: Service) -> None:
        self._name, self._service = name, service
        self._began = service.now()
        self._story = Story(service, kinds=_TOLD, output=False)
        self._looks: defaultdict[str, list[Look]] = defaultdict(list)
        self.report: Report = service.report()

    def look(self) -> Half:
        """See what its tasks do now."""
        now = self._service.snapshot()
        self.report = self._service.report()
        for task in now.tasks:
            self._looks[task.name].append(Look(now.now - self._began, _cell(task)))
        for task_name in {job.task for job in self.report.killed}:
            if self._looks[task_name][-1].cell is not Cell.LOST:
                self._looks[task_name].append(Look(now.now - self._began, Cell.LOST))
        return Half(name=self._name, looks=self._looks, started=self.report.started, lost=len(self.report.killed))

    def news(self) -> list[Line]:
        """What happened to it since it was last asked."""
        return [Line(line.time, f"{self._name}: {line.text}") for line in self._story.news()]

    @property
    def verdict(self) -> str:
        """What was lost, in one line."""
        lost = self.report.killed
        work = f", and {sum(job.ran_s for job in lost):.0f} s of work with them" if lost else ""
        return f"{self._name}: {len(lost)} of {self.report.started} jobs lost{work}"


def _cell(task: TaskRow) -> Cell:
    if task.jobs:
        return Cell.BUSY_PROTECTED if task.protected else Cell.BUSY
    return Cell.IDLE_PROTECTED if task.protected else Cell.IDLE
