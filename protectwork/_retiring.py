"""Has a task that is to go take no new work: asks what is to be asked, and acts on the answer (EFFECTS)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from protectwork._admission import Admission
from protectwork._clock import Clock
from protectwork._errors import EcsAccessError, EcsError, EcsRequestError, MetadataError, SettingsError
from protectwork._forks import forgets_on_fork
from protectwork._keeper import Keeper
from protectwork._observers import Once
from protectwork._retirement import STOPPING, SUPERSEDED, Question, Retirement
from protectwork._steps import Random
from protectwork._watch import Watch
from protectwork.backends import boto3_missing

if TYPE_CHECKING:  # loaded only when they are needed, on the thread that looks
    from protectwork.backends._deployments import Deployments
    from protectwork.backends.metadata import TaskMetadata

__all__ = ["Retiring"]

_BLIND = "retire_when_superseded does not see whether ECS is stopping this task"
_UNSURE = "retire_when_superseded does not see whether a newer deployment is primary"


class Retiring:
    """Closes admission while the task is to go, and has its lease not linger; opens it again when it may stay.

    A thread of its own asks, which begins with the keeper's; so neither the keeper nor any work waits for an answer.
    What cannot be asked is told once, and not asked any more. In a forked child it begins anew.

    Args:
        keeper: Whose lease it is, and who knows whether there is work.
        admission: What is closed.
        clock: Where time comes from.
        random: Where jitter comes from.
        allow_endpoint: Where the metadata endpoint may be, beside loopback, link-local and private addresses.
        environ: Where its address is looked up; that of this process when not given.
    """

    def __init__(
        self,
        keeper: Keeper,
        admission: Admission,
        *,
        clock: Clock,
        random: Random,
        allow_endpoint: tuple[str, ...] = (),
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._keeper, self._admission = keeper, admission
        self._random, self._environ, self._allow_endpoint = random, environ, allow_endpoint
        self._watch = Watch(self._look, name="retirement", alarm=clock.alarm)
        self._once = Once()
        self.forget_parent()
        forgets_on_fork(self)

    def forget_parent(self) -> None:
        """Begin with nothing asked."""
        self._retirement: Retirement | None = None
        self._task: TaskMetadata | None = None
        self._deployments: Deployments | None = None
        self._once.forget_parent()

    def ring(self) -> None:
        """Have it look soon; the first time, begin. Never blocks; for one thread at a time."""
        if self._retirement is None or self._retirement.asks:
            self._watch.start()
            self._watch.ring()

    def end(self) -> None:
        """The manager is closed: look no more. Never blocks."""
        self._watch.ring()

    def _look(self) -> float | None:
        keeper = self._keeper
        if keeper.closed:
            return None
        it = self._retirement = self._retirement or Retirement(self._random, now=keeper.now())
        match it.question(keeper.now(), keeper.sight()):
            case Question.TASK:
                self._read_task(it)
            case Question.DEPLOYMENT:
                self._ask_about_deployment(it)
            case None:
                pass
        self._apply(it)
        return max(it.due - keeper.now(), 0.0) if it.asks else None

    def _apply(self, it: Retirement) -> None:
        standing = it.reasons(self._keeper.sight())
        for reason in (SUPERSEDED, STOPPING):
            if reason in standing:
                self._admission.close(reason)
            else:
                self._admission.reopen(reason)
        self._keeper.linger(wanted=not standing)

    def _read_task(self, it: Retirement) -> None:
        from protectwork.backends.metadata import read_task_metadata  # noqa: PLC0415 - loads httpx

        try:
            self._task = read_task_metadata(self._environ, allow_endpoint=self._allow_endpoint)
        except SettingsError as error:
            trouble, it.asks = f"{_BLIND}, and is off: {error}", frozenset()
        except MetadataError as error:
            trouble = f"{_BLIND} for now: {error}"
        else:
            it.stopping = self._task.stopping
            return
        self._once.log(trouble)

    def _ask_about_deployment(self, it: Retirement) -> None:
        if missing := boto3_missing():
            self._ask_no_more(it, missing)
            return
        if self._task is None:
            self._read_task(it)
        if self._task is None or not self._keeper.stand(lambda standing: standing.claimed(self._keeper.now())):
            return  # another process was first: its answer is this one's too
        heard = self._heard(self._task)
        for_good = isinstance(heard, EcsAccessError | EcsRequestError)
        if isinstance(heard, EcsError) and not for_good:
            self._once.log(f"{_UNSURE} for now: {heard}")
            return
        # Where nobody may ask any more, nobody could take back what was answered before.
        self._keeper.stand(lambda standing: standing.answered(superseded=heard is True))
        if for_good:
            self._ask_no_more(it, str(heard))

    def _heard(self, task: TaskMetadata) -> bool | EcsError:
        """Whether the task is superseded, or why that is not known."""
        from protectwork.backends._deployments import Deployments  # noqa: PLC0415 - this and boto3: only when refused
        from protectwork.backends.ecs import EcsApi  # noqa: PLC0415

        if self._deployments is None:
            self._deployments = Deployments(EcsApi(region=task.region), task)
        try:
            return self._deployments.superseded()
        except EcsError as error:
            return error

    def _ask_no_more(self, it: Retirement, why: str) -> None:
        it.asks -= {Question.DEPLOYMENT}
        self._once.log(f"{_UNSURE}, and asks no more: {why}")
