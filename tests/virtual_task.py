"""Several processes of one task in virtual time: real books and machines, a gate and a record in memory, and real luck.

They act as keepers do: nothing while a call is under way, nothing while stopped, and nothing before the moment that
they have planned, unless rung. What is confirmed is held against the reference ECS at every moment.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from math import inf

from virtual_ecs import NO, VirtualEcs, Weather

from protectwork._book import Book
from protectwork._ledger import Head, StateError
from protectwork._steps import Action, Answered, Call, Demand, HoldBegan, Policy, Send, Tell
from protectwork._types import Answer, Outcome

LONGEST_WAIT_S = 30.0


@dataclass
class Commons:
    """What the processes share: the gate, the record, and who lives."""

    head: Head = field(default_factory=lambda: Head(-1, None))
    inside: set[str] = field(default_factory=set)
    exclusive: str | None = None
    alive: set[str] = field(default_factory=set)
    full: set[str] = field(default_factory=set)  # whose changes cannot be written now


class State:
    """One process's part in it, as `SharedState` has it."""

    shared, foreign, trouble, directory = True, False, None, "memory"

    def __init__(self, commons: Commons, owner: str) -> None:
        self.commons, self.owner = commons, owner
        commons.alive.add(owner)

    @property
    def joined(self) -> bool:
        return self.owner in self.commons.inside

    def join(self) -> bool:
        if self.commons.exclusive is None:
            self.commons.inside.add(self.owner)
        return self.joined

    def leave(self) -> None:
        self.commons.inside.discard(self.owner)

    def seize(self) -> bool:
        if self.commons.exclusive is None and not self.commons.inside:
            self.commons.exclusive = self.owner
        return self.commons.exclusive == self.owner

    def let_go(self) -> None:
        if self.commons.exclusive == self.owner:
            self.commons.exclusive = None

    def read(self) -> Head:
        return self.commons.head

    def commit(self, after: Head, text: str) -> Head | None:
        if self.owner in self.commons.full:
            raise StateError("No space left on device (ENOSPC)")
        if after != self.commons.head:
            return None
        self.commons.head = Head(after.number + 1, text)
        return self.commons.head

    def dead(self, owners) -> set[str]:
        return set(owners) - self.commons.alive

    def fallen(self) -> set[str]:
        return set()

    def bury(self, owner: str) -> None: ...

    def publish(self, text: str) -> None: ...

    def living(self) -> dict[str, str]:
        return dict.fromkeys(self.commons.alive, "")

    def intact(self) -> bool:
        return True

    def close(self, *, spent: bool = False) -> None:
        self.leave()
        self.let_go()
        self.commons.alive.discard(self.owner)

    def forget_parent(self) -> None: ...


@dataclass
class Sent:
    """A call under way."""

    call: Call
    answer_at: float
    answer: Answer


class Process:
    """One process of the task: its holds, its book, and its keeper."""

    def __init__(self, task: Task, owner: str, policy: Policy) -> None:
        self.task, self.name = task, owner
        self.book = Book(policy, random.Random(f"{task.seed} {owner}"), now=lambda: task.now)
        self.state = State(task.commons, owner)
        self.book.open(self.state, scope="task")
        self.holds: list[tuple[float, float]] = []  # (began, declared end)
        self.idle_since = -inf
        self.entered: Send | None = None  # written down, and not sent: it was stopped in between
        self.sent: Sent | None = None
        self.stopped = False
        self.at_next_call = ""  # "dies" or "is stopped", between writing it down and sending it
        self.wakes_at = -inf

    @property
    def confirmed(self) -> bool:
        return bool(self.holds) and self.book.lease.sure(self.task.now)

    @property
    def in_memory(self) -> bool:
        return not self.book.releases

    def demand(self) -> Demand:
        return Demand(
            in_flight=len(self.holds),
            oldest=min((began for began, _ in self.holds), default=inf),
            idle_since=self.idle_since,
            work_until=max((end for _, end in self.holds), default=-inf),
        )

    def begin(self, declared_s: float = -inf) -> None:
        until = self.task.now + declared_s
        self.holds.append((self.task.now, until))
        if self.task.now >= self.book.lease.settled_until(self.task.now) or until > self.book.lease.covered_until:
            self.book.arrive(self.demand(), lambda demand: HoldBegan(demand=demand, until=until))
        self.look()

    def end(self) -> None:
        self.holds.pop()
        if not self.holds:
            self.idle_since = self.task.now
            self.book.see(self.demand())
        self.look()

    def due(self) -> float:
        if self.stopped:
            return inf
        return self.sent.answer_at if self.sent else self.wakes_at

    def look(self) -> None:
        """What the keeper does when it wakes: all that is due, and a plan for when to wake again."""
        if self.stopped or (self.sent and self.sent.answer_at > self.task.now):
            return
        if self.sent:
            sent, self.sent = self.sent, None
            self._answer(*self.task.answer(sent))
        elif self.entered:
            self._send_late(self.entered)
        if not self.sent:
            self.book.look()
            self._act(self.book.turn(self.demand()))
        self._plan()

    def go_on(self) -> None:
        self.stopped = False
        self.look()

    def die(self) -> None:
        self.task.unwritten = self.task.unwritten or self.in_memory
        self.state.close()
        self.stopped = True
        self.holds.clear()
        self.task.processes.remove(self)

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send():
                    self._send(action)
                case Tell(event=event):
                    self.task.told.append((self.task.now, self.name, event))

    def _send(self, send: Send) -> None:
        befalls, self.at_next_call = self.at_next_call, ""
        if not befalls:
            self.sent = self.task.send(self, send)
            return
        self.task.say(self.name, befalls, "before it sends", send.call)
        if befalls == "dies" and len(self.task.processes) > 1:
            self.die()
        else:
            self.entered, self.stopped = send, True

    def _send_late(self, send: Send) -> None:
        self.entered = None
        if self.task.now > self.book.lease.sends_by():
            self._answer(Answer(outcome=Outcome.UNAVAILABLE, reason="not sent"), None)
        else:
            self.sent = self.task.send(self, send)

    def _answer(self, answer: Answer, left_s: float | None) -> None:
        self.book.answer(self.demand(), Answered(answer=answer, left_s=left_s))
        self.task.check()

    def _plan(self) -> None:
        self.wakes_at = min(self.book.lease.due(self.task.now), self.task.now + LONGEST_WAIT_S)


