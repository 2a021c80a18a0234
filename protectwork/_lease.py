"""The lease machine: `step(now, event) -> actions` (PURE: no clock, no I/O, no threads, no randomness of its own).

It decides what to ask of ECS, and when. Whoever drives it (the keeper, a property test, a simulator) tells it the
time, who is busy and what ECS answered; performs the actions; and steps it again no later than `due(now)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf

from protectwork import _record
from protectwork._backoff import Backoff
from protectwork._events import (
    LeaseAtRisk,
    LeaseConfirmed,
    LeaseLost,
    LeaseRecovered,
    LeaseRefused,
    LeaseReleased,
    LeaseRenewed,
)
from protectwork._governor import Governor
from protectwork._record import Record
from protectwork._steps import (
    Action,
    Answered,
    Call,
    Demand,
    HoldBegan,
    Input,
    Policy,
    Random,
    Retire,
    Send,
    Start,
    Tell,
    Tick,
)
from protectwork._types import Answer, Outcome, State

__all__ = ["Lease"]

SHORTEST_MIN, LONGEST_MIN = 1, 2880  # minutes that ECS accepts (contract §4)
RENEW_AT = (0.45, 0.50)  # of the term
LINGER_SPREAD = (0.75, 1.25)  # so that a fleet that went idle together is not released together
START_SPREAD_S = (0.0, 5.0)  # so that a fleet that started together does not ask together
CALL_EVERY_S = 1.0  # the call cap of a task
HEADROOM = 0.25  # of the lease, beside declared work: equal jobs that follow each other share a lease (see `_minutes`)
UNDATED_S = 7200.0  # ECS's own default, where no date can be believed
PASSES_WITHIN_S = 180.0  # a 403 after an agent restart is gone by then; later it is the set-up's

NEAREST_S = 30.0  # a date nearer than half of ECS's shortest lease tells of a wrong clock of ours, not of ECS

_HOPELESS = frozenset({Outcome.REFUSED, Outcome.MISCONFIGURED, Outcome.NOT_A_SERVICE_TASK})
"""Answers that asking again at once will not change: nobody waits on."""


@dataclass(slots=True, kw_only=True)
class _InFlight:
    """The one call under way."""

    call: Call
    minutes: int
    sent_at: float
    number: int


class Lease:
    """The lease of one task, as one process sees it.

    Not thread-safe: whoever shares it steps it under a lock. `record` is a plain value and may be replaced between
    two steps by a newer one that other processes wrote.
    """

    def __init__(self, policy: Policy, random: Random, *, record: Record | None = None, off: bool = False) -> None:
        self.policy = policy
        self.record = record or Record()
        self.demand = Demand()
        self.off = off
        self.retiring = False
        self.last_outcome: Outcome | None = None
        self.trouble: Answer | None = None  # why the lease cannot be taken or renewed; None when it can
        self.calls = 0
        self._random = random
        self._call: _InFlight | None = None
        self._last_sent = -inf
        self._writes = 0
        self._enabling = Backoff(random)
        self._releasing = Backoff(random)
        self._asking = Backoff(random)  # of GETs; work that comes and goes does not clear it
        self._asked_until = -inf  # until when the last confirmed enable was asked to last
        self._over_until = -inf  # when the last enable much shorter than the one under way has landed
        self._outgrown = False  # a hold began that the enable under way was not measured for
        self._governor = Governor()
        self._get_at = inf  # when to ask for the unknown state, while idle
        self._asked = False  # a GET was tried since the state became unknown
        self._renew_at = -inf
        self._release_at = inf
        self._idle_mark = -inf  # the idle period that `_release_at` was drawn for
        self._linger_s = policy.linger_s
        self._window = -inf  # until when arriving holds wait
        self._one_attempt = False  # the window closes with the next answer
        self._lost_at: float | None = None  # the bound whose loss was told
        self._outage_told = False
        self._first_may_pass: float | None = None

    # -- what the machine knows

    def sure(self, now: float) -> bool:
        """ECS is known to protect the task."""
        return now < self.record.sure_until

    @property
    def covered_until(self) -> float:
        """Until when the lease covers declared work: what `sure_until` gives away for drift, an end need not."""
        return self.record.sure_until + _record.DRIFT_S

    def lost(self, now: float) -> bool:
        """Work that was protected is in flight and the lease ran out (-inf is a release, not a loss)."""
        return -inf < self.record.sure_until <= now and self.demand.oldest < self.record.sure_until

    def state(self, now: float) -> State:
        """Everything above in one word."""
        if self.off:
            return State.OFF
        return self._busy_state(now) if self.demand.in_flight else self._idle_state(now)

    def _busy_state(self, now: float) -> State:
        if self.sure(now):
            return State.AT_RISK if self._enabling.outcome else State.PROTECTED
        if self.lost(now):
            return State.LOST
        return State.REFUSED if self._enabling.outcome in _HOPELESS else State.ACQUIRING

    def _idle_state(self, now: float) -> State:
        if self._call and self._call.call is Call.DISABLE:
            return State.RELEASING
        if self.record.unknown or self.record.maybe_until <= now:
            return State.IDLE
        return State.LINGERING

    def waits_until(self, now: float) -> float | None:
        """Until when a hold that begins now waits for the lease; None when it starts at once, confirmed or not."""
        return None if self.off or self.sure(now) or self._window <= now else self._window

    def settled_until(self, now: float) -> float:
        """Until when a hold can begin and end without a step: the lease is sure, and nothing is due."""
        if self.off:
            return inf
        if not self.sure(now):
            return -inf
        busy = self._call is not None or self._enabling.outcome is not None
        return self.record.sure_until if busy else min(self.record.sure_until, self._renew_at)

    def due(self, now: float) -> float:
        """When the machine wants its next `Tick`; inf when only an event can change anything."""
        loss = self.record.sure_until if self._loss_ahead() else inf
        return min(loss, self._next(now)[0]) if self._call is None else loss

    def owes(self, now: float) -> bool:
        """Whether a call is under way or still to be made."""
        return self._call is not None or self._wanted(now)[0] < inf

    def acts_by(self, moment: float) -> bool:
        """Whether a call is under way, or due by `moment`."""
        return self._call is not None or self._next(moment)[0] <= moment

    def _loss_ahead(self) -> bool:
        return self._lost_at != self.record.sure_until and self.demand.oldest < self.record.sure_until

    # -- what happens to it

    def step(self, now: float, event: Input) -> list[Action]:
        """Take note of one event at `now`; return what to do about it, in order."""
        self.record = _record.closed(self.record, now)
        match event:
            case Tick(demand=demand):
                self._see(now, demand)
                return [*self._notice_loss(now), *self._send(now)]
            case HoldBegan(demand=demand, until=until):
                self._see(now, demand)
                self._hold_began(now, until)
            case Answered(answer=answer, left_s=left_s):
                return [*self._notice_loss(now), *self._answered(now, answer, left_s)]
            case Start():
                self._get_at = min(self._get_at, now + self._random.uniform(*START_SPREAD_S))
            case Retire():
                self.retiring = True
        return []

    def _see(self, now: float, demand: Demand) -> None:
        self.demand = demand
        if demand.in_flight:
            self._releasing.clear()
            self._governor.new_release()
        else:
            self._idle(now)

    def _idle(self, now: float) -> None:
        self._window = -inf
        if self.record.unknown and self.demand.idle_since > -inf:
            self._get_at = min(self._get_at, now)  # the last hold is over and what it found in force is still unknown
        if self._idle_mark != self.demand.idle_since or self._release_at == inf:
            self._idle_mark = self.demand.idle_since
            since = now if self.demand.idle_since == -inf else self.demand.idle_since
            self._release_at = since + self._linger_s * self._random.uniform(*LINGER_SPREAD)

    def _hold_began(self, now: float, until: float) -> None:
        if self._longer(now, until):
            self._renew_at = min(self._renew_at, now)
            self._outgrown = True
        if self.off or self.sure(now) or now < self._window:
            return
        outage = self._enabling.outcome is not None
        new_attempt = outage and self.demand.in_flight == 1 and self._enabling.retry_at <= now
        if new_attempt or not (outage or self.lost(now)):
            self._window = now + self.policy.acquire_timeout_s
            self._one_attempt = outage

    def _longer(self, now: float, until: float) -> bool:
        """Whether a hold with that declared end is worth an enable of its own.

        Not if ECS was asked for as much already (it, or a wrong clock of ours, shortened that), and at the most that
        ECS grants not for less than the headroom: else each of many equal jobs would ask for itself.
        """
        headroom_s = HEADROOM * self.policy.lease_s
        most = until + headroom_s > now + LONGEST_MIN * 60.0
        asked_until = self._asked_until if self.sure(now) else -inf  # of a lease that is over
        return until - (headroom_s if most else 0.0) > max(self.covered_until, asked_until)

    def _notice_loss(self, now: float) -> list[Action]:
        if not self.lost(now) or self._lost_at == self.record.sure_until:
            return []
        self._lost_at = self.record.sure_until
        return [Tell(event=LeaseLost(in_flight=self.demand.in_flight))]

    # -- what it asks for

    def _next(self, now: float) -> tuple[float, Call]:
        """The next call and when it is due (inf: none), the cap on calls included."""
        at, call = self._wanted(now)
        return max(at, self._last_sent + CALL_EVERY_S), call

    def _wanted(self, now: float) -> tuple[float, Call]:
        if self.off:
            return inf, Call.GET
        if self.demand.in_flight:
            if self.record.unknown and not self._asked:
                return -inf, Call.GET
            due = self._renew_at if self.sure(now) else -inf
            return max(due, self._enabling.retry_at), Call.ENABLE
        if self.record.unknown:
            return max(self._get_at, self._asking.retry_at), Call.GET
        if self.record.maybe_until <= now:
            return inf, Call.DISABLE
        due = -inf if self.retiring else max(self._release_at, self._governor.ready_at(now))
        return max(due, self._releasing.retry_at), Call.DISABLE

    def _send(self, now: float) -> list[Action]:
        due, call = self._next(now)
        if self._call or now < due:
            return []
        minutes = self._minutes(now) if call is Call.ENABLE else 0
        if call is Call.ENABLE:
            self._outgrown = False
            self._over_until = self._shorter_until(now + minutes * 60.0)
        if call is Call.GET:
            self._asked = True
        else:
            self._writes += 1
            self.record = _record.entered(self.record, number=self._writes, now=now, term_s=minutes * 60.0)
        if call is Call.DISABLE:
            self._governor.release(now)
            self._asked_until = -inf
        self._call = _InFlight(call=call, minutes=minutes, sent_at=now, number=self._writes)
        self._last_sent = now
        self.calls += 1
        return [Send(call=call, minutes=minutes)]

    def _minutes(self, now: float) -> int:
        """The length to ask for: it covers the declared work, and is never shorter than what is left.

        Declared work gets some headroom. Without it, each of many equal jobs would find itself covered by a little
        less than it declared, and ask again: one call a job, the very thing that throttles an account.
        """
        declared = self.demand.work_until - now
        wanted_s = max(self.policy.lease_s, declared + HEADROOM * self.policy.lease_s, self.record.left_s(now))
        return min(max(ceil(wanted_s / 60.0 - 1e-6), SHORTEST_MIN), LONGEST_MIN)

    # -- what ECS answers

    def _answered(self, now: float, answer: Answer, left_s: float | None) -> list[Action]:
        made, self._call = self._call, None
        if made is None:
            return []
        outcome = self._outcome_of(now, answer)
        self.last_outcome = outcome
        self._pace(outcome)
        if outcome is Outcome.NOT_A_SERVICE_TASK:
            self.off, self._window = True, -inf
            return [Tell(event=LeaseRefused(answer=answer, in_flight=self.demand.in_flight, slack_s=0.0))]
        was_sure = self.record.sure_until
        if made.call is not Call.GET:
            lands_by = (now if answer.sent_at is None else answer.sent_at) + _record.LANDING_S
            self.record = _record.answered(self.record, number=made.number, now=now, outcome=outcome, lands_by=lands_by)
        if outcome is not Outcome.CONFIRMED:
            return self._failed(now, made, outcome, answer)
        match made.call:
            case Call.ENABLE:
                return self._enabled(now, made, left_s, was_sure)
            case Call.DISABLE:
                return self._disabled(now)
            case Call.GET:
                self._asking.clear()
                self.record = _record.seen(self.record, now=now, left_s=self._left_of(answer, left_s))
                return []

    def _left_of(self, answer: Answer, left_s: float | None) -> float:
        """How long the protection that a GET found lasts: it is there for sure, its date is as good as our clock."""
        if not answer.protected:
            return 0.0
        if left_s is None or left_s <= NEAREST_S:
            return max(self.policy.lease_s, UNDATED_S)
        return left_s

    def _outcome_of(self, now: float, answer: Answer) -> Outcome:
        """A 403 that an agent restart also gives counts as unavailable at first (contract §1)."""
        if not answer.may_pass:
            self._first_may_pass = None
            return answer.outcome
        if self._first_may_pass is None:
            self._first_may_pass = now
        return Outcome.UNAVAILABLE if now - self._first_may_pass < PASSES_WITHIN_S else answer.outcome

    def _pace(self, outcome: Outcome) -> None:
        """Throttling doubles the linger, success shrinks it: a crowded account gets fewer calls from everyone."""
        if outcome is Outcome.THROTTLED:
            self._linger_s = min(max(self._linger_s, 1.0) * 2, 900.0)
        elif outcome is Outcome.CONFIRMED:
            self._linger_s = max(self._linger_s / 2, self.policy.linger_s)

    def _enabled(self, now: float, made: _InFlight, left_s: float | None, was_sure: float) -> list[Action]:
        self._enabling.clear()
        self.trouble = None
        if left_s is not None and left_s > NEAREST_S:
            self.record = _record.shortened(self.record, until=now + left_s - _record.DRIFT_S)
        if not self.sure(now):
            # A disable may still land after this: confirm once more when it no longer can.
            self._enabling.wait_until(self.record.open_until(enables=False))
            if self._lost_at is not None:
                self._lost_at = self.record.sure_until  # what came too late is no recovery, and no loss of its own
            return []
        term_s = self.record.sure_until + _record.DRIFT_S - made.sent_at
        self._renew_at = now if self._outgrown else made.sent_at + term_s * self._random.uniform(*RENEW_AT)
        self._asked_until = made.sent_at + made.minutes * 60.0
        if self._over_until > -inf:  # it may land after this, or has: ask once more when it no longer can
            self._renew_at = min(self._renew_at, max(self._over_until, now))
        self._window, self._outage_told = -inf, False
        slack_s = self.record.sure_until - now
        lost, self._lost_at = self._lost_at, None
        if lost is not None and self.demand.oldest < lost:
            return [Tell(event=LeaseRecovered(slack_s=slack_s, minutes=made.minutes))]
        if now < was_sure:
            return [Tell(event=LeaseRenewed(slack_s=slack_s, minutes=made.minutes))]
        return [Tell(event=LeaseConfirmed(slack_s=slack_s, minutes=made.minutes))]

    def _shorter_until(self, end: float) -> float:
        """When the last open enable that ends well before `end` has landed; -inf without one.

        Two equal ones differ by a landing and the rounding to minutes.
        """
        writes = (write for write in self.record.writes if write.is_enable)
        shorter = (write for write in writes if end - (write.sent_at + write.term_s) > _record.LANDING_S + 60.0)
        return max((inf if write.lands_by is None else write.lands_by for write in shorter), default=-inf)

    def _disabled(self, now: float) -> list[Action]:
        self._releasing.clear()
        if self.record.maybe_until > now:
            # An enable may still land after this: release once more when it no longer can.
            self._releasing.wait_until(self.record.open_until(enables=True))
            return []
        return [Tell(event=LeaseReleased())]

    def _failed(self, now: float, made: _InFlight, outcome: Outcome, answer: Answer) -> list[Action]:
        if made.call is Call.GET:
            self._asking.failed(now, outcome, slack_s=inf)
            return []
        if made.call is Call.DISABLE:
            if not self.demand.in_flight:
                self._releasing.failed(now, outcome, slack_s=inf)
                if outcome is Outcome.THROTTLED:  # a lease that nobody needs may simply run out
                    self._releasing.wait_until(now + self._linger_s * self._random.uniform(*LINGER_SPREAD))
            return []
        self.trouble = answer
        self._enabling.failed(now, outcome, slack_s=self.record.sure_until - now)
        if self._one_attempt or outcome in _HOPELESS:
            self._window = -inf
        if self._outage_told:
            return []
        self._outage_told = True
        slack_s = max(self.record.sure_until - now, 0.0)
        kind = LeaseRefused if outcome is Outcome.REFUSED else LeaseAtRisk
        return [Tell(event=kind(answer=answer, in_flight=self.demand.in_flight, slack_s=slack_s))]
