"""The machine on the newest record: each step is taken on what all processes of the task know (EFFECTS: kernel locks).

A step is tried on a copy of the machine. If it changes the record, it counts only once that is written down, and if
somebody else was first, it is taken anew on what they wrote. The gate is taken and left here too, in the order that the
rules ask for (ARCHITECTURE.md). Nothing here waits for another process or the network; whoever uses it has the keeper's
lock. A hold that begins, a start and a retirement change only what is this process's own: what they would change in the
record, the next turn does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from math import inf
from pathlib import Path

from protectwork._lease import WATCH_S, Lease
from protectwork._ledger import Head, LoneState, StateError, TaskState, in_flight_of
from protectwork._merge import merged
from protectwork._record import Record
from protectwork._record_text import decoded, encoded
from protectwork._standing import Standing
from protectwork._steps import Action, Answered, Call, Demand, Died, Identity, Input, Policy, Random, Send, Tick

__all__ = ["Book"]

_QUIET_S = 2 * WATCH_S  # rule 10: others may need that long to find new files
_MOST_TRIES = 50  # each means that somebody else was first
_REPAIR_EVERY_S = 30.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Book:
    """One process's part in what the processes of its task know.

    Args:
        policy: What the user chose.
        random: Where jitter comes from.
        now: The clock. It is read after the record was: a process may be stopped before, and what others wrote
            meanwhile would seem to come from the future.
        off: There is nothing to protect.
        vigilant: This process does nothing else, and never sleeps through what others do.

    Attributes:
        lease: The machine as it stands.
        state: What is shared: who is in the gate, and who lives.
        trouble: Why the state is not shared; None when it is, or nobody wanted it to be.
    """

    def __init__(
        self,
        policy: Policy,
        random: Random,
        *,
        now: Callable[[], float],
        off: bool = False,
        vigilant: bool = False,
    ) -> None:
        self.lease = Lease(policy, random, off=off)
        self.lease.demand = Demand(gated=False)
        self.state: TaskState = LoneState()
        self.trouble: str | None = None
        self._now = now
        self._vigilant = vigilant
        self._opened = False
        self._record_state: TaskState = self.state  # where the record is kept: elsewhere while it cannot be written
        self._head: Head | None = None
        self._known: Record = Record()  # what stands at `_head`
        self._repair_at = self._look_again_at = -inf
        self._broken = self._bereft = False

    def open(self, state: TaskState, *, scope: str) -> None:
        """Take part in `state`, in the place of the one before; what this process knew goes into it.

        Args:
            state: The state; from now on this book's to close.
            scope: Told to every process of this container and to no other.
        """
        before, known = self.state, self.lease.record
        self.state = self._record_state = state
        self.trouble = state.trouble
        # Who has lost sight of the others must not end what they need, and looks for them again.
        self._bereft = not state.shared and (before.shared or self._bereft)
        self._head, self._broken = None, False
        self.lease.identity = Identity(
            owner=state.owner,
            container=hashlib.sha256(scope.encode()).hexdigest()[:16] if state.shared else "",
            boot=_boot_id() if state.shared else "",
            watches=state.shared,
            releases=self.releases,
            vigilant=self._vigilant,
        )
        self._look_again_at = self._now() + _REPAIR_EVERY_S if state.trouble else -inf
        if before.joined:
            self._join()
        if self._opened:
            self._bring(known)
        self._opened = True
        before.close()
        for owner in state.fallen() - self.lease.record.awaited():
            state.bury(owner)

    @property
    def releases(self) -> bool:
        """Whether this process may end protection: there are no others that it cannot see, or that cannot see it.

        A release that is not in the record is one that nobody reckons with (rule 1): the lease rather runs out.
        """
        return not self.state.foreign and not self._bereft and not self._in_memory

    @property
    def is_open(self) -> bool:
        """Whether it is known by now with whom the state is shared."""
        return self._opened

    # -- steps of the machine

    def arrive(self, demand: Demand, event: Callable[[Demand], Input]) -> list[Action]:
        """Work begins: step into the gate, and only then see what the record says (rule 6)."""
        if self._opened:
            self._join()
            self.lease.record = self._read()
        return self.lease.step(self._now(), event(replace(demand, gated=self.state.joined)))

    def turn(self, demand: Demand) -> list[Action]:
        """Let the machine decide; what it sends is entered when this returns, and the gate is as the call needs it."""
        if not self._opened:
            return []
        barred = False
        for _ in range(_MOST_TRIES):
            if demand.in_flight:
                self._join()
            attempt = self._attempt(self._read())
            now = self._now()
            if self.state.joined and attempt.leaves(now, demand):
                self.lease.demand = attempt.demand = replace(demand, gated=False)  # rule 5: first nothing is confirmed
                self.state.leave()  # any more, and only then the gate is left
            others = self._finds_others(attempt, demand, now)
            demand = replace(demand, gated=self.state.joined, others=others, barred=others and barred)
            actions = attempt.step(now, Tick(demand=demand))
            send = next((action.call for action in actions if isinstance(action, Send)), None)
            ready = self._ready_to(send, demand)
            if ready and self._adopt(attempt, only_if_written=send is Call.DISABLE):
                if send is not Call.DISABLE:
                    self.state.let_go()
                return actions
            barred = not ready and send is Call.ENABLE
            self.state.let_go()
        self.lease.record = self._known  # as read after the gate was taken, if it was (rule 6)
        return []

    def answer(self, demand: Demand, answered: Answered) -> list[Action]:
        """Note the answer to the call under way, and leave the gate if it was seized for it."""
        try:
            return self._step(demand, answered)
        finally:
            self.state.let_go()

    def look(self) -> bool:
        """See now and then who died and whether the files are there; False: open the state anew (rule 10)."""
        if self._broken or self._now() < self._look_again_at:
            return not self._broken
        if self.state.trouble:  # it may have passed
            return False
        self._look_again_at = self._now() + WATCH_S / 2
        if awaited := self.lease.record.awaited() - {self.state.owner}:
            dead = self.state.dead(awaited)
            if dead:
                self._step(self.lease.demand, Died(owners=frozenset(dead)))
                for owner in dead:
                    self.state.bury(owner)
        return self.state.intact()

    def see(self, demand: Demand) -> None:
        """Tell the machine who is busy, without a step."""
        self.lease.demand = replace(demand, gated=self.state.joined, others=self.lease.demand.others)

    def in_flight_elsewhere(self) -> int:
        """How many holds the other processes of the task have told of; each does so at most once a second."""
        told = (text for owner, text in self.state.living().items() if owner != self.state.owner)
        return sum(in_flight_of(text) for text in told)

    def stand(self, change: Callable[[Standing], Standing | None]) -> bool:
        """Change what is known of the task's place in its service.

        Returns:
            Whether it is changed: not if `change` gives None, nothing is open, or others were always first.
        """
        for _ in range(_MOST_TRIES if self._opened else 0):
            record = self._read()
            standing = change(record.standing)
            if standing is None:
                return False
            if self._adopt(self._attempt(replace(record, standing=standing))):
                return True
        return False

    def close(self) -> None:
        """Have no part in the state any more; nothing is in flight."""
        spent = False
        try:
            record = self._read() if self._opened else Record()
            now = self._now()
            settled = not record.writes and (record.maybe_until <= now or not record.number)
            spent = settled and not self._in_memory and record.standing.asks_at <= now
        finally:
            self.state.close(spent=spent)

    def forget_parent(self) -> None:
        """In a forked child: what was inherited is the parent's (rule 11)."""
        self.state.forget_parent()

    def _step(self, demand: Demand, event: Input) -> list[Action]:
        for _ in range(_MOST_TRIES):
            attempt = self._attempt(self._read())
            attempt.demand = replace(demand, gated=self.state.joined)
            actions = attempt.step(self._now(), event)
            if self._adopt(attempt):
                return actions
        raise StateError("the record could not be changed: others were always first")

    def _attempt(self, record: Record) -> Lease:
        attempt = copy(self.lease)
        attempt.record = record
        attempt.identity = replace(attempt.identity, releases=self.releases)
        return attempt

    def _finds_others(self, attempt: Lease, demand: Demand, now: float) -> bool:
        """Whether another process is in the gate; where nobody is, this one has seized it when this returns."""
        if demand.in_flight or self.state.joined or not attempt.watching(now):
            return False
        return not self._seize()

    def _seize(self) -> bool:
        try:
            return self.state.seize()
        except StateError:
            self._broken = True
            return False

    def _ready_to(self, send: Call | None, demand: Demand) -> bool:
        """Whether the gate is as the call needs it."""
        match send:
            case Call.DISABLE:
                return self._seize()
            case Call.ENABLE:
                return (self._join() or bool(demand.in_flight)) and self._still_so()  # rules 4 and 7
            case _:
                return True

    def _join(self) -> bool:
        """Step into the gate, if it is not taken."""
        if self.state.joined:
            return True
        try:
            joined = self.state.join()
        except StateError:  # no descriptor any more, say: everything is taken anew
            self._broken = True
            return False
        if joined and self._in_memory:  # what others did before that, who may have disabled, memory does not tell
            self._known = replace(self._known, settled_sure=-inf)
            self._repair_at = -inf
        return joined

    # -- the record

    @property
    def _in_memory(self) -> bool:
        """Whether the record is kept in memory, because the shared one cannot be used."""
        return self._record_state is not self.state

    def _still_so(self) -> bool:
        """Whether the record is what the step was taken on, now that the gate is as it is to be (rule 6).

        An enable that cannot be written down is one that nobody reckons with. So it has to reckon with all that is
        written, at this very moment, not to be shorter than what another process was promised meanwhile.
        """
        known = self._known
        if self._in_memory:
            self._repair_at = -inf
        return self._read() == known

    def _read(self) -> Record:
        """The newest record; one that knows nothing where there is none that can be believed."""
        if self._in_memory and self._now() >= self._repair_at:
            self._repair()
        try:
            head = self._record_state.read()
        except StateError as error:
            self._without(error)
            head = self._record_state.read()
        if head != self._head:
            boot, now = self.lease.identity.boot, self._now()
            record = None if head.text is None else decoded(head.text, now=now, boot=boot)
            quiet_until = now + _QUIET_S if self.state.shared else 0.0
            self._head, self._known = head, record or Record(boot=boot, quiet_until=quiet_until)
        return self._known

    def _adopt(self, attempt: Lease, *, only_if_written: bool = False) -> bool:
        """Have the machine be as `attempt` is, once its record is written down; False if somebody else was first.

        What cannot be written is kept in memory: work is protected all the same. But nothing is ended that way.
        """
        if attempt.record != self._known and self._head:
            try:
                head: Head | None = self._record_state.commit(self._head, encoded(attempt.record))
            except StateError as error:
                self._without(error, self._known if only_if_written else attempt.record)
                head = None if only_if_written else self._head
            if head is None:
                return False
            self._head, self._known = head, attempt.record
        self.lease = attempt
        return True

    def _without(self, error: StateError, record: Record | None = None) -> None:
        """Keep the record in memory while the shared one cannot be used. The gate still tells who is busy."""
        if self.state.intact():
            self.trouble = error.reason
        else:
            self._broken = True  # somebody has removed it: it is taken anew, which is no trouble to tell
        lone = LoneState()
        self._head, self._known = lone.read(), record or self._known
        self._record_state = lone
        self._repair_at = self._now() + _REPAIR_EVERY_S

    def _repair(self) -> None:
        """Try whether the shared record can be used again."""
        self._repair_at = self._now() + _REPAIR_EVERY_S
        mine, self._record_state, self._head, self.trouble = self._known, self.state, None, None
        self._bring(mine, held=self.state.joined)

    def _bring(self, mine: Record, *, held: bool = False) -> None:
        """Have the shared record know what this process knows; `held`: as long as it was sure, it held this gate."""
        if not self.state.joined:
            mine = replace(mine, settled_sure=-inf)
        for _ in range(_MOST_TRIES):
            shortest_s = self.lease.policy.minute_s
            record = merged(
                self._read(), mine, owner=self.state.owner, now=self._now(), held=held, shortest_s=shortest_s
            )
            if self._adopt(self._attempt(record)):
                return


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return "unknown"
