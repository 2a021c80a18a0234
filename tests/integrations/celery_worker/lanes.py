"""Plays cells of the matrix one after another on the workers of one pool, and judges each by the agent's timeline.

A task is released three times at once, and then once in five minutes. So a worker serves cells, idle and released
between them, as long as its task has releases left for the next one; then a fresh worker takes over, with an agent and
a state directory of its own. Each cell has its own release that way, and what it leaks shows in itself and in no other.
"""

from __future__ import annotations

import traceback
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from integrations.celery_worker.journal import Run
from integrations.celery_worker.matrix import Cell, SetUp
from integrations.celery_worker.redis_server import RedisServer
from integrations.celery_worker.scene import Scene
from integrations.celery_worker.workers import BOUND_S, LINGER_S, Worker

from protectwork.testing import Call, FakeAgent

LOOK_S, CALL_S = 2.0, 6.0
SOON_ENOUGH_S = 1.25 * LINGER_S + LOOK_S + CALL_S
"""As it is promised: so many workers at once keep each other from the processor."""
_RELEASES_AT_ONCE = 3
_LOG_AT_MOST = 6000


@dataclass(kw_only=True)
class Verdict:
    """How a cell went: its figures for people, and what was wrong."""

    figures: str = "it was not played to its end"
    faults: list[str] = field(default_factory=list)


class Lane:
    """The cells of one pool, or some of them, one after another.

    Args:
        directory: An empty one, or one that it may make.
        server: Where its workers find their queues.
        adapter: Whether the adapter is installed in them.
    """

    def __init__(self, directory: Path, *, server: RedisServer, adapter: bool = True) -> None:
        self._directory, self._server, self._adapter = directory, server, adapter
        self._workers = 0
        self._worker: Worker | None = None
        self._set_up = SetUp()

    def play(self, cells: list[Cell]) -> dict[Cell, Verdict]:
        """Play them all, whatever comes of each."""
        with ExitStack() as stack:
            return {cell: self._play(cell, stack) for cell in cells}

    def _play(self, cell: Cell, stack: ExitStack) -> Verdict:
        verdict = Verdict()
        try:
            scene = Scene.begin(self._worker_for(cell, stack), server=self._server)
            cell.event.act(scene)
            _judge(cell, scene, verdict)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this cell's, and the others are played
            verdict.faults.append("".join(traceback.format_exception(error, limit=-2)))
        if verdict.faults and self._worker:
            verdict.faults.append(self._worker.log()[-_LOG_AT_MOST:])
        if verdict.faults or cell.ends:
            self._worker = None  # not to be trusted any more, or gone
            stack.close()
        return verdict

    def _worker_for(self, cell: Cell, stack: ExitStack) -> Worker:
        if self._worker and self._may_serve(self._worker, cell):
            # What comes while a release is under way begins in a timer, from which no body ends a solo worker.
            self._worker.until(self._worker.knows_of_its_releases, what="it knows of its last release")
            return self._worker
        stack.close()
        self._workers += 1
        agent = stack.enter_context(FakeAgent())
        self._set_up = set_up = cell.event.set_up
        self._worker = stack.enter_context(
            Worker(
                self._server.database(),
                self._directory / f"{cell.pool}-{self._workers}",
                agent=agent,
                pool=cell.pool,
                options=set_up.options,
                conf=set_up.conf,
                environ=set_up.environ,
                adapter=self._adapter,
            )
        )
        return self._worker

    def _may_serve(self, worker: Worker, cell: Cell) -> bool:
        enough_left = len(worker.agent.disables) + cell.event.releases <= _RELEASES_AT_ONCE
        return enough_left and self._set_up == cell.event.set_up


def _judge(cell: Cell, scene: Scene, verdict: Verdict) -> None:
    worker, agent = scene.worker, scene.worker.agent
    if cell.ends:
        worker.ended()
    released = agent.wait_until(lambda: not agent.protected, timeout_s=BOUND_S)
    runs = scene.runs
    after_s = agent.changes[-1].time - max(run.last for run in runs) if runs and agent.changes else 0.0
    calls = Counter(call.call for call in agent.calls if call.time >= scene.since)
    enables, disables = calls[Call.ENABLE], calls[Call.DISABLE]
    verdict.figures = f"bodies: {len(runs)}, calls: {enables} + {disables}, released after {after_s:.2f} s"
    verdict.faults += [_exposed(run, agent) for run in runs if not agent.was_protected(run.start, run.last)]
    facts = {
        f"{len(runs)} bodies ran; expected {cell.event.runs}": len(runs) == cell.event.runs,
        f"not released within {BOUND_S:g} s": released,
        f"released {after_s:.2f} s after the last body; at most {SOON_ENOUGH_S:g} s": after_s <= SOON_ENOUGH_S,
        f"{enables} enables; expected 1 to {cell.event.releases}": 1 <= enables <= cell.event.releases,
        f"{enables} enables, but {disables} disables": enables == disables,
        f"{calls[Call.GET]} GETs; one is enough for a start": calls[Call.GET] <= 1,
        "the worker has ended": cell.ends or worker.exit_code is None,
    }
    verdict.faults += [fault for fault, good in facts.items() if not good]


def _exposed(run: Run, agent: FakeAgent) -> str:
    spans = (f"{span.end - span.start:.3f} s" for span in agent.unprotected_spans(run.start, run.last))
    return f"a body ran unprotected: {run.name}[{run.id}] for {', '.join(spans)}"
