"""The holds of this process: what they ask of the lease together, and what is told of them to people."""

from __future__ import annotations

import json
import os
from itertools import islice
from math import inf
from typing import Protocol

from protectwork._steps import Demand

__all__ = ["Entry", "Ledger", "in_flight_of"]

_MOST_NAMED = 20


def in_flight_of(text: str) -> int:
    """How many holds a process has told of; 0 if what it told cannot be read."""
    try:
        count = json.loads(text)["in_flight"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0
    return count if isinstance(count, int) and count >= 0 else 0


class Entry(Protocol):
    """One hold, as the ledger sees it."""

    label: str
    """What people know it by."""
    max_duration_s: float | None
    """How long it declared to run, if it did."""
    began_at: float
    """When it was taken, on the keeper's clock."""

    def release(self) -> None:
        """Take it out of the ledger. Never blocks."""
        ...

    def tell_lost(self) -> None:
        """Call back the user's code if this hold was protected and no longer is. Never blocks."""
        ...


class Ledger:
    """The holds in flight. Whoever shares it does so under the keeper's lock.

    Attributes:
        holds: All of them, oldest first.
        ends: The declared end of those that declared one and have not run beyond it.
        idle_since: When the last hold ended, while none is in flight.
    """

    def __init__(self) -> None:
        self.holds: dict[Entry, None] = {}
        self.ends: dict[Entry, float] = {}
        self.idle_since = -inf

    def demand(self) -> Demand:
        """What all of them together ask of the lease; looks at every declared end."""
        return self._demand(work_until=max(self.ends.values(), default=-inf))

    def glance(self) -> Demand:
        """The same without the declared ends, at a cost that does not grow with the number of holds."""
        return self._demand(work_until=-inf)

    def _demand(self, *, work_until: float) -> Demand:
        return Demand(
            in_flight=len(self.holds), oldest=self._oldest(), idle_since=self.idle_since, work_until=work_until
        )

    def for_people(self, *, ahead_s: float) -> str:
        """What is in flight, as one line of JSON; of very many holds only the oldest are named.

        Args:
            ahead_s: How far the wall clock is ahead of the keeper's.
        """
        oldest = [
            {"label": hold.label, "since": round(hold.began_at + ahead_s, 3)}
            for hold in islice(list(self.holds), _MOST_NAMED)
            if hold.began_at != inf
        ]
        return json.dumps({"pid": os.getpid(), "in_flight": len(self.holds), "holds": oldest})

    def _oldest(self) -> float:
        """When the oldest hold began; inf without any."""
        while self.holds:
            try:
                return next(iter(self.holds)).began_at
            except (StopIteration, RuntimeError):  # a signal handler held or released in between: look again
                continue
        return inf

    def newly_overran(self, now: float) -> list[Entry]:
        """The holds that have passed their declared end since it was last asked."""
        found = [hold for hold, end in self.ends.items() if end <= now]
        for hold in found:
            del self.ends[hold]
        return found

    def next_overrun(self) -> float:
        """When the next hold passes its declared end; inf when none will."""
        return min(self.ends.values(), default=inf)
