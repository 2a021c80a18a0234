"""A queue of jobs in a directory: each job is a file, named by its number and its length; who renames it has taken it.

Nothing is delivered twice, and nothing comes back by itself: a job that is killed is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job, in real seconds.

    Attributes:
        number: Which one it is.
        lasts_s: How long it takes.
        at_s: When it comes, counted from the beginning.
    """

    number: int
    lasts_s: float
    at_s: float = 0.0

    @property
    def name(self) -> str:
        """Its number and its length, to be read back by `seconds_of`."""
        return f"{self.number:05}-{self.lasts_s:.3f}"


def seconds_of(name: str) -> float:
    """How long the job of that name takes."""
    return float(name.partition("-")[2])


class JobQueue:
    """One queue. Any process may use it.

    Args:
        directory: Where it is; made if it is not there.
    """

    def __init__(self, directory: Path) -> None:
        self._waiting, self._taken = directory / "waiting", directory / "taken"
        for place in (self._waiting, self._taken):
            place.mkdir(parents=True, exist_ok=True)

    def put(self, jobs: Iterable[Job]) -> None:
        """Add jobs."""
        for job in jobs:
            (self._waiting / job.name).touch()

    def take(self) -> str | None:
        """Take the one with the lowest number, and return its name; None if there is none."""
        for path in sorted(self._waiting.iterdir()):
            with suppress(FileNotFoundError):  # somebody else was first
                path.rename(self._taken / path.name)
                return path.name
        return None

    def is_empty(self) -> bool:
        """Whether there is none to take now."""
        return not any(self._waiting.iterdir())
