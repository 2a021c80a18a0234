"""A storm over one queue: messages of random length, of which some fail, and workers that are stopped and replaced."""

from __future__ import annotations

import signal
from random import Random

from integrations.sqs.accountant import Accounts
from integrations.sqs.program import Order, Shape
from integrations.sqs.scene import Scene
from integrations.sqs.wire import BOUND_S
from integrations.sqs.workers import Worker
from processes.soak import TIMES

MESSAGES = 200 * TIMES
STOPS = 3 * TIMES
CONCURRENCY = 8
VISIBILITY_S = 4
_RUN_S = (0.0, 0.15)
_FAILING = 0.1
_BACKLOG = 3 * CONCURRENCY  # what a server does for a receipt grows with what is in its queue
_STEP = CONCURRENCY


class Storm:
    """One that rages until all its messages are settled.

    Args:
        scene: The queue and the task.
        shape: How they consume.
        seed: What it is like.

    Attributes:
        ids: The messages.
        codes: What the workers ended with.
    """

    def __init__(self, scene: Scene, shape: Shape, *, seed: int) -> None:
        self._scene, self._shape, self._random = scene, shape, Random(seed)
        self.ids: list[str] = []
        self.codes: list[int] = []

    def rage(self) -> None:
        """Until all of them are settled, and all workers have ended."""
        stops = sorted(self._random.sample(range(MESSAGES // 10, MESSAGES - MESSAGES // 10), STOPS))
        workers = [self._start()]
        while (settled := self._scene.wire.deleted) < MESSAGES:
            if stops and settled >= stops[0]:
                del stops[0]
                workers[-1].signal(signal.SIGTERM)
                workers.append(self._start())  # while the other finishes what it does
            self._send_up_to(settled + _BACKLOG)
            self._scene.settled(min(settled + _STEP, MESSAGES), workers=workers[-1:], bound_s=BOUND_S * TIMES)
        workers[-1].signal(signal.SIGTERM)
        self.codes = [worker.ended() for worker in workers]

    def figures(self, accounts: Accounts) -> str:
        """What it was like, for people."""
        failed = sum(run.remarks.get("result") == "failed" for run in accounts.runs)
        return (
            f"{len(self.ids)} messages, {len(self.codes)} workers, {len(accounts.runs)} runs of which {failed} failed, "
            f"{len(accounts.receipts)} receipts, {len(self._scene.agent.calls)} calls to ECS"
        )

    def _start(self) -> Worker:
        plan = self._scene.plan(
            self._shape,
            concurrency=CONCURRENCY,
            visibility_timeout=VISIBILITY_S,
            on_failure=self._random.choice(("leave", "return")),
        )
        return self._scene.worker(plan)

    def _send_up_to(self, number: int) -> None:
        missing = min(number, MESSAGES) - len(self.ids)
        self.ids += self._scene.send(*(self._order() for _ in range(missing)))

    def _order(self) -> Order:
        fails = tuple(receipt for receipt in (1, 2) if self._random.random() < _FAILING)
        return Order(run_s=self._random.uniform(*_RUN_S), fails=fails)
