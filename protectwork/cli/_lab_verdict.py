"""What came of a lab, in a few sentences: what was lost, and what it cost not to lose more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from protectwork.lab import Cause, KilledJob, Report

__all__ = ["Verdict"]

_BY_THEMSELVES = frozenset({Cause.EXIT, Cause.CLOSE})


class Verdict:
    """Judges a report.

    Args:
        report: What ECS saw, and what the workers told.
    """

    def __init__(self, report: Report) -> None:
        self._report = report

    @property
    def ok(self) -> bool:
        """Whether there were jobs, and protection kept all of them that it covers."""
        return bool(self._report.started) and not self._report.killed

    @property
    def lines(self) -> list[str]:
        """It in sentences, the most important one first."""
        return [self._lost(), *self._not_covered(), *self._stops(), *self._deployments(), self._price()]

    def as_json(self) -> dict[str, Any]:
        """The report and whether it is good."""
        return {"ok": self.ok, "verdict": self._lost(), **self._report.as_json()}

    def _lost(self) -> str:
        report = self._report
        if not report.started:
            return "No job was told of: a worker does so with protectwork.lab.journal."
        lost = f"{_jobs(len(report.killed))} of {report.started} killed in flight by scale-in or deployments"
        if not report.killed:
            return f"{lost}."
        longest = max(report.killed, key=lambda job: job.ran_s)
        return f"{lost}; the longest had run for {longest.ran_s:.1f} s: {longest.job} in {longest.task}."

    def _not_covered(self) -> Iterator[str]:
        ended = [job for job in self._report.killed_otherwise if job.cause is Cause.CLOSE]
        if others := [job for job in self._report.killed_otherwise if job not in ended]:
            yield f"Killed by what protection does not cover: {_by_cause(others)}."
        if ended:
            yield f"{_jobs(len(ended))} {'was' if len(ended) == 1 else 'were'} still in flight at the end of the lab."

    def _stops(self) -> Iterator[str]:
        """How much the first sentence says: where no task was stopped, no job could be lost."""
        stops = self._report.stops
        stopped = [f"{count} by {cause}" for cause, count in stops.items() if cause not in _BY_THEMSELVES]
        yield f"Tasks stopped: {', '.join(stopped)}." if stopped else "No task was stopped, and so no job was at risk."
        if left := stops.get(Cause.EXIT, 0):
            yield f"{left} {'task' if left == 1 else 'tasks'} ended without being told to: see what the worker wrote."

    def _deployments(self) -> Iterator[str]:
        for deployment in self._report.deployments[1:]:
            if deployment.completed is not None:
                yield f"Deployment {deployment.id} took {deployment.completed - deployment.began:.1f} s."
            else:
                yield f"Deployment {deployment.id} is not complete: {deployment.why_not}."

    def _price(self) -> str:
        report = self._report
        return (
            f"{report.idle_protected_share:.0%} of the tasks' time was protected and idle;"
            f" {report.calls.made} calls, {report.calls.refused} refused, {report.calls.throttled} throttled."
        )


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _by_cause(jobs: Iterable[KilledJob]) -> str:
    counts = Counter(job.cause for job in jobs)
    return ", ".join(f"{_jobs(count)} by {cause}" for cause, count in counts.items())
