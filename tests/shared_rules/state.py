"""What the search looks at: two processes, and what they share. Values only."""

from __future__ import annotations

from typing import Literal, NamedTuple

from shared_rules.coarse import Coarse

FIRST, SECOND, RESTARTED, LATE = 1, 2, 3, 4
"""Whose write it is. Beyond LATE: a write that was answered ambiguously, and whose owner has moved on."""
NAMES = {FIRST: "A", SECOND: "B", RESTARTED: "C"}

RULES = {
    1: "a call is entered in the record before it is sent",
    2: "sure is raised only by an enable that no disable was open beside",
    3: "maybe is lowered only by a disable that no enable was open beside",
    4: "who enables holds the gate from before the entry until after the resolution",
    5: "who gives up clears `confirmed` first, and unlocks the gate then",
    6: "the record is read after the gate is held",
    7: "who enables without the gate is not confirmed by it",
    8: "an enable beside the open disable of a dead process is repeated when that has closed",
}

At = Literal["idle", "unlocking", "trying", "exclusive", "turned away", "sending", "entering", "awaiting", "leaving"]


class Process(NamedTuple):
    """One process: its holds, the gate as it has it, what it believes, and where its keeper stands."""

    name: int
    alive: bool = True
    holds: int = 0
    gate: bool = False  # held shared
    exclusive: bool = False
    confirmed: bool = False  # what its holds are told
    at: At = "idle"
    enabling: bool = False  # which call is under way
    misled: bool = False  # by the rule that is dropped: with all of them on, nobody ever is


class Left(NamedTuple):
    """What may still happen, and how often."""

    holds: int = 2
    crashes: int = 1  # at most: I4 asks that somebody lives
    restarts: int = 1  # at most
    ambiguous: int = 1
    renewals: int = 1


class Shared(NamedTuple):
    """What no single process owns: the record, the messages under way, who died, what may still happen."""

    record: Coarse
    air: tuple[tuple[int, bool], ...]  # (whose write, whether it is an enable): it lands at any moment, or never
    dead: int  # 0: nobody
    left: Left

    def flying(self, number: int) -> bool:
        """Whether the message of that write may still land."""
        return any(message[0] == number for message in self.air)

    def without(self, number: int) -> Shared:
        """It landed, or never will."""
        return self._replace(air=tuple(message for message in self.air if message[0] != number))


class Step(NamedTuple):
    """What one process does next. One that is not `due` may happen or not: work that begins, a death."""

    text: str
    process: Process
    shared: Shared
    due: bool = True
