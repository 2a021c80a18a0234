"""What a scenario acts on: a service, the draws of one seed, and policy time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protectwork.lab._facts import TaskRow
    from protectwork.lab._service import Service

__all__ = ["Stage"]

_BEGINS_WITHIN_S = 30.0  # a worker that tells of no jobs is never busy


class Stage:
    """A service that runs, and how to act on it in policy time: at a pace of 10 a pause of 30 s takes 3 s.

    Args:
        service: What is acted on, with its public methods alone.
        desired: How many tasks it has when nothing is done to it.
        seed: What is drawn from; the same seed makes for the same acts.
        pace: How many times as fast the script passes: as a rule the `time_scale` of the service.

    Attributes:
        service: See above.
        desired: See above.
        random: Draws from the seed.
    """

    def __init__(self, service: Service, *, desired: int, seed: int = 0, pace: float = 1.0) -> None:
        self.service = service
        self.desired = desired
        self.random = random.Random(seed)  # noqa: S311 - of a script
        self._pace = pace

    @property
    def tasks(self) -> Sequence[TaskRow]:
        """The tasks that run and were not told to stop."""
        return [task for task in self.service.snapshot().tasks if task.stopping is None]

    def any_task(self) -> str | None:
        """The name of one of them, drawn; None if there is none."""
        names = [task.name for task in self.tasks]
        return self.random.choice(names) if names else None

    def fewer(self) -> int:
        """A number of tasks, drawn: at least one, and at most half of those that are desired."""
        return self.random.randint(1, max(self.desired // 2, 1))

    def wait(self, least_s: float, most_s: float) -> None:
        """Let so many seconds of policy time pass, drawn. Blocks."""
        self.service.wait_until(lambda: False, timeout_s=self.random.uniform(least_s, most_s) / self._pace)

    def wait_until(self, condition: Callable[[], bool], *, most_s: float) -> bool:
        """Wait until `condition` holds, or so many seconds of policy time; returns whether it does. Blocks."""
        return self.service.wait_until(condition, timeout_s=most_s / self._pace)

    def all_busy(self) -> bool:
        """Whether there are as many tasks as desired, and each of them has a job in flight."""
        tasks = self.tasks
        return len(tasks) >= self.desired and all(task.jobs for task in tasks)

    def deployed(self) -> bool:
        """Whether the newest deployment is complete."""
        return self.service.snapshot().deployments[-1].completed is not None

    def begin(self) -> None:
        """Wait until all are busy; for 30 s of real time at most: how long a program takes to start is no policy."""
        self.service.wait_until(self.all_busy, timeout_s=_BEGINS_WITHIN_S)

    def settle(self) -> None:
        """Wait until the service is as it is to be, for ten minutes of policy time at most."""
        self.wait_until(lambda: self.service.settled, most_s=600)
