"""How doctor finds out whether ECS lets this task be changed, by the rules that its other processes reckon with.

Between the question whether the task is protected and the next call a worker may begin. So nothing is sent past the
shared state: a disable goes out only while nobody is in the gate, and it is in the record before; and a lease is a hold
like any other. Whoever is not sure to see the other processes asks nothing.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from protectwork import Answer, Outcome, ProtectionManager, Settings
from protectwork._backend import Backend
from protectwork._book import Book
from protectwork._caller import called
from protectwork._clock import steady_now
from protectwork._ledger import View, open_state
from protectwork._observers import logger
from protectwork._steps import Answered, Call, Demand, Policy, Probe, Send

__all__ = ["Trial", "hindrance", "leased", "probed"]

_PATIENCE_S = 2.5  # for the gate, which others may take for a moment, and for the second between two calls
_NAP_S = 0.05
_NEVER_S = 900.0  # a linger that ends after this process
_LEASE_S = 60.0
_ANSWER_S = 15.0  # for a lease, and for its release; what the workers' patience is says nothing of permissions
_INIT = Path("/proc/1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of it.

    Attributes:
        answer: What ECS said of the change; None when nothing was sent.
        why_not: Why nothing was sent.
        released: Of a lease: whether it was given back.
    """

    answer: Answer | None = None
    why_not: str | None = None
    released: bool = True


def hindrance(view: View) -> str | None:
    """Why nothing may be tried from here; None where it may.

    What has no directory yet gets one made by this process, and the workers' user has to own it: the owner of the
    container's first process is taken for that user.
    """
    if view.available is False:
        return f"this process cannot see the others of the task: {view.reason}"
    if view.directory is None and (user := _owner_of_init()) not in {None, os.geteuid()}:
        return f"run it as the user of the workers: the container's first process is user {user}'s"
    return None


def probed(backend: Backend, *, state_dir: str | None, scope: str) -> Trial:
    """Ask for the state that holds: disable what nothing protects, if nobody works. Blocks for 15 s at most."""
    state = open_state(state_dir=state_dir, endpoint=scope)
    book = Book(Policy(linger_s=_NEVER_S), Random(), now=steady_now)  # noqa: S311 - jitter
    book.open(state, scope=scope)
    try:
        if not state.shared:
            return Trial(why_not=f"this process cannot see the others of the task: {state.trouble}")
        return _probed(backend, book)
    finally:
        book.close()


def _probed(backend: Backend, book: Book) -> Trial:
    nobody, until = Demand(gated=False), steady_now() + _PATIENCE_S
    book.lease.step(steady_now(), Probe())
    while book.lease.acts_by(until) and steady_now() < until:
        sends = [action for action in book.turn(nobody) if isinstance(action, Send)]
        for send in sends:
            answer = called(backend, send, complain=logger.error)
            left_s = None if answer.expires_at is None else answer.expires_at.timestamp() - time.time()
            book.answer(nobody, Answered(answer=answer, left_s=left_s))
            if send.call is Call.DISABLE or answer.outcome is not Outcome.CONFIRMED:
                return Trial(answer=answer)
        if not sends:
            time.sleep(_NAP_S)
    return Trial(why_not="work is in flight, or the task is protected by now")


def leased(backend: Backend, *, settings: Settings, state_dir: str | None, scope: str) -> Trial:
    """Take a lease of a minute, or join the one in force, and give it back if nobody else needs it."""
    state = open_state(state_dir=state_dir, endpoint=scope)
    state.close()
    if not state.shared:  # its release could be that of the others
        return Trial(why_not=f"this process cannot see the others of the task: {state.trouble}")
    settings = replace(settings, lease=_LEASE_S, linger=0, acquire_timeout=_ANSWER_S, retire_when_superseded=False)
    with ProtectionManager(backend, settings=settings) as manager:
        hold = manager.acquire("protectwork doctor --try", on_unprotected="run")
        confirmed, trouble = hold.confirmed, manager.trouble
        hold.release()
        released = manager.drain(_ANSWER_S)
    if confirmed:
        return Trial(answer=Answer(outcome=Outcome.CONFIRMED, protected=True), released=released)
    silence = Answer(outcome=Outcome.UNAVAILABLE, reason=f"no answer within {_ANSWER_S:.0f} s")
    return Trial(answer=trouble or silence, released=released)


def _owner_of_init() -> int | None:
    try:
        return _INIT.stat().st_uid
    except OSError:
        return None
