"""A breadth-first search through everything that can happen: what it finds first has the shortest script."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from shared_rules.model import Model, State
from shared_rules.state import Left

HEADING = f"{'who  does what':60} {'ECS':9} | {'record':10} | its open writes"
LIES = "I1 is broken: a hold is confirmed, and ECS does not protect the task"
UNWANTED = "I4 is broken: nothing is left to be done, and ECS's state is not the wanted one"
RESTLESS = "I4 is broken: from here on something is left to be done for ever"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search came to.

    Attributes:
        states: How many states were visited.
        moves: How many moves lead from them.
        ended: In how many of them nothing is left to be done.
        broken: Which promise was broken; empty when all were kept.
        script: How it came to that, a line for each move; else the longest way to any state, which tells the depth.
    """

    states: int
    moves: int
    ended: int
    broken: str
    script: tuple[str, ...]

    def __str__(self) -> str:
        sums = f"{self.states} states explored, {self.moves} moves, {len(self.script)} deep, {self.ended} ended"
        if not self.broken:
            return f"{sums}, 0 violations"
        steps = (f"{number:3}. {line}" for number, line in enumerate(self.script, start=1))
        return "\n".join((sums, self.broken, f"     {HEADING}", *steps))


def search(model: Model, left: Left) -> Found:
    """Visit every state that can be reached, or stop at the first that breaks a promise."""
    with _no_collector():
        return _Search(model, left).run()


@contextmanager
def _no_collector() -> Generator[None]:
    """Millions of tuples and not one cycle: the collector would look at all of them, again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Search:
    def __init__(self, model: Model, left: Left) -> None:
        self.model = model
        self.states = [model.start(left)]  # in the order in which they were found
        self.numbers = {self.states[0]: 0}
        self.before = [0]  # of each state: the one that it was found from
        self.due_before: list[list[int]] = [[]]  # of each state: those in which a move to it is due
        self.rests: list[int] = []  # the states in which nothing is due
        self.moves = 0

    def run(self) -> Found:
        for number in self._numbers():
            if broken := self._visit(number):
                return broken
        trapped = self._trapped()
        last = len(self.states) - 1
        return self._found(last) if trapped is None else self._found(trapped, RESTLESS)

    def _numbers(self) -> Iterator[int]:
        number = 0
        while number < len(self.states):  # which grows meanwhile
            yield number
            number += 1

    def _visit(self, number: int) -> Found | None:
        state, rests = self.states[number], True
        moves = self.model.moves(state)
        self.moves += len(moves)
        for _, after, due in moves:
            target = self.numbers.get(after)
            if target is None:
                target = self._add(after, number)
                if self.model.lies(after):
                    return self._found(target, LIES)
            if due:
                rests = False
                self.due_before[target].append(number)
        if rests:
            self.rests.append(number)
        return self._found(number, UNWANTED) if rests and not self.model.is_wanted(state) else None

    def _add(self, state: State, before: int) -> int:
        self.numbers[state] = number = len(self.states)
        self.states.append(state)
        self.before.append(before)
        self.due_before.append([])
        return number

    def _trapped(self) -> int | None:
        """A state from which what is due leads to no rest, whatever happens; None if there is none."""
        restful, reached = set(self.rests), list(self.rests)
        while reached:
            more = [before for before in self.due_before[reached.pop()] if before not in restful]
            restful.update(more)
            reached.extend(more)
        return next((number for number in range(len(self.states)) if number not in restful), None)

    def _found(self, number: int, broken: str = "") -> Found:
        return Found(
            states=len(self.states),
            moves=self.moves,
            ended=len(self.rests),
            broken=broken,
            script=tuple(reversed(list(self._script(number)))),
        )

    def _script(self, number: int) -> Iterator[str]:
        """The moves that led to a state, the last one first."""
        while number:
            state, number = self.states[number], self.before[number]
            text = next(text for text, after, _ in self.model.moves(self.states[number]) if after == state)
            yield f"{text:60} {self.model.described(state)}"
