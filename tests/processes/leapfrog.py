"""Two processes that take turns, each ending its hold in the very moment in which the other begins its own."""

from __future__ import annotations

import math
import mmap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from protectwork import Hold, ProtectionManager
from protectwork._clock import steady_now

TABLE_BYTES = 48
SAME_MOMENT_S = 0.001
_BOUND_S = 90.0


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One hold: when it was asked for, since when it is known to be confirmed (None: it is not), until when it was."""

    asked: float
    since: float | None
    ended: float


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """How the two take turns.

    Attributes:
        gap_s: For how long each hold lasts, about.
        spread_s: How much later than the one ends the other begins: from, to.
        turns: After how many turns it is over,
        near: or after how many turns in which both acted in the same moment.
    """

    gap_s: float
    spread_s: tuple[float, float]
    turns: float = math.inf
    near: float = math.inf


class Table:
    """What the two share: a file of six numbers.

    Each number has one writer, and is not written while the other reads it: they meet in between.

    Args:
        path: A file of `TABLE_BYTES` zeros.
        me: Which of the two this is, 0 or 1; the first one decides.
    """

    def __init__(self, path: str, *, me: int) -> None:
        with Path(path).open("r+b") as file:
            numbers = memoryview(mmap.mmap(file.fileno(), TABLE_BYTES)).cast("d")
        self.me = me
        self._arrived, self._acted, self._agreed = numbers[0:2], numbers[2:4], numbers[4:6]
        self._near = 0

    def act(self, at: float) -> None:
        """Tell when this one acted in this turn."""
        self._acted[self.me] = at

    def meet(self, turn: int, rhythm: Rhythm) -> float | None:
        """Wait for the other; the moment to act at, or None if it is over."""
        self._arrived[self.me] = turn
        if self.me == 0:
            _wait_until(lambda: self._arrived[1] == turn)
            self._near += turn > 2 and abs(self._acted[0] - self._acted[1]) < SAME_MOMENT_S
            over = turn > rhythm.turns or self._near >= rhythm.near
            self._agreed[1] = math.inf if over else steady_now() + rhythm.gap_s
            self._agreed[0] = turn
        _wait_until(lambda: self._agreed[0] == turn)
        return None if self._agreed[1] == math.inf else self._agreed[1]


def leapfrog(manager: ProtectionManager, table: Table, rhythm: Rhythm, *, random: Random) -> list[Turn]:
    """Take turns with the other process; what became of those of this one."""
    found: list[Turn] = []
    hold, turn = manager.protect("turn"), 1
    asked, since = math.inf, None
    while (goal := table.meet(turn, rhythm)) is not None:
        begins = turn % 2 == table.me
        _sleep_until(goal + (random.uniform(*rhythm.spread_s) if begins else 0.0))
        now = steady_now()
        table.act(now)
        if begins:
            asked, since = now, since_when(hold.__enter__())
        elif turn > 1:
            hold.release()
            found.append(Turn(asked=asked, since=since, ended=now))
        turn += 1
    if turn % 2 != table.me:  # this one began last
        found.append(Turn(asked=asked, since=since, ended=steady_now()))
        hold.release()
    return found


def since_when(hold: Hold) -> float | None:
    """A moment since when it is confirmed; None if it is not. Nothing is claimed of the time before the question."""
    confirmed = hold.confirmed
    return steady_now() if confirmed else None


def _sleep_until(moment: float) -> None:
    while (left_s := moment - steady_now()) > 0:
        time.sleep(max(left_s - SAME_MOMENT_S, 0.0))


def _wait_until(fact: Callable[[], bool]) -> None:
    deadline = steady_now() + _BOUND_S
    while not fact():
        if steady_now() > deadline:
            raise TimeoutError("the other worker does not come")
        time.sleep(0.0)  # lets the keeper's thread run
