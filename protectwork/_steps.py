"""What goes into a step of the lease machine, and what comes out: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Protocol

from protectwork._events import Event
from protectwork._types import Answer

__all__ = [
    "Action",
    "Answered",
    "Call",
    "Demand",
    "Died",
    "HoldBegan",
    "Identity",
    "Input",
    "Linger",
    "Made",
    "Policy",
    "Probe",
    "Random",
    "Retire",
    "Send",
    "Start",
    "Tell",
    "Tick",
]


class Random(Protocol):
    """The source of jitter; `random.Random` is one."""

    def uniform(self, a: float, b: float, /) -> float:
        """A number between `a` and `b`."""
        ...


class Call(StrEnum):
    """The three calls."""

    ENABLE = "enable"
    DISABLE = "disable"
    GET = "get"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the user chose, in seconds; and how long a minute of protection lasts, which is 60 s but in a lab."""

    lease_s: float = 7200.0
    linger_s: float = 30.0
    acquire_timeout_s: float = 15.0
    minute_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this process is among those that share the record.

    Attributes:
        owner: Its random id.
        container: What names its container; empty when the process is alone.
        boot: The boot of the machine that its clock counts from.
        watches: Other processes may change the record: it is to be read anew from time to time.
        vigilant: It does nothing else: it never sleeps through a change.
        releases: It may end protection: nobody is in this task of whom it cannot know whether they work.
    """

    owner: str = ""
    container: str = ""
    boot: str = ""
    watches: bool = False
    vigilant: bool = False
    releases: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Who is busy, as a state and never as a change: whatever was missed between two steps is made good by the next.

    Attributes:
        in_flight: The number of holds.
        oldest: When the oldest hold began.
        idle_since: When the last hold ended, while none is in flight.
        work_until: The latest declared end of a hold; -inf when none declared one.
        gated: This process stands in the gate: nobody can end protection. Without it nothing is confirmed.
        others: Another process was found in the gate, while this one is not.
        barred: That one has seized it, to end protection: nobody else can get in now.
    """

    in_flight: int = 0
    oldest: float = inf
    idle_since: float = -inf
    work_until: float = -inf
    gated: bool = True
    others: bool = False
    barred: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed. Only this event makes the machine send."""

    demand: Demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """An adapter started before there is work: find out what an earlier container left behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldBegan:
    """A hold began that the lease does not simply cover; `until` is its declared end, or -inf.

    What the others declared is not looked at before the next `Tick`.
    """

    demand: Demand
    until: float = -inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The call in flight came to an answer; `left_s` is ECS's `ExpirationDate` less the wall time, if it gave one."""

    answer: Answer
    left_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Died:
    """Some of the processes whose answers are awaited were found dead."""

    owners: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retire:
    """The task is to go: release as soon as nothing is in flight, without lingering."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linger:
    """Whether the lease is kept for a while when the work is over; not while this task makes room for a newer one.

    The governor stands in the way of releases as before: work may come all the same, and go.
    """

    wanted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Find out whether ECS lets this task be changed: disable it once while nothing protects it, and nobody holds.

    What is not known is asked for before. The governor does not count it, for it is no release.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Make this call now; `minutes` is 0 unless it enables."""

    call: Call
    minutes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Tell the observers."""

    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The call under way.

    Attributes:
        call: Which one.
        minutes: The length asked for; 0 unless it enables.
        sent_at: When it was entered.
        number: Its place among the writes; of a GET, that of the last write before it.
        again_at: Of an enable: when a much shorter one that was open beside it has landed.
        beside: Of a GET: the writes that were open when it was sent.
    """

    call: Call
    minutes: int
    sent_at: float
    number: int
    again_at: float = inf
    beside: frozenset[int] = frozenset()


Input = Tick | Start | HoldBegan | Answered | Died | Retire | Linger | Probe
Action = Send | Tell
