"""The choke point: what stands between a message that has arrived and the pool that runs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from protectwork import UnprotectedError
from protectwork_celery._celery import Request, State, logger
from protectwork_celery._intake import Intake
from protectwork_celery._runs import Run, Runs

__all__ = ["Door"]

_PATIENCE_S = 0.05  # for how long the consumer may stand still, which has heartbeats to send


class Door:
    """Hands a request to the pool when the task is protected, and not before.

    It takes the place of `consumer.on_task_request`, through which every request comes right before it is handed
    over: at once, when its time has come, or when its rate allows. With a confirmed lease it hands on at once. Without,
    requests stand aside, in order, until ECS has said or `acquire_timeout` is over. Requests come on the consumer's
    own thread, or on that of Celery's timer; what is said of those that stand aside, on the consumer's.

    Args:
        hand_over: What the door stands before.
        deserves: Whether runs of the Celery task of that name are to be protected.
    """

    def __init__(
        self,
        *,
        hand_over: Callable[[Request], object],
        runs: Runs,
        intake: Intake,
        state: State,
        deserves: Callable[[str], bool],
        on_refused: Callable[[], None],
        on_aside: Callable[[], None],
    ) -> None:
        self._hand_over = hand_over
        self._runs, self._intake, self._state, self._deserves = runs, intake, state, deserves
        self._on_refused, self._on_aside = on_refused, on_aside
        self._aside: deque[tuple[Request, Run]] = deque()

    def __call__(self, request: Request) -> None:
        """Take one request."""
        try:
            run = self._begin(request)
        except Exception:  # noqa: BLE001 - the job comes first, whatever is wrong with us
            logger.exception("a fault of protectwork: %s[%s] runs unprotected", request.name, request.id)
            run = None
        if run is None:
            self._hand_over(request)
        elif self._aside or run.hold.waiting:
            self._aside.append((request, run))
            self._on_aside()
        else:
            self._pass(request, run)

    def _begin(self, request: Request) -> Run | None:
        if not self._deserves(request.task.name):
            return None
        return self._runs.begin(request, timeout_s=0.0 if self._aside else _PATIENCE_S)

    @property
    def has_some_aside(self) -> bool:
        """Whether requests stand aside; any thread may ask."""
        return bool(self._aside)

    def is_settled(self) -> bool:
        """Whether the first of those that stand aside need not wait any longer; any thread may ask."""
        try:
            _, run = self._aside[0]
        except IndexError:
            return False
        return not run.hold.waiting

    def open(self) -> None:
        """Let those pass for which ECS has said, in order."""
        while self.is_settled():
            self._pass(*self._aside.popleft())

    def _pass(self, request: Request, run: Run) -> None:
        try:
            run.hold.require()
        except UnprotectedError as error:
            logger.warning("%s; its message goes back", error)
            self._on_refused()  # closes admission: what goes back must not come again at once
            self._intake.apply()
            self._give_back(request, run)
            return
        run.handed = True
        self._hand_over(request)

    def give_back_all(self) -> None:
        """Return what stands aside, for the worker is going down."""
        while self._aside:
            self._give_back(*self._aside.popleft())

    def forget_all(self) -> None:
        """Drop what stands aside: its connection is gone, and the broker delivers it again."""
        while self._aside:
            _, run = self._aside.popleft()
            self._runs.end(run)

    def _give_back(self, request: Request, run: Run) -> None:
        self._runs.end(run)
        try:
            request.reject(requeue=True)
        finally:
            self._state.task_ready(request)
