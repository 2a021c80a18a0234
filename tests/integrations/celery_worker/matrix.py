"""The matrix: every pool of Celery meets every event that can befall it, or it is said why it cannot."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from integrations.celery_worker import events
from integrations.celery_worker.journal import LONG_S
from integrations.celery_worker.scene import Scene
from integrations.celery_worker.workers import Pool

WHOLE = os.environ.get("WHOLE_MATRIX") == "1"
"""Whether all of it is played, or a part; see `whole.py`."""

POOLS: tuple[Pool, ...] = get_args(Pool)


@dataclass(frozen=True, kw_only=True)
class SetUp:
    """What a worker needs beyond the ordinary for an event; workers that need the same serve one after another."""

    options: tuple[str, ...] = ()
    conf: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One row of the matrix.

    Attributes:
        name: Its name.
        act: Has it happen; see `events.py`.
        in_suite: The pools in which the suite plays it; the first letters of their names.
        runs: How many bodies are to run.
        releases: How often the task may be released. Once, where work is in flight all the time; where it pauses, a
            busy machine may make the pause longer than the linger.
        ends: The pools in which it ends the worker, in the same way as `in_suite`.
        set_up: What its worker needs.
        excluded: The pools that it cannot befall, and why.
    """

    name: str
    act: Callable[[Scene], None]
    in_suite: str
    runs: int = 1
    releases: int = 1
    ends: str = ""
    set_up: SetUp = SetUp()
    excluded: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Cell:
    """One event in one pool."""

    pool: Pool
    event: Event

    def __repr__(self) -> str:
        return f"{self.pool}-{self.event.name}"

    @property
    def why_not(self) -> str | None:
        """Why it is not applicable; None if it is."""
        return self.event.excluded.get(self.pool)

    @property
    def ends(self) -> bool:
        """Whether it ends the worker."""
        return self.pool[0] in self.event.ends

    @property
    def chosen(self) -> bool:
        """Whether it belongs to what is played now."""
        return not self.why_not and (WHOLE or self.pool[0] in self.event.in_suite)


def _all_but_prefork(why: str) -> dict[str, str]:
    return dict.fromkeys(("threads", "gevent", "eventlet", "solo"), why)


_ALL = "".join(pool[0] for pool in POOLS)
_SOLO = "s"  # there Celery stumbles over such an exception, with the adapter or without
_NO_CHILD = _all_but_prefork("there is no child: the body runs in the worker's only process, which would end with it")
_NO_LIMIT = "the pool knows no time limits"
_NO_END = "the pool cannot end a body"

EVENTS = (
    Event(name="success", act=events.success, in_suite="s"),
    Event(name="exception", act=events.exception, in_suite="g"),
    Event(name="retry", act=events.retry, in_suite="t", runs=2, releases=2),
    Event(name="Reject", act=events.reject, in_suite="p", runs=2, releases=2),
    Event(name="Ignore", act=events.ignore, in_suite="t"),
    Event(name="SystemExit", act=events.system_exit, in_suite="p", ends=_SOLO),
    Event(name="BaseException", act=events.base_exception, in_suite="t", ends=_SOLO),
    Event(name="kill -9 of the child", act=events.kill_of_the_child, in_suite="p", excluded=_NO_CHILD),
    Event(name="os._exit", act=events.os_exit, in_suite="p", excluded=_NO_CHILD),
    Event(
        name="hard limit",
        act=events.hard_limit,
        in_suite="g",
        excluded=dict.fromkeys(("threads", "eventlet", "solo"), _NO_LIMIT),
    ),
    Event(
        name="soft limit",
        act=events.soft_limit,
        in_suite="p",
        excluded=_all_but_prefork(_NO_LIMIT) | {"gevent": "the pool knows hard time limits only"},
    ),
    Event(
        name="revoke terminate",
        act=events.revoke_terminate,
        in_suite="e",
        excluded={"threads": _NO_END, "solo": "the worker reads no command while a body runs"},
    ),
    Event(name="unpicklable result", act=events.unpicklable_result, in_suite="p"),
    Event(name="ETA", act=events.eta, in_suite="s"),
    Event(name="rate limit", act=events.rate_limit, in_suite="t", runs=3, releases=3),
    Event(name="chord", act=events.chord_of_three, in_suite="s", runs=5, releases=2),
    Event(name="group of 200 short jobs", act=events.group_of_200, in_suite="t", runs=200, releases=2),
    Event(name="broker connection drop", act=events.broker_connection_drop, in_suite="t", runs=2, releases=2),
    Event(
        name="max-tasks-per-child",
        act=events.max_tasks_per_child,
        in_suite="p",
        runs=3,
        releases=3,
        set_up=SetUp(options=("--max-tasks-per-child", "1")),
        excluded=_NO_CHILD,
    ),
    Event(
        name="autoscale up and down",
        act=events.autoscale,
        in_suite="p",
        runs=3,
        set_up=SetUp(options=("--autoscale", "3,1"), environ={"AUTOSCALE_KEEPALIVE": "1"}),
        excluded=dict.fromkeys(("threads", "solo"), "the pool cannot grow"),
    ),
    Event(name="warm shutdown", act=events.warm_shutdown, in_suite="p", ends=_ALL),
    Event(name="cold shutdown", act=events.cold_shutdown, in_suite="t", ends=_ALL),
    Event(
        name="soft shutdown",
        act=events.soft_shutdown,
        in_suite="e",
        ends=_ALL,
        # In prefork the main process is deaf for so long, and hears of the body's end after that.
        set_up=SetUp(conf={"worker_soft_shutdown_timeout": LONG_S + 1.0}),
    ),
)

CELLS = tuple(Cell(pool=pool, event=event) for pool in POOLS for event in EVENTS)
