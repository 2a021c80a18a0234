"""How much work is lost: the same jobs and seeds under each policy, in a small ECS service that is scaled and deployed.

    python benchmarks/work_lost.py                         # all of it: an hour or so on two cores
    python benchmarks/work_lost.py --seeds 3 --policy put --policy decorator --scenario scale-storm

Each run is a service of 16 jobs at once, 4 tasks of 4 jobs or 16 tasks of one, to which 250 jobs come: nine of ten
take 0.1 to 0.5 s, one takes 4 to 8 s. Policy time passes ten times as fast, and what stands beside it was chosen
accordingly: SIGKILL comes 3 s after SIGTERM, where ECS gives 30 s. Every worker ends on SIGTERM as soon as its jobs in
flight are done; so what is lost was not protected, and took too long. A job is lost if the journal has it in flight
when its task ended. Why that ended, and whether it was protected when its end was decided, the lab says, not the
worker.

The scenarios are `protectwork/lab/scenarios/`; the policies, with their sources, `lost_parts/`. Spot interruptions,
which protection does not cover, are told apart. Exits with 1 if ours has lost a job, or no naive policy has.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from integrations.celery_worker.redis_server import RedisServer
from integrations.sqs.servers import moto
from lost_parts.feeds import Servers
from lost_parts.playing import Outcome, Play, play
from lost_parts.policies import POLICIES
from lost_parts.tables import is_ours, print_losses, print_scenarios, print_table

from protectwork.lab.scenarios import SCENARIOS

SEEDS = range(1, 21)
JOBS = 250
AT_ONCE = 6


def main() -> int:
    chosen = arguments()
    plays = [
        (policy, scenario, seed)
        for scenario in chosen.scenario or SCENARIOS
        for seed in SEEDS[: chosen.seeds]
        for policy in chosen.policy or [policy.key for policy in POLICIES]
    ]
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(RedisServer(directory / "redis"))
        sqs = stack.enter_context(moto(directory / "sqs"))
        servers = Servers(redis_port=redis.port, sqs_url=sqs.url)
        outcomes = run(
            [
                Play(policy=policy, scenario=scenario, seed=seed, jobs=chosen.jobs, number=number, servers=servers)
                for number, (policy, scenario, seed) in enumerate(plays)
            ],
            at_once=chosen.at_once,
        )
    return tell(outcomes, file=chosen.report)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How much work is lost, under each policy.")
    parser.add_argument("--policy", action="append", choices=[policy.key for policy in POLICIES], help="all by default")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="all by default")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many of the fixed seeds")
    parser.add_argument("--jobs", type=int, default=JOBS, help="of each run")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="how many runs, which mostly wait")
    parser.add_argument("--report", type=Path, help="where to write what came of each run, as JSON")
    return parser.parse_args()


def run(plays: Sequence[Play], *, at_once: int) -> list[Outcome]:
    """Play all of them, some at once, each in a process of its own."""
    outcomes: list[Outcome] = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=spawn) as pool:
        for future in as_completed([pool.submit(play, one) for one in plays]):
            outcomes.append(future.result())
            one, report = outcomes[-1].play, outcomes[-1].report
            print(
                f"{len(outcomes)}/{len(plays)} {one.scenario}, seed {one.seed}, {one.policy}:"
                f" {len(report['killed'])} of {report['started']} jobs lost, {outcomes[-1].seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    return outcomes


def tell(outcomes: Sequence[Outcome], *, file: Path | None) -> int:
    """Print the tables; whether ours lost nothing, and the others something, is the exit status."""
    if file:
        file.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    print_table(outcomes)
    print_scenarios(outcomes)
    print_losses(outcomes)
    lost: dict[bool, int] = {True: 0, False: 0}
    for outcome in outcomes:
        lost[is_ours(outcome)] += len(outcome.report["killed"])
    naive_played = any(not is_ours(outcome) for outcome in outcomes)
    return 1 if lost[True] or (naive_played and not lost[False]) else 0


if __name__ == "__main__":
    sys.exit(main())
