"""What came of the demo, judged by the agent's timeline alone: what a manager says of itself counts for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protectwork.cli._demo_jobs import Job
from protectwork.testing import Exchange, FakeAgent, Span

__all__ = ["Outage", "Report", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time in which a job was in flight and the task was not protected."""

    label: str
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The demo from `began` until `now`; all times are the agent's.

    Attributes:
        jobs: The jobs so far.
        protection: When the task was protected.
        outages: When a job was in flight and the task was not.
        calls: What the agent was asked.
    """

    began: float
    now: float
    jobs: tuple[Job, ...]
    protection: tuple[Span, ...]
    outages: tuple[Outage, ...]
    calls: tuple[Exchange, ...]

    @property
    def ok(self) -> bool:
        """Whether there was work, and all of it was protected all the time."""
        return bool(self.jobs) and not self.outages

    @property
    def verdict(self) -> str:
        """All of it in one line."""
        if self.ok:
            free_s = self.now - self.began - sum(span.end - span.start for span in self.protection)
            return (
                f"All {len(self.jobs)} jobs were protected throughout; the idle task was free for {free_s:.1f} s;"
                f" {len(self.calls)} calls."
            )
        seconds: dict[str, float] = {}
        for outage in self.outages:
            seconds[outage.label] = seconds.get(outage.label, 0.0) + outage.span.end - outage.span.start
        shown = ", ".join(f"{label} for {length:.1f} s" for label, length in seconds.items())
        return f"In flight unprotected, by the agent's own timeline: {shown or 'there was no job'}."

    def as_json(self) -> dict[str, Any]:
        """The documented keys; times in seconds since the demo began."""
        return {
            "ok": self.ok,
            "verdict": self.verdict,
            "seconds": self._at(self.now),
            "jobs": [
                {"label": job.label, "start": self._at(job.start), "end": self._at(job.end or self.now)}
                for job in self.jobs
            ],
            "protection": [self._span(span) for span in self.protection],
            "calls": [
                {"time": self._at(call.time), "call": call.call, "minutes": call.minutes, "status": call.status}
                for call in self.calls
            ],
            "violations": [{"label": outage.label, **self._span(outage.span)} for outage in self.outages],
        }

    def _at(self, moment: float) -> float:
        return round(moment - self.began, 3)

    def _span(self, span: Span) -> dict[str, float]:
        return {"start": self._at(span.start), "end": self._at(span.end)}


def judge(agent: FakeAgent, jobs: Sequence[Job], *, began: float) -> Report:
    """Hold the jobs, as they are now, against the timeline of the agent."""
    seen = [Job(job.label, job.start, job.end) for job in jobs]  # others run on meanwhile
    now = agent.now()
    gaps = agent.unprotected_spans(began, now)
    starts, ends = [began, *(gap.end for gap in gaps)], [*(gap.start for gap in gaps), now]
    return Report(
        began=began,
        now=now,
        jobs=tuple(seen),
        protection=tuple(Span(start=start, end=end) for start, end in zip(starts, ends, strict=True) if start < end),
        outages=tuple(
            Outage(label=job.label, span=span)
            for job in seen
            for span in agent.unprotected_spans(job.start, job.end or now)
        ),
        calls=agent.calls,
    )
