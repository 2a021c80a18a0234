"""What an answer of ECS means for the record (PURE: values in, values out)."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from protectwork import _record
from protectwork._backoff import Backoff
from protectwork._record import DRIFT_S, LANDING_S, LONGEST_S, Granted, Record
from protectwork._steps import Call, Identity, Made, Policy, Random
from protectwork._types import Answer, Outcome
from protectwork.backends._arns import id_of

__all__ = ["LINGER_SPREAD", "noted"]

LINGER_SPREAD = (0.75, 1.25)  # so that a fleet that went idle together is not released together
NEAREST = 0.5  # of ECS's shortest lease: a date nearer than that tells of a wrong clock of ours, not of ECS
LINGER_MOST_MIN = 15
ASLEEP_S = 60.0  # how often to repeat what an open write of a process that sleeps makes void


def noted(
    record: Record,
    made: Made,
    answer: Answer,
    *,
    now: float,
    left_s: float | None,
    identity: Identity,
    policy: Policy,
    random: Random,
) -> tuple[Record, Outcome]:
    """Note the answer to `made`; return the record after it, and what the answer counts as.

    `left_s` is ECS's `ExpirationDate` less the wall time, if it gave one.
    """
    pace, outcome = record.pace.judged(now, answer)
    pace = pace.over(identity.owner).stretched(outcome, policy.linger_s, most_s=LINGER_MOST_MIN * policy.minute_s)
    record = replace(record, pace=pace)
    if identity.container and (answer.task_arn or outcome is Outcome.CONFIRMED):
        # With or without the cluster's segment (contract §1), the last one is the task's.
        arn = id_of(answer.task_arn) if answer.task_arn else record.arn or ""
        record = _record.introduced(record, arn=arn, container=identity.container)
    if made.call is not Call.GET:
        lands_by = (now if answer.sent_at is None else answer.sent_at) + LANDING_S
        record = _record.answered(
            record, number=made.number, now=now, outcome=outcome, lands_by=lands_by, owner=identity.owner
        )
    if outcome is Outcome.NOT_A_SERVICE_TASK:
        return replace(record, off=True), outcome
    if outcome is not Outcome.CONFIRMED:
        trouble = Answer(outcome=outcome, reason=answer.reason, detail=answer.detail)
        return _failed(record, made, trouble, now=now, policy=policy, random=random), outcome
    match made.call:
        case Call.ENABLE:
            if identity.watches and not identity.releases:  # not written down: others may enable for any shorter time
                record = _record.shortened(record, until=made.sent_at + policy.minute_s - DRIFT_S)
            record = _enabled(record, made, now=now, left_s=left_s, minute_s=policy.minute_s)
        case Call.DISABLE:
            record = _disabled(record, now=now)
        case Call.GET:
            record = _told(record, made, answer, now=now, left_s=left_s, minute_s=policy.minute_s)
    return record, outcome


def _enabled(record: Record, made: Made, *, now: float, left_s: float | None, minute_s: float) -> Record:
    if left_s is not None and left_s > NEAREST * minute_s:
        record = _record.shortened(record, until=now + left_s - DRIFT_S)
    if now < record.sure_until:
        granted = Granted(
            sent_at=made.sent_at,
            term_s=record.sure_until + DRIFT_S - made.sent_at,
            asked_until=made.sent_at + made.minutes * minute_s,
            again_at=max(made.again_at, now),
        )
        return replace(record, granted=granted, pace=replace(record.pace, enabling=Backoff()))
    # A disable may still land after this: confirm once more when it no longer can.
    again = Backoff().not_before(_landed(record, now, enables=False))
    return replace(record, pace=replace(record.pace, enabling=again))


def _disabled(record: Record, *, now: float) -> Record:
    releasing = Backoff()
    if record.maybe_until > now:  # an enable may still land after this: release once more when it no longer can
        releasing = releasing.not_before(_landed(record, now, enables=True))
    return replace(record, pace=replace(record.pace, releasing=releasing))


def _landed(record: Record, now: float, *, enables: bool) -> float:
    """When the open writes of one kind have landed; those of a process that sleeps are looked for now and then."""
    return min(record.open_until(enables=enables), now + ASLEEP_S)


def _told(record: Record, made: Made, answer: Answer, *, now: float, left_s: float | None, minute_s: float) -> Record:
    record = replace(record, pace=replace(record.pace, asking=Backoff()))
    if record.number != made.number or not made.beside <= {write.number for write in record.writes}:
        return record  # something was written meanwhile, or has landed: before what was seen or after, nobody knows
    return _record.seen(record, now=now, left_s=_left_of(answer, left_s, minute_s))


def _left_of(answer: Answer, left_s: float | None, minute_s: float) -> float:
    """How long the protection that a GET found lasts: it is there for sure, its date is as good as our clock."""
    if not answer.protected:
        return 0.0
    return LONGEST_S if left_s is None or left_s <= NEAREST * minute_s else min(left_s, LONGEST_S)


def _failed(record: Record, made: Made, trouble: Answer, *, now: float, policy: Policy, random: Random) -> Record:
    pace = record.pace
    match made.call:
        case Call.GET:
            pace = replace(pace, asking=pace.asking.failed(now, trouble, slack_s=inf, random=random))
        case Call.ENABLE:
            slack_s = record.sure_until - now
            pace = replace(pace, enabling=pace.enabling.failed(now, trouble, slack_s=slack_s, random=random))
        case Call.DISABLE:
            releasing = pace.releasing.failed(now, trouble, slack_s=inf, random=random)
            if trouble.outcome is Outcome.THROTTLED:  # a lease that nobody needs may simply run out
                linger_s = max(policy.linger_s, pace.linger_s)
                releasing = releasing.not_before(now + linger_s * random.uniform(*LINGER_SPREAD))
            pace = replace(pace, releasing=releasing)
    return replace(record, pace=pace)
