"""How long jobs run unprotected: a polling bootstep, plain signals and ours, each on the same jobs in prefork workers.

    python benchmarks/celery_peers.py

The peers are in `worker_parts/`, each with its source. One second here stands for 30 s there, in the jobs, in the 60 s
of the poll and in our linger of 30 s, so that half an hour takes a minute; what is printed is in seconds there. Bursts
of one to four jobs of 20 s to 5 min come every few minutes, for four children: those of one task, or, for the signals,
as their author demands, of four tasks with one child each. What the signals do with four children in one task is shown
beside it. The poll was made for jobs of hours, where a minute at the start of a burst is a smaller share. Whether a job
was protected is judged by what the agents saw, and by nobody's own word.

Unprotected are jobs that run while ECS may stop their task; idle are tasks that ECS may not stop although they have no
job. Ours has more of that than it would in real time, for no task is released more than three times in five minutes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from protectwork.testing import FakeAgent

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from integrations.celery_worker.journal import Run
from integrations.celery_worker.redis_server import RedisServer
from integrations.celery_worker.workers import Worker

SCALE = 30.0
POLL_S, LINGER_S = 60.0, 30.0
SEED, BURSTS, EVERY_S = 11, 9, 200.0
JOBS_S = (20.0, 300.0)
CHILDREN = 4
AFTERWARDS_S = 120.0  # so that everybody can see that all is over
BOUND_S = 120.0
HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job, in seconds there."""

    at: float
    lasts: float


@dataclass(frozen=True, kw_only=True)
class Rival:
    """One way to protect the same four children.

    Attributes:
        part: What its workers import.
        tasks: In how many tasks the children are.
        options: More of the command line.
        adapter: Whether it is ours.
    """

    name: str
    part: str | None = None
    tasks: int = 1
    options: tuple[str, ...] = ()
    adapter: bool = False


RIVALS = (
    Rival(name="polling bootstep", part="worker_parts.polling_bootstep"),
    Rival(name="plain signals, one child a task", part="worker_parts.plain_signals", tasks=4, options=("--events",)),
    Rival(name="plain signals, four children", part="worker_parts.plain_signals", options=("--events",)),
    Rival(name="protectwork", adapter=True),
)


@dataclass
class Score:
    """What the agents saw; all in seconds there."""

    jobs: int = 0
    job_s: float = 0.0
    unprotected_s: float = 0.0
    idle_s: float = 0.0
    calls: int = 0

    def add(self, worker: Worker, start: float, end: float) -> None:
        """One task, in that window."""
        agent, runs = worker.agent, worker.runs()
        self.jobs += len(runs)
        self.job_s += sum(run.last - run.start for run in runs) * SCALE
        self.unprotected_s += sum(unprotected_s(agent, run.start, run.last) for run in runs) * SCALE
        self.idle_s += sum(gap - unprotected_s(agent, at, at + gap) for at, gap in gaps(runs, start, end)) * SCALE
        self.calls += len(agent.puts)


@dataclass
class Entrant:
    """A rival with its workers."""

    rival: Rival
    workers: list[Worker] = field(default_factory=list)

    def start(self, stack: ExitStack, broker: str, directory: Path) -> None:
        """Start its workers, each with an agent of its own."""
        parts = ("-I", self.rival.part) if self.rival.part else ()
        for number in range(self.rival.tasks):
            worker = Worker(
                broker,
                directory / str(number),
                agent=stack.enter_context(FakeAgent()),
                concurrency=CHILDREN // self.rival.tasks,
                options=(*parts, *self.rival.options),
                conf={"worker_prefetch_multiplier": 1},
                environ={
                    "PYTHONPATH": f"{HERE.parent / 'tests'}:{HERE}",
                    "PROTECTWORK_LINGER": str(LINGER_S / SCALE),
                    "PEER_POLL_SECONDS": str(POLL_S / SCALE),
                },
                adapter=self.rival.adapter,
            )
            self.workers.append(stack.enter_context(worker))

    def done(self, jobs: int) -> bool:
        """Whether so many have ended."""
        return sum(run.ended for worker in self.workers for run in worker.runs()) == jobs

    def score(self, start: float, end: float) -> Score:
        """What its agents saw in that window."""
        score = Score()
        for worker in self.workers:
            score.add(worker, start, end)
        return score


def unprotected_s(agent: FakeAgent, start: float, end: float) -> float:
    return sum(span.end - span.start for span in agent.unprotected_spans(start, end))


def gaps(runs: list[Run], start: float, end: float) -> Iterator[tuple[float, float]]:
    """Where in the window nothing runs, and how long."""
    for run in sorted(runs, key=lambda run: run.start):
        if run.start > start:
            yield start, run.start - start
        start = max(start, run.last)
    if end > start:
        yield start, end - start


def workload() -> list[Job]:
    """The same in every run."""
    random = Random(SEED)
    bursts = [(burst + random.random()) * EVERY_S for burst in range(BURSTS)]
    return [Job(at=at, lasts=random.uniform(*JOBS_S)) for at in bursts for _ in range(random.randint(1, CHILDREN))]


def play(entrants: list[Entrant], jobs: list[Job]) -> tuple[float, float]:
    """Give each of them the jobs; when that began and ended, by the agents' clock."""
    agent = entrants[0].workers[0].agent
    began, start = agent.now(), time.monotonic()
    for job in jobs:
        time.sleep(max(start + job.at / SCALE - time.monotonic(), 0.0))
        for entrant in entrants:
            entrant.workers[0].send("work", job.lasts / SCALE, ignore_result=True)
    deadline = time.monotonic() + BOUND_S
    while not all(entrant.done(len(jobs)) for entrant in entrants):
        if time.monotonic() > deadline:
            sys.exit(f"the jobs have not ended within {BOUND_S:g} s")
        time.sleep(0.1)
    time.sleep(AFTERWARDS_S / SCALE)
    return began, agent.now()


def main() -> int:
    jobs = workload()
    entrants = [Entrant(rival) for rival in RIVALS]
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(RedisServer(directory / "redis"))
        for number, entrant in enumerate(entrants):
            entrant.start(stack, server.database(), directory / str(number))
        start, end = play(entrants, jobs)
        scores = {entrant.rival.name: entrant.score(start, end) for entrant in entrants}
    print(f"{len(jobs)} jobs, {sum(job.lasts for job in jobs):.0f} job-seconds")
    print(f"{'':32}{'unprotected':>20}{'idle, protected':>20}{'calls':>8}")
    for name, score in scores.items():
        share = f"{score.unprotected_s:.1f} s ({score.unprotected_s / score.job_s:.1%})"
        print(f"{name:32}{share:>20}{f'{score.idle_s:.0f} s':>20}{score.calls:>8}")
    return 0 if scores["protectwork"].unprotected_s == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
