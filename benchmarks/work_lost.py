"""How much work is lost: the same jobs and seeds under each policy, in a small ECS service that is scaled and deployed.

    python benchmarks/work_lost.py                                          # all of it: two hours
    python benchmarks/work_lost.py --policy ours --report ours.jsonl        # 5,000 jobs of each scenario under each
    python benchmarks/work_lost.py --policy naive --seeds 1-10 --report naive.jsonl
    python benchmarks/work_lost.py --read ours.jsonl --read naive.jsonl     # one table of what was run in parts
    python benchmarks/work_lost.py --policy put --policy decorator --scenario scale-storm --seeds 3

Each run is a service of 16 jobs at once, 4 tasks of 4 jobs or 16 tasks of one, to which 250 jobs come in three bursts:
of a hundred 92 take 0.1 to 0.3 s, and 8 take 4 to 7 s. Policy time passes ten times as fast, and what stands beside it
was chosen accordingly: SIGKILL comes 3 s after SIGTERM, where ECS gives 30 s. Every worker ends on SIGTERM as soon as
its jobs in flight are done; so what is lost was not protected, and took too long. A job is lost if the journal has it
in flight when its task ended. Why that ended, and whether it was protected when its end was decided, the lab says, not
the worker.

The scenarios are `protectwork/lab/scenarios/`; the policies, with their sources, `lost_parts/`. Spot interruptions,
which protection does not cover, are told apart. Exits with 1 if ours has lost a job, no naive policy has, or a run has
failed. All of it is 840 runs of half a minute to one, six at once: two hours on two cores, of which ours take 45 min.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from typing import IO

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
KEYS = [policy.key for policy in POLICIES]
GROUPS = {
    "ours": [policy.key for policy in POLICIES if policy.ours],
    "naive": [one.key for one in POLICIES if not one.ours],
}


def main() -> int:
    chosen = arguments()
    if chosen.read:
        return tell([Outcome.read(line) for file in chosen.read for line in file.read_text().splitlines()], failed=0)
    policies = [key for name in chosen.policy or KEYS for key in GROUPS.get(name, [name])]
    plays = [
        (policy, scenario, seed)
        for scenario in chosen.scenario or SCENARIOS
        for seed in chosen.seeds
        for policy in policies
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
            file=stack.enter_context(chosen.report.open("w")) if chosen.report else None,
        )
    return tell(outcomes, failed=len(plays) - len(outcomes))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How much work is lost, under each policy.")
    parser.add_argument("--policy", action="append", choices=[*GROUPS, *KEYS], help="all by default")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="all by default")
    parser.add_argument("--seeds", type=seeds, default=SEEDS, help="how many of the fixed seeds, or which: 5, or 6-10")
    parser.add_argument("--jobs", type=int, default=JOBS, help="of each run")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="how many runs, which mostly wait")
    parser.add_argument("--report", type=Path, help="where to write what came of each run, a line of JSON for each")
    parser.add_argument("--read", type=Path, action="append", help="a report: print its tables, and run nothing")
    return parser.parse_args()


def seeds(text: str) -> range:
    """The first so many of the fixed seeds, or those from one to another."""
    first, dash, last = text.partition("-")
    try:
        chosen = range(int(first) if dash else 1, int(last if dash else first) + 1)
    except ValueError:
        chosen = range(0)
    if not chosen or any(seed not in SEEDS for seed in chosen):
        rule = f"must be how many of the {len(SEEDS)}, or which, as 5 or 6-10"
        raise argparse.ArgumentTypeError(f"{rule}, got {text!r}")
    return chosen


def run(plays: Sequence[Play], *, at_once: int, file: IO[str] | None) -> list[Outcome]:
    """Play all of them, some at once, each in a process of its own; what came of those that have not failed."""
    outcomes: list[Outcome] = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=spawn) as pool:
        playing = {pool.submit(play, one): one for one in plays}
        for number, future in enumerate(as_completed(playing), start=1):
            one, error = playing[future], future.exception()
            told = f"FAILED, {error!r}"
            if not error:
                outcomes.append(outcome := future.result())
                told = (
                    f"{len(outcome.report['killed'])} of {outcome.report['started']} jobs lost, {outcome.seconds:.0f} s"
                )
                if file:
                    print(outcome.line(), file=file, flush=True)
            where = f"{one.scenario}, seed {one.seed}, {one.policy}"
            print(f"{number}/{len(plays)} {where}: {told}", file=sys.stderr, flush=True)
    return outcomes


def tell(outcomes: Sequence[Outcome], *, failed: int) -> int:
    """Print the tables; whether all went well, ours lost nothing, and the others something, is the exit status."""
    print_table(outcomes)
    print_scenarios(outcomes)
    print_losses(outcomes)
    if failed:
        print(f"{failed} runs have failed.")
    lost = {ours: sum(len(one.report["killed"]) for one in outcomes if is_ours(one) is ours) for ours in (True, False)}
    naive_played = any(not is_ours(outcome) for outcome in outcomes)
    return 1 if failed or lost[True] or (naive_played and not lost[False]) else 0


if __name__ == "__main__":
    sys.exit(main())
