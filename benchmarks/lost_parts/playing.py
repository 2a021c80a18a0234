"""Plays one scenario under one policy with one seed, and judges it by the lab's report."""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from lost_parts.feeds import Servers
from lost_parts.policies import HERE, POLICIES, TESTS, Policy
from lost_parts.workload import drawn

sys.path.append(str(TESTS))

import lab.playing

from protectwork.lab import Report, Service
from protectwork.lab.scenarios import Stage

TIME_SCALE = 10.0
STOP_TIMEOUT_S = 3.0  # ECS's 30 s, at that scale


@dataclass(frozen=True, kw_only=True)
class Play:
    """What is to be played."""

    policy: str
    scenario: str
    seed: int
    jobs: int
    number: int
    servers: Servers


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it.

    Attributes:
        play: What was played.
        report: The lab's report, as JSON has it.
        seconds: How long it took.
    """

    play: Play
    report: Mapping[str, Any]
    seconds: float

    @property
    def never_begun(self) -> int:
        """The jobs that nobody has begun."""
        return max(self.play.jobs - int(self.report["started"]), 0)

    def line(self) -> str:
        """It as a line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, line: str) -> Self:
        """What such a line tells of."""
        found = json.loads(line)
        servers = Servers(**found["play"].pop("servers"))
        return cls(play=Play(**found["play"], servers=servers), report=found["report"], seconds=found["seconds"])


def play(it: Play) -> Outcome:
    """Play it: half a minute, and more on a busy machine."""
    policy = next(one for one in POLICIES if one.key == it.policy)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="protectwork-lost-") as directory:
        report = _played(it, policy, Path(directory))
    return Outcome(play=it, report=report.as_json(), seconds=time.monotonic() - began)


def _played(it: Play, policy: Policy, directory: Path) -> Report:
    feed = policy.feed(directory / "queue", it.servers, it.number)
    service = Service(
        policy.command_for(feed),
        policy.tasks,
        environ={"PYTHONPATH": f"{HERE.parent}:{TESTS}", **feed.environ},
        stop_timeout=STOP_TIMEOUT_S,
        time_scale=TIME_SCALE,
        seed=it.seed,
    )
    jobs = drawn(it.seed, jobs=it.jobs, saturated=it.scenario == "deploy-while-saturated")
    with service:
        stage = Stage(service, desired=policy.tasks, seed=it.seed, pace=TIME_SCALE)
        lab.playing.play(service, it.scenario, stage, jobs=jobs, put=feed.put)
        service.close(grace=STOP_TIMEOUT_S)
        return service.report()
