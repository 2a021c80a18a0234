"""A reference ECS in virtual time, and a driver that performs what the lease machine asks for.

The reference knows one thing, which the machine never sees: until when the task is really protected. It shares no code
with the machine. Writes may land late, in any order; what has landed is what counts.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf

from protectwork._lease import Lease
from protectwork._steps import Answered, Call, Demand, HoldBegan, Policy, Send, Start, Tell, Tick
from protectwork._types import Answer, Outcome, State

NO = {
    "refused": Answer(outcome=Outcome.REFUSED, reason="DEPLOYMENT_BLOCKED"),
    "throttled": Answer(outcome=Outcome.THROTTLED, reason="ThrottlingException"),
    "unavailable": Answer(outcome=Outcome.UNAVAILABLE, reason="connection refused"),
    "misconfigured": Answer(outcome=Outcome.MISCONFIGURED, reason="AccessDeniedException"),
    "may pass": Answer(outcome=Outcome.MISCONFIGURED, reason="AccessDeniedException", may_pass=True),
}


@dataclass
class Weather:
    """How the other side behaves from now on."""

    kind: str = "fine"  # fine, one of NO, or ambiguous
    lands_after_s: float | None = None  # an ambiguous write lands so long after it was sent; None: never
    takes_s: float = 0.05


@dataclass
class VirtualEcs:
    """What is really so."""

    now: float = 1000.0
    protected_until: float = -inf
    landing: list[tuple[float, int, float]] = field(default_factory=list)  # (when, number, term_s)
    landed: list[tuple[float, int, float, float]] = field(default_factory=list)  # (when, number, expiry before, after)

    def write(self, number: int, term_s: float, at: float) -> None:
        self.landing.append((at, number, term_s))

    def pass_to(self, moment: float) -> None:
        """Let time pass and writes land, in their order of landing."""
        self.landing.sort()
        while self.landing and self.landing[0][0] <= moment:
            at, number, term_s = self.landing.pop(0)
            before = self.protected_until
            self.protected_until = at + term_s if term_s else -inf
            self.landed.append((at, number, before, self.protected_until))
        self.now = max(self.now, moment)

    def protected(self) -> bool:
        return self.now < self.protected_until


@dataclass
class Driver:
    """Steps a machine in virtual time, as a keeper would, and keeps count of everything."""

    seed: int = 0
    policy: Policy = field(default_factory=Policy)
    lie_s: float = 0.0  # how far our wall clock is wrong
    ecs: VirtualEcs = field(default_factory=VirtualEcs)
    weather: Weather = field(default_factory=Weather)

    def __post_init__(self) -> None:
        self.lease = Lease(self.policy, random.Random(self.seed))
        self.holds: list[tuple[float, float]] = []  # (began, declared end)
        self.idle_since = -inf
        self.sent: list[tuple[float, Call, int]] = []
        self.told: list[tuple[float, object]] = []
        self.confirmed_work: list[float] = []
        self.answer_at: tuple[float, Answer] | None = None
        self.checks: list[object] = []
        self.asked_in_vain = False
        self._numbers = 0

    @property
    def now(self) -> float:
        return self.ecs.now

    def demand(self) -> Demand:
        ends = [end for _, end in self.holds if end != inf]
        return Demand(
            in_flight=len(self.holds),
            oldest=min((began for began, _ in self.holds), default=inf),
            idle_since=self.idle_since,
            work_until=max(ends, default=-inf),
        )

    def begin(self, declared_s: float | None = None) -> None:
        end = inf if declared_s is None else self.now + declared_s
        self.holds.append((self.now, end))
        if self.now >= self.lease.settled_until(self.now) or (end != inf and end > self.lease.covered_until):
            until = -inf if end == inf else end
            self._do(self.lease.step(self.now, HoldBegan(demand=self.demand(), until=until)))
            self.tick()

    def end(self, index: int = 0) -> None:
        self.holds.pop(index)
        if not self.holds:
            self.idle_since = self.now
            self.tick()

    def start(self) -> None:
        self._do(self.lease.step(self.now, Start()))
        self.tick()

    def work(self, seconds: float, declared_s: float | None = None) -> None:
        """One job: a hold for `seconds`."""
        self.begin(declared_s)
        self.run(seconds)
        self.end()

    def calls(self) -> list[str]:
        return [str(call) for _, call, _ in self.sent]

    def tick(self) -> None:
        self._do(self.lease.step(self.now, Tick(demand=self.demand())))

    def run(self, seconds: float) -> None:
        """Let `seconds` pass, doing what is due when it is due."""
        target = self.now + seconds
        for _ in range(200_000):
            moment = min(self._next_moment(), target)
            self.ecs.pass_to(moment)
            self.check()
            if self.answer_at and self.answer_at[0] <= self.now:
                self._answer()
            if self.lease.due(self.now) <= self.now:
                self.tick()
            if self.now >= target and self._next_moment() > target:
                return
        raise AssertionError("the machine asks for steps without end")

    def suspend(self, seconds: float) -> None:
        """Time passes and nobody looks: the machine was suspended."""
        self.ecs.pass_to(self.now + seconds)

    def check(self) -> None:
        """I1: what the machine is sure of is so."""
        if self.lease.sure(self.now):
            assert self.ecs.protected(), f"sure at {self.now}, but ECS ended protection at {self.ecs.protected_until}"

    def _next_moment(self) -> float:
        landing = min((at for at, _, _ in self.ecs.landing), default=inf)
        answer = self.answer_at[0] if self.answer_at else inf
        return max(min(landing, answer, self.lease.due(self.now)), self.now)

    def _do(self, actions: list[object]) -> None:
        for action in actions:
            match action:
                case Tell(event=event):
                    self.told.append((self.now, event))
                case Send(call=call, minutes=minutes):
                    self._send(call, minutes)
        self.check()

    def _send(self, call: Call, minutes: int) -> None:
        assert self.answer_at is None, "two calls in flight"
        self.sent.append((self.now, call, minutes))
        weather, term_s = self.weather, minutes * 60.0
        answer_at = self.now + weather.takes_s
        self._numbers += 1
        if weather.kind == "fine":
            if call is not Call.GET:
                self.ecs.write(self._numbers, term_s, self.now + weather.takes_s / 2)
            answer = Answer(outcome=Outcome.CONFIRMED, sent_at=self.now)
        elif weather.kind == "ambiguous":
            if call is not Call.GET and weather.lands_after_s is not None:
                self.ecs.write(self._numbers, term_s, self.now + weather.lands_after_s)
            answer = Answer(outcome=Outcome.AMBIGUOUS, reason="timeout", sent_at=self.now)
        else:
            answer = NO[weather.kind]
        self.answer_at = (answer_at, answer)

    def _answer(self) -> None:
        assert self.answer_at
        answer, left_s = self.answer_at[1], None
        self.answer_at = None
        if answer.outcome is not Outcome.CONFIRMED:
            self.asked_in_vain = self.asked_in_vain or self.sent[-1][1] is Call.GET
        else:
            protected = self.ecs.protected()
            expires = datetime.fromtimestamp(self.ecs.protected_until, tz=UTC) if protected else None
            answer = Answer(outcome=Outcome.CONFIRMED, protected=protected, expires_at=expires, sent_at=answer.sent_at)
            left_s = self.ecs.protected_until - self.now + self.lie_s if protected else None
        self._do(self.lease.step(self.now, Answered(answer=answer, left_s=left_s)))
        self.tick()


def protected_driver(**options) -> Driver:
    """One hold in flight, its lease confirmed."""
    driver = Driver(**options)
    driver.begin()
    driver.run(2.0)
    assert driver.calls() == ["get", "enable"]
    assert driver.ecs.protected()
    return driver


def state(driver: Driver) -> State:
    """What the machine would say now."""
    driver.lease.demand = driver.demand()
    return driver.lease.state(driver.now)
