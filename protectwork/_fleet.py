"""What ECS says of other tasks than this one: any number of them, page by page, with throttling waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Protocol, cast

from protectwork._errors import EcsThrottledError, SettingsError
from protectwork._settings import seconds, shown
from protectwork._types import Seconds, TaskProtections
from protectwork.backends import require_boto3
from protectwork.backends._arns import id_of, region_of
from protectwork.backends._ecs_answers import read_protections
from protectwork.backends._ecs_faults import unusable
from protectwork.backends._given import name_given

__all__ = ["Fleet", "get_task_protection", "pages"]

_PAGE = 100  # tasks in one GetTaskProtection (contract §2)
_CALL_S = 20.0  # boto3's two attempts, and what it takes to load it
_PATIENCE_S = 60.0
_BASE_S, _MOST_S = 1.0, 20.0  # of the pauses between throttled calls, before their jitter
_MOST_PATIENCE_S = 3600.0


class _Api(Protocol):
    def call(self, operation: str, *, deadline_s: float, **parameters: object) -> Mapping[str, object]:
        """Ask, once; raises an EcsError."""
        ...


def get_task_protection(
    cluster: str,
    tasks: Iterable[str],
    *,
    region: str | None = None,
    session: Any = None,
    patience: Seconds = _PATIENCE_S,
) -> TaskProtections:
    """Ask ECS which tasks are protected, and until when; it changes nothing. Takes the extra ``ecs``.

    Any thread may call it. It blocks for as long as its calls take, one for every 100 tasks: each ends after 20 s. The
    account's quota for these calls is shared by all its tasks (contract §4): where it is used up, one waits.

    Args:
        cluster: The cluster, by its name or ARN.
        tasks: Any number of tasks, by their ARN or id; one named twice is asked for once.
        region: The Region; by default that of the cluster's ARN, else that of the session, else ``AWS_REGION``, else
            boto3's own choice: ``AWS_DEFAULT_REGION``, and then the AWS configuration.
        session: A boto3 session of your own, for other credentials than those of the environment.
        patience: How long throttling is waited for in all, in seconds or as a timedelta; 1 min by default.

    Returns:
        Every task once: what ECS says of it, or why it says nothing. A task that has ended is a failure, ``MISSING``.

    Raises:
        SettingsError: An argument is outside its rule, or boto3 is not installed.
        EcsAccessError: There are no credentials, or they have expired, or do not allow ``ecs:GetTaskProtection``.
        EcsRequestError: There is no such cluster, or a task is named in a way that ECS does not understand.
        EcsThrottledError: The quota was used up for longer than `patience`.
        EcsUnavailableError: ECS could not be reached, had a fault, or gave no usable answer.
    """
    patience_s = seconds("patience", patience, low_s=0, high_s=_MOST_PATIENCE_S)
    return Fleet(cluster, region=region, session=session, patience_s=patience_s).protections(tasks)


class Fleet:
    """Questions about one cluster, with throttling waited for; asked by one thread at a time.

    Args:
        cluster: The cluster, by its name or ARN.
        region: The Region; see `get_task_protection`.
        session: A boto3 session of your own.
        patience_s: How long throttling is waited for in all, in seconds.
        random: Where jitter comes from.
        sleep: How one waits.

    Raises:
        SettingsError: An argument is outside its rule, or boto3 is not installed.
    """

    def __init__(
        self,
        cluster: str,
        *,
        region: str | None = None,
        session: Any = None,
        patience_s: float = _PATIENCE_S,
        random: Random | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._cluster = name_given("cluster", cluster)
        self._api = _api(region_of(cluster) if region is None else region, session)
        self._left_s = patience_s
        self._random = Random() if random is None else random  # noqa: S311 - jitter
        self._sleep = sleep

    def ask(self, operation: str, **parameters: object) -> Mapping[str, object]:
        """Ask about the cluster, and give boto3's reply, unchecked.

        Args:
            operation: The name of boto3's method, ``list_tasks`` say.
            parameters: Those of the method beside the cluster.

        Raises:
            EcsError: There is no reply; its subclasses say why.
        """
        pause_s = _BASE_S
        while True:
            try:
                return self._api.call(operation, deadline_s=_CALL_S, cluster=self._cluster, **parameters)
            except EcsThrottledError:
                if self._left_s <= 0:
                    raise
            nap_s = min(pause_s * self._random.uniform(0.5, 1.0), self._left_s)
            self._left_s -= nap_s
            self._sleep(nap_s)
            pause_s = min(pause_s * 2, _MOST_S)

    def protections(self, tasks: Iterable[str]) -> TaskProtections:
        """See `get_task_protection`."""
        asked = _tasks(tasks)
        parts = [self._page(page) for page in pages(asked, _PAGE)]
        return TaskProtections(
            protected_tasks=tuple(entry for part in parts for entry in part.protected_tasks),
            failures=tuple(failure for part in parts for failure in part.failures),
        )

    def _page(self, tasks: Sequence[str]) -> TaskProtections:
        part = read_protections(self.ask("get_task_protection", tasks=list(tasks)))
        if part is None:
            raise unusable("GetTaskProtection", "it has another shape")
        named = [id_of(entry.task_arn) for entry in part.protected_tasks]
        named += [id_of(failure.task_arn) for failure in part.failures if failure.task_arn]
        nameless = sum(failure.task_arn is None for failure in part.failures)
        asked = {id_of(task) for task in tasks}
        if len(named) + nameless != len(asked) or not asked.issuperset(named) or len(set(named)) != len(named):
            detail = f"it speaks of {len(named) + nameless} tasks, and was asked for {len(asked)}, or speaks of others"
            raise unusable("GetTaskProtection", detail)
        return part


def pages(entries: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Part a sequence into such of at most `size`."""
    return (entries[start : start + size] for start in range(0, len(entries), size))


def _api(region: str | None, session: Any) -> _Api:
    require_boto3("questions to the ECS API")
    from protectwork.backends.ecs import EcsApi  # noqa: PLC0415 - it loads an HTTP library

    return EcsApi(region=region, session=session)


def _tasks(tasks: object) -> list[str]:
    rule = "tasks, each by its ARN or id, one at least"
    if isinstance(tasks, str) or not isinstance(tasks, Iterable):
        raise SettingsError(setting="tasks", rule=rule, value=shown(tasks))
    named = [name_given("each of tasks", task) for task in cast("Iterable[object]", tasks)]
    if not named:
        raise SettingsError(setting="tasks", rule=rule, value="none")
    return list({id_of(task): task for task in named}.values())
