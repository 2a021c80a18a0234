"""The lease machine: `step(now, event) -> actions` (PURE: no clock, no I/O, no threads, no randomness of its own).

It decides what to ask of ECS, and when. Whoever drives it (the keeper, a property test, a simulator) tells it the
time, who is busy and what ECS answered; performs the actions; and steps it again no later than `due(now)`.

What it knows of the lease is its `record`, a plain value that all processes of a task share: before a step the keeper
puts in the newest, and the step counts only if nobody was faster to change it. Everything else here is this process's
own: who waits, what was told, and the jitter of its own next act.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

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
from protectwork._outlook import Outlook
from protectwork._pace import CALL_EVERY_S
from protectwork._record import Granted, Record
from protectwork._steps import (
    Action,
    Answered,
    Call,
    Demand,
    Died,
    HoldBegan,
    Identity,
    Input,
    Linger,
    Made,
    Policy,
    Probe,
    Random,
    Retire,
    Send,
    Start,
    Tell,
    Tick,
)
from protectwork._types import Answer, Outcome, State
from protectwork._verdict import LINGER_SPREAD, noted

__all__ = ["WATCH_S", "Lease"]

RENEW_AT = (0.45, 0.50)  # of the term
FOR_OTHERS_AT = 0.55  # of the term: those who work had their chance
START_SPREAD_S = (0.0, 5.0)  # so that a fleet that started together does not ask together
SEND_WITHIN_S = 3.0  # of its entry; less than a write takes to land, more than an honest pause of the interpreter
WATCH_S = 2.0  # how soon a process notices that another one died
SOON_S = (0.02, 0.25)  # how soon one who waits for another process looks again: at first, and later on

_HOPELESS = frozenset({Outcome.REFUSED, Outcome.MISCONFIGURED, Outcome.NOT_A_SERVICE_TASK})
"""Answers that asking again at once will not change: nobody waits on."""


class Lease(Outlook):
    """The lease of one task, as one process sees it.

    Not thread-safe: whoever shares it steps it under a lock. Every attribute is a plain value, so a copy can be stepped
    instead, and taken or left.
    """

    def __init__(
        self,
        policy: Policy,
        random: Random,
        *,
        identity: Identity | None = None,
        record: Record | None = None,
        off: bool = False,
    ) -> None:
        super().__init__(policy, identity=identity or Identity(), record=record or Record(), off=off)
        self.retiring = False
        self.lingers = True
        self._probing = False
        self.last_outcome: Outcome | None = None
        self.calls = 0
        self._random = random
        self._call: Made | None = None
        self._get_at = inf  # when to ask for the unknown state, while idle
        self._asked = False  # a GET was tried
        self._granted: Granted | None = None  # what `_renew_at` was drawn for
        self._renew_at = -inf
        self._release_at = inf
        self._idle_mark = -inf  # the idle period that `_release_at` was drawn for
        self._farewell = False  # the one release that the end of a task may have beyond the governor
        self._window = -inf  # until when arriving holds wait
        self._one_attempt = False  # the window closes with the next answer
        self._barred_since = inf  # since when there is work that does not get into the gate
        self._others_since = inf  # since when others are found in the gate at every look
        self._looks = 0  # at what other processes do, since this one waits for them
        self._lost_at: float | None = None  # the bound whose loss was told
        self._outage_told = False

    # -- what the machine knows

    def state(self, now: float) -> State:
        """What the manager shows: the lease and the work, in one word."""
        if self.off:
            return State.OFF
        return self._busy_state(now) if self.demand.in_flight else self._idle_state(now)

    def _busy_state(self, now: float) -> State:
        if self.sure(now):
            return State.AT_RISK if self.enabling.outcome else State.PROTECTED
        if self.lost(now):
            return State.LOST
        return State.REFUSED if self.enabling.outcome in _HOPELESS else State.ACQUIRING

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
        busy = self._call is not None or self.enabling.outcome is not None
        return self.sure_until if busy else min(self.sure_until, self._renew_at)

    def due(self, now: float) -> float:
        """When the machine wants its next `Tick`; inf when only an event can change anything."""
        loss = self.sure_until if self._loss_ahead() else inf
        return min(loss, self._look_at(now), self._next(now)[0]) if self._call is None else loss

    def leaves(self, now: float, demand: Demand) -> bool:
        """Nothing is in flight, and the lease has been kept for long enough: this process may leave the gate."""
        if demand.in_flight:
            return False
        self.demand = demand
        self._idle(now)
        return now >= self._leaves_at

    def owes(self, now: float) -> bool:
        """Whether a call is under way or still to be made by this process."""
        return self._call is not None or (not self.demand.others and self._wanted(now)[0] < inf)

    def acts_by(self, moment: float) -> bool:
        """Whether a call is under way, or due by `moment`."""
        return self._call is not None or self._next(moment)[0] <= moment

    def sends_by(self) -> float:
        """Until when the call that was entered may still be sent: later, others no longer reckon with it."""
        return self._call.sent_at + SEND_WITHIN_S if self._call else -inf

    @property
    def _leaves_at(self) -> float:
        """Until when the lease is kept after the work."""
        return self._release_at if self.lingers and not self.retiring else -inf

    def _loss_ahead(self) -> bool:
        return self._lost_at != self.sure_until and self.demand.oldest < self.sure_until

    def _look_at(self, now: float) -> float:
        """When to look at what the other processes of the task do."""
        if not self.identity.watches or self.off:
            return inf
        if self.demand.in_flight:
            waits = not self.demand.gated or (not self.sure(now) and self.record.pace.call_ends > now)
            return now + (min(SOON_S[0] * 2.0 ** min(self._looks, 10), SOON_S[1]) if waits else WATCH_S)
        leaves_at = max(self._leaves_at, now) if self.demand.gated else inf
        return min(now + WATCH_S if self.identity.vigilant or self.watching(now) else inf, leaves_at)

    # -- what happens to it

    def step(self, now: float, event: Input) -> list[Action]:
        """Take note of one event at `now`; return what to do about it, in order."""
        self.record = _record.closed(self.record, now)
        self.off = self.off or self.record.off
        match event:
            case Tick(demand=demand):
                self._see(now, demand)
                if self.record.granted != self._granted:
                    self._draw_renewal(now)
                return [*self._notice(now), *self._send(now)]
            case HoldBegan(demand=demand, until=until):
                self._see(now, demand)
                self._hold_began(now, until)
            case Answered(answer=answer, left_s=left_s):
                return [*self._notice_loss(now), *self._answered(now, answer, left_s)]
            case Died(owners=owners):
                for owner in sorted(owners):
                    self.record = _record.died(self.record, owner, now)
            case _:
                self._resolve(event, now)
        return []

    def _resolve(self, event: Start | Retire | Linger | Probe, now: float) -> None:
        """Take note of what this process has a mind to."""
        match event:
            case Start():
                self._get_at = min(self._get_at, now + self._random.uniform(*START_SPREAD_S))
            case Retire():
                self._farewell = self._farewell or not self.retiring
                self.retiring = True
            case Linger(wanted=wanted):
                self.lingers = wanted
            case Probe():
                self._probing, self._get_at = True, now

    def _see(self, now: float, demand: Demand) -> None:
        self.demand = demand
        waits = demand.in_flight and not self.sure(now)
        self._looks = self._looks + 1 if waits else 0
        self._barred_since = min(self._barred_since, now) if demand.in_flight and not demand.gated else inf
        self._others_since = min(self._others_since, now) if demand.others else inf
        if demand.in_flight:
            self._work_came()
        else:
            self._idle(now)

    def _work_came(self) -> None:
        """The next release is another one: what stood in the way of the last does not delay it."""
        pace = self.record.pace
        fresh = replace(pace, releasing=Backoff(), governor=pace.governor.new_release())
        if pace != fresh:
            self.record = replace(self.record, pace=fresh)

    def _idle(self, now: float) -> None:
        self._window = -inf
        if self.unknown and (self.demand.idle_since > -inf or self.record.number):
            self._get_at = min(self._get_at, now)  # the work is over, and what is in force is still unknown
        if self._idle_mark != self.demand.idle_since or self._release_at == inf:
            self._idle_mark = self.demand.idle_since
            since = now if self.demand.idle_since == -inf else self.demand.idle_since
            self._release_at = since + self.linger_s * self._random.uniform(*LINGER_SPREAD)

    def _draw_renewal(self, now: float) -> None:
        """There is another lease than before: say when to extend it."""
        granted = self._granted = self.record.granted
        if granted is None:
            self._renew_at = -inf
        elif self.longer(now, self.demand.work_until):  # a hold began that it was not measured for
            self._renew_at = now
        else:
            share = self._random.uniform(*RENEW_AT)
            self._renew_at = min(granted.sent_at + granted.term_s * share, granted.again_at)

    def _hold_began(self, now: float, until: float) -> None:
        if self.longer(now, until):
            self._renew_at = min(self._renew_at, now)
        if self.off or self.sure(now) or now < self._window:
            return
        outage = self.enabling.outcome is not None
        new_attempt = outage and self.demand.in_flight == 1 and self.enabling.retry_at <= now
        if new_attempt or not (outage or self.lost(now)):
            self._window = now + self.policy.acquire_timeout_s
            self._one_attempt = outage

    # -- what there is to tell

    def _notice(self, now: float) -> list[Action]:
        """What came of what other processes did, for those who work here."""
        told = self._notice_loss(now) or self._notice_recovery(now)
        if not self.demand.in_flight or self._call:
            return told
        if self.trouble and not self._outage_told:
            return [*told, self._outage(now, self.trouble)]
        if self._outage_told and not self.trouble and self.sure(now):
            self._outage_told = False
        return told

    def _notice_loss(self, now: float) -> list[Action]:
        if not self.lost(now) or self._lost_at == self.sure_until:
            return []
        self._lost_at = self.sure_until
        return [Tell(event=LeaseLost(in_flight=self.demand.in_flight))]

    def _notice_recovery(self, now: float) -> list[Action]:
        if self._lost_at is None or not self.sure(now) or self.sure_until == self._lost_at:
            return []
        lost, self._lost_at, self._window = self._lost_at, None, -inf
        if self.demand.oldest >= lost:
            return []
        granted = self.record.granted
        minutes = round(granted.term_s / self.policy.minute_s) if granted else 0
        return [Tell(event=LeaseRecovered(slack_s=self.sure_until - now, minutes=minutes))]

    def _outage(self, now: float, trouble: Answer) -> Action:
        self._outage_told = True
        slack_s = max(self.sure_until - now, 0.0)
        kind = LeaseRefused if trouble.outcome is Outcome.REFUSED else LeaseAtRisk
        return Tell(event=kind(answer=trouble, in_flight=self.demand.in_flight, slack_s=slack_s))

    # -- what it asks for

    def _next(self, now: float) -> tuple[float, Call]:
        """The next call and when it is due (inf: none), the cap on calls included."""
        at, call = self._wanted(now)
        return max(at, self.record.pace.ready_at), call

    def _wanted(self, now: float) -> tuple[float, Call]:
        if self.off:
            return inf, Call.GET
        if self.demand.in_flight:
            return self._wanted_for_work(now)
        if self.unknown:
            return max(self._get_at, self.record.pace.asking.retry_at), Call.GET
        if self.record.maybe_until <= now or not self.identity.releases:
            return -inf if self._probing and self.identity.releases else inf, Call.DISABLE
        if self.demand.others:
            return inf if self.demand.barred else self._wanted_for_others(now), Call.ENABLE
        governed = -inf if self._farewell else self.record.pace.governor.ready_at(now, minute_s=self.policy.minute_s)
        due = max(self._leaves_at, governed, self.record.quiet_until)
        return max(due, self.record.pace.releasing.retry_at), Call.DISABLE

    def _wanted_for_work(self, now: float) -> tuple[float, Call]:
        asked = self._asked if self.stranger else self.record.asked
        if self.unknown and not asked:
            return -inf, Call.GET
        due = self._renew_at if now < self.sure_until else -inf
        if not self.demand.gated:  # rule 7: somebody is stopped in the gate; what is asked now confirms nothing
            due = max(due, self._barred_since + self.policy.acquire_timeout_s)
        return max(due, self.enabling.retry_at), Call.ENABLE

    def _wanted_for_others(self, now: float) -> float:
        """They may be stopped, or one may hold the interpreter for minutes; a single look may also have met a look."""
        granted = self.record.granted if now < self.record.sure_until else None
        due = granted.sent_at + granted.term_s * FOR_OTHERS_AT if granted else -inf
        return max(due, self._others_since + WATCH_S, self.enabling.retry_at)

    def _send(self, now: float) -> list[Action]:
        due, call = self._next(now)
        if self._call or now < due:
            return []
        minutes, record = (self.minutes(now) if call is Call.ENABLE else 0), self.record
        term_s = minutes * self.policy.minute_s
        if call is Call.GET:
            self._asked, number, record = True, record.number, replace(record, asked=True)
        else:
            number = record.number + 1
            record = _record.entered(record, number=number, now=now, term_s=term_s, owner=self.identity.owner)
        again_at = self.shorter_until(now + term_s) if call is Call.ENABLE else inf
        beside = frozenset(write.number for write in self.record.writes)
        self._call = Made(call=call, minutes=minutes, sent_at=now, number=number, again_at=again_at, beside=beside)
        self.record = self._spent(record, call, now)
        self.calls += 1
        return [Send(call=call, minutes=minutes)]

    def _spent(self, record: Record, call: Call, now: float) -> Record:
        pace = record.pace.called(now, self.identity.owner)
        match call:
            case Call.DISABLE if self._probing and self.record.maybe_until <= now:
                self._probing = False
                return replace(record, granted=None, pace=pace)
            case Call.DISABLE:
                self._farewell = False
                governor = pace.governor.released(now, minute_s=self.policy.minute_s)
                return replace(record, granted=None, pace=replace(pace, governor=governor))
            case _:
                return replace(record, pace=pace)

    # -- what ECS answers

    def _answered(self, now: float, answer: Answer, left_s: float | None) -> list[Action]:
        made, self._call = self._call, None
        if made is None:
            return []
        was_sure = self.sure(now)
        self.record, outcome = noted(
            self.record,
            made,
            answer,
            now=now,
            left_s=left_s,
            identity=self.identity,
            policy=self.policy,
            random=self._random,
        )
        self.last_outcome = outcome
        if self.record.off:
            self.off, self._window = True, -inf
            return [Tell(event=LeaseRefused(answer=answer, in_flight=self.demand.in_flight, slack_s=0.0))]
        if outcome is not Outcome.CONFIRMED:
            return self._failed(now, made, answer, outcome)
        if made.call is Call.ENABLE:
            return self._enabled(now, made, was_sure=was_sure)
        idle = not self.demand.in_flight and self.record.maybe_until <= now
        return [Tell(event=LeaseReleased())] if made.call is Call.DISABLE and idle else []

    def _enabled(self, now: float, made: Made, *, was_sure: bool) -> list[Action]:
        if not self.sure(now):
            if self._lost_at is not None:
                self._lost_at = self.sure_until  # what came too late is no recovery, and no loss of its own
            return []
        self._window, self._outage_told = -inf, False
        self._renew_at = now + CALL_EVERY_S  # until the next tick, which knows of all declared work, has drawn another
        if recovered := self._notice_recovery(now):
            return recovered
        self._lost_at = None
        kind = LeaseRenewed if was_sure else LeaseConfirmed
        return [Tell(event=kind(slack_s=self.sure_until - now, minutes=made.minutes))]

    def _failed(self, now: float, made: Made, answer: Answer, outcome: Outcome) -> list[Action]:
        if made.call is not Call.ENABLE:
            return []
        if self._one_attempt or outcome in _HOPELESS:
            self._window = -inf
        if self._outage_told:
            return []
        return [self._outage(now, replace(answer, outcome=outcome) if outcome is not answer.outcome else answer)]
