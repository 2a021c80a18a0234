"""What one process knows of the lease of its task: the shared record, seen from where it stands (PURE)."""

from __future__ import annotations

from math import ceil, inf

from protectwork._backoff import Backoff
from protectwork._record import DRIFT_S, LANDING_S, Record
from protectwork._standing import Standing
from protectwork._steps import Demand, Identity, Policy
from protectwork._types import Answer

__all__ = ["Outlook"]

SHORTEST_MIN, LONGEST_MIN = 1, 2880  # minutes that ECS accepts (contract §4)
HEADROOM = 0.25  # of the lease, beside declared work: equal jobs that follow each other share a lease (see `minutes`)


class Outlook:
    """The questions that can be answered by looking.

    Attributes:
        policy: What the user chose.
        identity: Who this process is.
        record: What the processes of the task know.
        demand: Who is busy here.
        off: There is nothing to protect.
    """

    def __init__(self, policy: Policy, *, identity: Identity, record: Record, off: bool) -> None:
        self.policy = policy
        self.identity = identity
        self.record = record
        self.demand = Demand()
        self.off = off

    def sure(self, now: float) -> bool:
        """ECS is known to protect the task, and nobody can end that."""
        return self.demand.gated and now < self.sure_until

    @property
    def sure_until(self) -> float:
        """Until when the task is known to be protected, as long as this process stands in the gate."""
        return -inf if self.stranger else self.record.sure_until

    @property
    def covered_until(self) -> float:
        """Until when the lease covers declared work: what `sure_until` gives away for drift, an end need not."""
        return self.sure_until + DRIFT_S

    @property
    def trouble(self) -> Answer | None:
        """Why the lease cannot be taken or renewed; None when it can."""
        return self.enabling.trouble

    def lost(self, now: float) -> bool:
        """Work that was protected is in flight and the lease ran out (-inf is a release, not a loss)."""
        return self.demand.gated and -inf < self.sure_until <= now and self.demand.oldest < self.sure_until

    def watching(self, now: float) -> bool:
        """Whether another process may leave something undone: then it is looked at what the others do."""
        return self.identity.watches and not self.off and (self.record.unknown or now < self.record.maybe_until)

    @property
    def enabling(self) -> Backoff:
        """The waits between enables."""
        return self.record.pace.enabling

    @property
    def stranger(self) -> bool:
        """No answer has shown yet that the record is about the task of this container."""
        return bool(self.identity.container) and self.identity.container not in self.record.containers

    @property
    def unknown(self) -> bool:
        """Nothing is known of this task's lease."""
        return self.record.unknown or self.stranger

    @property
    def standing(self) -> Standing:
        """The place of the task in its service, as far as the record is about this task."""
        return Standing() if self.stranger else self.record.standing

    @property
    def linger_s(self) -> float:
        """The linger, in seconds, as throttling has stretched it."""
        return max(self.policy.linger_s, self.record.pace.linger_s)

    def longer(self, now: float, until: float) -> bool:
        """Whether a hold with that declared end is worth an enable of its own.

        Not if ECS was asked for as much already (it, or a wrong clock of ours, shortened that), and at the most that
        ECS grants not for less than the headroom: else each of many equal jobs would ask for itself.
        """
        headroom_s = HEADROOM * self.policy.lease_s
        longest_s = LONGEST_MIN * self.policy.minute_s
        until = min(until, now + longest_s)  # in a lab's policy time work may well be declared longer than that
        most = until + headroom_s > now + longest_s
        granted = self.record.granted
        asked_until = granted.asked_until if granted and self.sure(now) else -inf  # not of a lease that is over
        return until - (headroom_s if most else 0.0) > max(self.covered_until, asked_until)

    def minutes(self, now: float) -> int:
        """The length to ask for: it covers the declared work, and is never shorter than what is left.

        Declared work gets some headroom. Without it, each of many equal jobs would find itself covered by a little
        less than it declared, and ask again: one call a job, the very thing that throttles an account.
        """
        declared = self.demand.work_until - now
        wanted_s = max(self.policy.lease_s, declared + HEADROOM * self.policy.lease_s, self.record.left_s(now))
        return min(max(ceil(wanted_s / self.policy.minute_s - 1e-6), SHORTEST_MIN), LONGEST_MIN)

    def shorter_until(self, end: float) -> float:
        """When the last open enable that ends well before `end` has landed; inf without one.

        Two equal ones differ by a landing and the rounding to minutes.
        """
        writes = (write for write in self.record.writes if write.is_enable)
        shorter = (write for write in writes if end - (write.sent_at + write.term_s) > LANDING_S + self.policy.minute_s)
        return max((inf if write.lands_by is None else write.lands_by for write in shorter), default=inf)
