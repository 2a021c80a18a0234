"""Who is measured: the naive ones, each with its source, and ours in three forms."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lost_parts.feeds import CeleryFeed, DirectoryFeed, Feed, Servers, SqsFeed

HERE = Path(__file__).parent
TESTS = HERE.parents[1] / "tests"
TASKS, LANES = 4, 4


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One way to protect the same jobs, sixteen at once.

    Attributes:
        key: What it is called on the command line.
        name: What it is called in the table.
        command: What runs in each task; ``{address}`` and ``{lanes}`` are filled in.
        ours: Whether it is ours.
        lanes: How many jobs a task handles at once.
        feed: How jobs come to it.
    """

    key: str
    name: str
    command: tuple[str, ...]
    ours: bool = False
    lanes: int = LANES
    feed: Callable[[Path, Servers, int], Feed] = field(default=DirectoryFeed, repr=False)

    @property
    def tasks(self) -> int:
        """How many tasks are desired."""
        return TASKS * LANES // self.lanes

    def command_for(self, feed: Feed) -> list[str]:
        """The command line of a task."""
        return [part.format(address=feed.address, lanes=self.lanes) for part in self.command]


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"lost_parts.{name}", "{address}", "{lanes}")


POLICIES = (
    Policy(key="none", name="no protection", command=_module("none")),
    Policy(key="put", name="a PUT for each job", command=_module("put_per_job")),
    Policy(key="put-single", name="the same, one job a task", command=_module("put_per_job"), lanes=1),
    Policy(key="aws", name="AWS's sample, one job a task", command=_module("aws_sample"), lanes=1),
    Policy(
        key="decorator",
        name="protectwork: decorator",
        command=(sys.executable, str(TESTS / "lab/queue_worker.py"), "{address}", "{lanes}"),
        ours=True,
    ),
    Policy(
        key="celery",
        name="protectwork: Celery, prefork",
        command=(
            *(sys.executable, "-m", "celery", "-A", "lost_parts.celery_project", "worker", "--pool", "prefork"),
            *("--concurrency", "{lanes}", "--without-mingle", "--without-gossip", "--without-heartbeat"),
        ),
        ours=True,
        feed=CeleryFeed,
    ),
    Policy(key="sqs", name="protectwork: SQS consumer", command=_module("sqs_worker"), ours=True, feed=SqsFeed),
)