class Task:
    """The processes, and ECS."""

    def __init__(self, seed: int, policy: Policy) -> None:
        self.seed, self.policy = seed, policy
        self.commons, self.ecs, self.weather = Commons(), VirtualEcs(), Weather()
        self.processes: list[Process] = []
        self.told: list[tuple[float, str, object]] = []
        self.script: list[str] = []
        self.calls: list[tuple[float, str, Call, str]] = []
        self.unwritten = False  # a process died, and what it did was nowhere but in its memory
        self._names = 0
        self._writes = 0

    @property
    def now(self) -> float:
        return self.ecs.now

    @property
    def holds(self) -> int:
        return sum(len(process.holds) for process in self.processes)

    def start(self, policy: Policy | None = None) -> Process:
        self._names += 1
        process = Process(self, f"{self._names:012x}", policy or self.policy)
        process.name = f"p{self._names}"
        self.processes.append(process)
        return process

    def say(self, *words: object) -> None:
        self.script.append(f"{self.now - 1000.0:10.3f}  {' '.join(map(str, words))}")

    def send(self, process: Process, send: Send) -> Sent:
        self.say(process.name, send.call, send.minutes or "", f"({self.weather.kind})")
        self.calls.append((self.now, process.name, send.call, self.weather.kind))
        weather, term_s = self.weather, send.minutes * 60.0
        self._writes += 1
        answer_at = self.now + weather.takes_s
        if weather.kind in {"fine", "ambiguous"} and send.call is not Call.GET:
            lands_s = weather.takes_s / 2 if weather.kind == "fine" else weather.lands_after_s
            if lands_s is not None:
                self.ecs.write(self._writes, term_s, self.now + lands_s)
        outcome = {"fine": Outcome.CONFIRMED, "ambiguous": Outcome.AMBIGUOUS}.get(weather.kind)
        answer = Answer(outcome=outcome, sent_at=self.now) if outcome else NO[weather.kind]
        return Sent(send.call, answer_at, answer)

    def answer(self, sent: Sent) -> tuple[Answer, float | None]:
        if sent.answer.outcome is not Outcome.CONFIRMED:
            return sent.answer, None
        protected = self.ecs.protected()
        left_s = self.ecs.protected_until - self.now if protected else None
        return Answer(outcome=Outcome.CONFIRMED, protected=protected, sent_at=sent.answer.sent_at, task_arn="t"), left_s

    def run(self, seconds: float) -> None:
        """Let time pass, each process doing what is due when it is due."""
        target = self.now + seconds
        for _ in range(20_000):
            due = min((process.due() for process in self.processes), default=inf)
            landing = min((at for at, _, _ in self.ecs.landing), default=inf)
            moment = max(min(due, landing), self.now)
            if moment > target:
                self.ecs.pass_to(target)
                self.check()
                return
            self.ecs.pass_to(moment)
            self.check()
            for process in list(self.processes):
                if process.due() <= self.now:
                    process.look()
                    self.check()
        raise AssertionError("steps without end")

    def check(self) -> None:
        """I1: what any process believes is so."""
        for process in self.processes:
            if process.confirmed and not self.ecs.protected():
                raise AssertionError(f"{process.name} believes itself protected at {self.now - 1000.0:.3f}")
