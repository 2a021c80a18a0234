"""Stretches of time: what they cover together, and for how long two of them meet (PURE)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from protectwork.testing import Span

__all__ = ["complement", "joined", "length", "overlap"]


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same time in spans that do not meet, oldest first."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        if found and span.start <= found[-1].end:
            found[-1] = Span(start=found[-1].start, end=max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def complement(spans: Sequence[Span], *, start: float, end: float) -> list[Span]:
    """What spans that do not meet, oldest first, leave of the time from `start` to `end`."""
    starts, ends = [start, *(span.end for span in spans)], [*(span.start for span in spans), end]
    return [Span(start=begin, end=until) for begin, until in zip(starts, ends, strict=True) if begin < until]


def overlap(some: Sequence[Span], others: Sequence[Span]) -> float:
    """For how long both are, in seconds."""
    return sum(max(min(a.end, b.end) - max(a.start, b.start), 0.0) for a in some for b in others)


def length(spans: Iterable[Span]) -> float:
    """How long they are, in seconds."""
    return sum(span.end - span.start for span in spans)
