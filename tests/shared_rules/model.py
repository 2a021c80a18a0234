"""Everything that can happen to two processes, the network and ECS, one step at a time."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import cache
from typing import Generic, TypeVar

from shared_rules.coarse import Coarse, Open, after_window, maybe, sure
from shared_rules.process import Around, steps
from shared_rules.state import FIRST, NAMES, SECOND, Left, Process, Shared, Step

T = TypeVar("T", bound=Hashable)

State = tuple[int, int, int, bool]
"""Two processes and what they share, each as a number, and ECS's own truth: whether the task is protected."""


Move = tuple[str, State, bool]
"""A step of anyone, ECS and time included; what it leads to; and whether it is due, or may happen or not."""


NumberedStep = tuple[str, int, int, bool]
"""What it is, the process after it, what both share after it, and whether it is due."""


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
        self._steps = cache(self._numbered_steps)
        self._events = cache(self._numbered_events)
        self._place = cache(self._place_of)

    @property
    def processes(self) -> Iterator[Process]:
        """Whatever a process was, in any state so far."""
        return iter(self._processes)

    def start(self, left: Left) -> State:
        """Nobody works, nothing is protected, and the record knows."""
        shared = Shared(record=Coarse(), air=(), dead=0, left=left)
        return self._processes.of(Process(FIRST)), self._processes.of(Process(SECOND)), self._shared.of(shared), False

    def moves(self, state: State) -> Iterator[Move]:
        """Everything that can happen next."""
        first, second, shared, protected = state
        for text, process, after, due in self._steps(first, self._place(second), shared):
            yield text, (process, second, after, protected), due
        for text, process, after, due in self._steps(second, self._place(first), shared):
            yield text, (first, process, after, protected), due
        for text, after, landed in self._events(shared):
            yield text, (first, second, after, protected if landed is None else landed), True

    # -- what is promised

    def lies(self, state: State) -> bool:
        """I1 is broken: a hold is confirmed, and ECS does not protect the task."""
        first, second, _, protected = state
        return not protected and (self._is_told(first) or self._is_told(second))

    def is_wanted(self, state: State) -> bool:
        """What I4 asks of a state in which nothing is due: protected if and only if a hold is in flight."""
        first, second, _, protected = state
        return protected == (self._holds(first) or self._holds(second))

    def described(self, state: State) -> str:
        """ECS's truth, and the record."""
        *_, shared, protected = state
        record = self._shared[shared].record
        bounds = f"{'sure' if sure(record) else '-':4} {'maybe' if maybe(record) else '-':5}"
        return f"{'PROTECTED' if protected else '-':9} | {bounds} | {', '.join(map(_open, record.writes)) or '-'}"

    def _is_told(self, process: int) -> bool:
        me = self._processes[process]
        return me.holds > 0 and me.confirmed

    def _holds(self, process: int) -> bool:
        return self._processes[process].holds > 0

    # -- what can happen, by number

    def _place_of(self, number: int) -> tuple[bool, bool]:
        return self._processes[number].gate, self._processes[number].exclusive

    def _numbered_steps(self, process: int, other: tuple[bool, bool], shared: int) -> tuple[NumberedStep, ...]:
        held, closed = other
        around = Around(held=held, closed=closed, shared=self._shared[shared], dropped=self.dropped)
        return tuple(self._numbered(step) for step in steps(self._processes[process], around))

    def _numbered(self, step: Step) -> NumberedStep:
        text = f"{NAMES[step.process.name]:5}{step.text}"
        return text, self._processes.of(step.process), self._shared.of(step.shared), step.due

    def _numbered_events(self, number: int) -> tuple[tuple[str, int, bool | None], ...]:
        events = self._all_events(self._shared[number])
        return tuple((text, self._shared.of(after), landed) for text, after, landed in events)

    def _all_events(self, shared: Shared) -> Iterator[tuple[str, Shared, bool | None]]:
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
