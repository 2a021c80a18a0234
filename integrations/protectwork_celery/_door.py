"""The choke point: what stands between a message that has arrived and the pool that runs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from protectwork import UnprotectedError
from protectwork_celery._celery import Request, State, logger
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
        on_refused: Called when a request has been refused; `give_back_refused` is to follow on the consumer's thread,
            once no more messages come.
        on_aside: Called when a request has been set aside; `open` is to follow there when it is settled. It returns
            whether it will.
    """

    def __init__(
        self,
        *,
        hand_over: Callable[[Request], object],
        runs: Runs,
        state: State,
        on_refused: Callable[[], None],
        on_aside: Callable[[], bool],
    ) -> None:
        self._hand_over = hand_over
        self._runs, self._state = runs, state
        self._on_refused, self._on_aside = on_refused, on_aside
        self._aside: deque[tuple[Request, Run]] = deque()
        self._refused: deque[tuple[Request, Run]] = deque()

    def __call__(self, request: Request) -> None:
        """Take one request."""
        try:
            run = self._begin(request)
        except Exception:  # noqa: BLE001 - the job comes first, whatever is wrong with us
            logger.exception("a fault of protectwork: %s[%s] runs unprotected", request.name, request.id)
            run = None
        if run is None:
            self._hand_over(request)
        elif run.hold.confirmed and not self._aside:
            self._let_in(request, run)
        elif self._aside or run.hold.waiting:
            self._aside.append((request, run))
            if not self._on_aside():
                self._pass_all()
        else:
            self._pass(request, run)

    def _begin(self, request: Request) -> Run | None:
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

    def _pass_all(self) -> None:
        while self._aside:
            self._pass(*self._aside.popleft())

    def _pass(self, request: Request, run: Run) -> None:
        try:
            run.hold.require()
        except UnprotectedError as error:
            logger.warning("%s; its message goes back", error)
            self._refused.append((request, run))
            self._on_refused()
            return
        self._let_in(request, run)

    def _let_in(self, request: Request, run: Run) -> None:
        run.handed = True
        self._hand_over(request)

    def give_back_refused(self) -> None:
        """Return what was refused."""
        self._give_back_all(self._refused)

    def give_back_all(self) -> None:
        """Return what stands aside too, for the worker is going down."""
        self._give_back_all(self._refused)
        self._give_back_all(self._aside)

    def forget_all(self) -> None:
        """Drop what has not passed: its connection is gone, and the broker delivers it again."""
        for requests in (self._refused, self._aside):
            while requests:
                _, run = requests.popleft()
                self._runs.end(run)

    def _give_back_all(self, requests: deque[tuple[Request, Run]]) -> None:
        while requests:
            self._give_back(*requests.popleft())

    def _give_back(self, request: Request, run: Run) -> None:
        self._runs.end(run)
        try:
            request.reject(requeue=True)
        finally:
            self._state.task_ready(request)
