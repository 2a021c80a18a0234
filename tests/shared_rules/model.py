"""Everything that can happen to two processes, the network and ECS, one step at a time."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import cache
from typing import Generic, TypeVar

from shared_rules.coarse import Coarse, Open, after_window, maybe, sure
from shared_rules.process import Around, steps
from shared_rules.state import FIRST, NAMES, SECOND, Left, Process, Shared, Step

T = TypeVar("T", bound=Hashable)

State = int
"""Two processes, what they share, and ECS's own truth, whether the task is protected: the number of each in bits of
one, so that a search through hundreds of thousands finds each again quickly."""

_PROTECTED, _FIRST, _SECOND, _SHARED = 0, 1, 17, 33
"""Where the bits of each begin; what is shared has as many as it takes."""
_PROCESS = (1 << _SECOND - _FIRST) - 1


Move = tuple[str, State, bool]
"""A step of anyone, ECS and time included; what it leads to; and whether it is due, or may happen or not."""


Way = tuple[str, int, bool]
"""The same, from whatever state: what is to be added to it."""


class Numbers(Generic[T]):
    """Gives each value a number, so that a state is small and quickly found again."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}
        self._values: list[T] = []

    def __getitem__(self, number: int) -> T:
        return self._values[number]

    def __iter__(self) -> Iterator[T]:
        return iter(self._values)

    def of(self, value: T) -> int:
        """Its number, a new one if need be."""
        number = self._numbers.setdefault(value, len(self._values))
        if number == len(self._values):
            self._values.append(value)
        return number


class Model:
    """All that can happen, with one of the rules dropped (0: none)."""

    def __init__(self, *, dropped: int = 0) -> None:
        self.dropped = dropped
        self._processes: Numbers[Process] = Numbers()
        self._shared: Numbers[Shared] = Numbers()
        # What one process can do depends on little of the state, and comes back in many; so do the others.
        self._steps = cache(self._all_steps)
        self._events = cache(self._all_events)
        self._place = cache(self._place_of)
        self._told = cache(self._is_told)

    @property
    def processes(self) -> Iterator[Process]:
        """Whatever a process was, in any state so far."""
        return iter(self._processes)

    def start(self, left: Left) -> State:
        """Nobody works, nothing is protected, and the record knows."""
        shared = Shared(record=Coarse(), air=(), dead=0, left=left)
        first, second = self._processes.of(Process(FIRST)), self._processes.of(Process(SECOND))
        return first << _FIRST | second << _SECOND | self._shared.of(shared) << _SHARED

    def moves(self, state: State) -> list[Move]:
        """Everything that can happen next."""
        first, second, shared = state >> _FIRST & _PROCESS, state >> _SECOND & _PROCESS, state >> _SHARED
        ways = (
            *self._steps(_FIRST, first, self._place(second), shared),
            *self._steps(_SECOND, second, self._place(first), shared),
            *self._events(shared, state & 1),
        )
        return [(text, state + change, due) for text, change, due in ways]

    # -- what is promised

    def lies(self, state: State) -> bool:
        """I1 is broken: a hold is confirmed, and ECS does not protect the task."""
        return not state & 1 and (self._told(state >> _FIRST & _PROCESS) or self._told(state >> _SECOND & _PROCESS))

    def is_wanted(self, state: State) -> bool:
        """What I4 asks of a state in which nothing is due: protected if and only if a hold is in flight."""
        return state & 1 == (self._holds(state >> _FIRST & _PROCESS) or self._holds(state >> _SECOND & _PROCESS))

    def described(self, state: State) -> str:
        """ECS's truth, and the record."""
        record = self._shared[state >> _SHARED].record
        bounds = f"{'sure' if sure(record) else '-':4} {'maybe' if maybe(record) else '-':5}"
        return f"{'PROTECTED' if state & 1 else '-':9} | {bounds} | {', '.join(map(_open, record.writes)) or '-'}"

    def _is_told(self, process: int) -> bool:
        me = self._processes[process]
        return me.holds > 0 and me.confirmed

    def _holds(self, process: int) -> bool:
        return self._processes[process].holds > 0

    # -- what can happen, by number

    def _place_of(self, number: int) -> tuple[bool, bool]:
        return self._processes[number].gate, self._processes[number].exclusive

    def _all_steps(self, at: int, process: int, other: tuple[bool, bool], shared: int) -> tuple[Way, ...]:
        """Those of the process whose bits begin `at`."""
        held, closed = other
        around = Around(held=held, closed=closed, shared=self._shared[shared], dropped=self.dropped)
        return tuple(self._way(step, at, process, shared) for step in steps(self._processes[process], around))

    def _way(self, step: Step, at: int, process: int, shared: int) -> Way:
        change = (self._processes.of(step.process) - process << at) + self._to(step.shared, shared)
        return f"{NAMES[step.process.name]:5}{step.text}", change, step.due

    def _to(self, after: Shared, shared: int) -> int:
        return self._shared.of(after) - shared << _SHARED

    def _all_events(self, number: int, protected: int) -> tuple[Way, ...]:
        events = self._of_others(self._shared[number])
        return tuple(
            (text, self._to(after, number) + (0 if landed is None else landed - protected), True)
            for text, after, landed in events
        )

    def _of_others(self, shared: Shared) -> Iterator[tuple[str, Shared, bool | None]]:
        """What lands, and what can land no longer: then it never did, or did before."""
        for number, is_enable in shared.air:
            yield f"ECS  {_call(number, is_enable=is_enable)} lands", shared.without(number), is_enable
            if number == shared.dead and not shared.record.of(number):  # nobody knows of it: rule 1 is dropped
                yield f"time {_call(number, is_enable=is_enable)} can no longer land", shared.without(number), None
        for number, is_enable, _, awaited in shared.record.writes:
            if not awaited:
                record = after_window(shared.record, number=number, dropped=self.dropped)
                after = shared.without(number)._replace(record=record)
                yield f"time {_call(number, is_enable=is_enable)} can no longer land", after, None


def _call(number: int, *, is_enable: bool) -> str:
    """A call as the script names it."""
    kind = "enable" if is_enable else "disable"
    return f"{NAMES[number]}'s {kind}" if number in NAMES else f"the late {kind}"


def _open(write: Open) -> str:
    notes = ("" if write.clean else " (unclean)") + ("" if write.awaited else " (until its window ends)")
    return _call(write.number, is_enable=write.is_enable) + notes
