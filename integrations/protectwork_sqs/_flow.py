"""Flows: what is done with a queue, as generators that say what to ask and how long to wait, and do neither.

So the same flow serves threads and asyncio; `_drivers` runs it. An error of a call is raised in the flow where it was
asked for, and so is whatever ends the wait from outside: an interrupt, a cancellation. A flow may ask on after that, to
give back what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from protectwork.adapters import steady_now

__all__ = ["Call", "Flow", "Wait", "batches", "rest"]

_Result = TypeVar("_Result")
_Item = TypeVar("_Item")

_MOST = 10  # of what SQS takes in one batch


@dataclass(frozen=True, slots=True)
class Call:
    """Ask SQS: call `operation` of the client; its answer comes back."""

    operation: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait so many seconds, or until the bell of the driver rings."""

    seconds: float


Flow = Generator[Call | Wait, Any, _Result]


def rest(seconds: float, *, until: Callable[[], bool] = lambda: False) -> Flow[None]:
    """Wait so many seconds, whatever rings meanwhile, save when it finds that fact."""
    ends = steady_now() + seconds
    while (left_s := ends - steady_now()) > 0 and not until():
        yield Wait(left_s)


def batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """The items in batches that SQS takes, in order."""
    return (items[start : start + _MOST] for start in range(0, len(items), _MOST))
