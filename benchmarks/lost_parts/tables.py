"""What came of all runs, in tables."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from lost_parts.playing import Outcome
from lost_parts.policies import POLICIES

from protectwork.lab import Cause
from protectwork.lab.scenarios import SCENARIOS

NOT_COVERED = "spot"
DEPLOYS = ("rolling-deploy", "deploy-while-saturated")
PER = 1000
COVERED = {cause for cause in Cause if cause.covered}
NAMES = {policy.key: policy.name for policy in POLICIES}
OURS = {policy.key for policy in POLICIES if policy.ours}


def is_ours(outcome: Outcome) -> bool:
    """Whether it is one of ours."""
    return outcome.play.policy in OURS


def print_table(outcomes: Sequence[Outcome]) -> None:
    """One line for each policy, over all scenarios that protection covers."""
    titles = (
        "seeds",
        "jobs",
        "lost per 1,000",
        "calls per 1,000",
        "idle, protected",
        "tasks stopped",
        "deployment",
        "not complete",
    )
    print(f"{'':30}" + "".join(f"{title:>16}" for title in titles))
    for policy in POLICIES:
        if mine := [one for one in outcomes if one.play.policy == policy.key and one.play.scenario != NOT_COVERED]:
            print(f"{policy.name:30}" + "".join(f"{text:>16}" for text in _figures(mine)))


def print_scenarios(outcomes: Sequence[Outcome]) -> None:
    """Jobs lost, of jobs begun, for each policy in each scenario; those that protection does not cover behind a +."""
    played = [name for name in SCENARIOS if any(one.play.scenario == name for one in outcomes)]
    print(f"\n{'lost of begun':30}" + "".join(f"{name:>24}" for name in played))
    for policy in POLICIES:
        mine = [one for one in outcomes if one.play.policy == policy.key]
        cells = [_lost_of([one for one in mine if one.play.scenario == name]) for name in played]
        if mine:
            print(f"{policy.name:30}" + "".join(f"{cell:>24}" for cell in cells))
    print("Behind a +: lost to what protection does not cover, Spot interruptions and tasks that ended by themselves.")


def print_losses(outcomes: Iterable[Outcome]) -> None:
    """Every job that ours has lost, and every run in which jobs were never begun."""
    for one in outcomes:
        where = f"{NAMES[one.play.policy]}, {one.play.scenario}, seed {one.play.seed}"
        for job in one.report["killed"] if is_ours(one) else ():
            print(f"LOST: {where}: {job}")
        if one.never_begun:
            print(f"never begun: {where}: {one.never_begun} jobs")


def _figures(outcomes: Sequence[Outcome]) -> Iterable[str]:
    begun = _sum(outcomes, "started")
    yield f"{len({one.play.seed for one in outcomes})}"
    lost = sum(len(one.report["killed"]) for one in outcomes)
    yield f"{begun}"
    yield f"{lost / begun * PER:.1f}" if begun else "-"
    yield f"{sum(one.report['calls']['made'] for one in outcomes) / begun * PER:.0f}" if begun else "-"
    yield f"{_sum(outcomes, 'idle_protected_s') / _sum(outcomes, 'task_s'):.1%}"
    yield f"{sum(count for one in outcomes for cause, count in one.report['stops'].items() if cause in COVERED)}"
    deployments = [found for one in outcomes if one.play.scenario in DEPLOYS for found in one.report["deployments"][1:]]
    done = [found["completed"] - found["began"] for found in deployments if found["completed"] is not None]
    yield f"{sum(done) / len(done):.1f} s" if done else "-"
    yield f"{len(deployments) - len(done)} of {len(deployments)}"


def _lost_of(outcomes: Sequence[Outcome]) -> str:
    otherwise = Counter[str](job["cause"] for one in outcomes for job in one.report["killed_otherwise"])
    others = f" + {otherwise.total()}" if otherwise else ""
    return f"{sum(len(one.report['killed']) for one in outcomes)}{others} of {_sum(outcomes, 'started')}"


def _sum(outcomes: Iterable[Outcome], key: str) -> Any:
    return sum(one.report[key] for one in outcomes)
