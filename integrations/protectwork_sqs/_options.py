"""What a consumer is told, checked in one place before anything is received."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import isasyncgen, isasyncgenfunction, isawaitable, iscoroutinefunction, isgenerator, isgeneratorfunction
from typing import Any, Literal, TypedDict
from urllib.parse import SplitResult, urlsplit

from protectwork import ProtectionManager, SettingsError
from protectwork.adapters import Seconds, is_one_of, printable, seconds, shown

__all__ = ["ConsumingOptions", "Options", "check_client", "check_concurrency", "check_handler", "check_result"]

OnFailure = Literal["leave", "return"]
WhenRefused = Literal["run", "pause"]

_LONGEST_WORK_S = 48 * 3600.0
_MOST_CONCURRENT = 1000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}(\.fifo)?", re.ASCII)
_NO_URL = "the URL of a queue, such as https://sqs.us-east-1.amazonaws.com/123456789012/jobs"
_OF_AWS = re.compile(r"(^|\.)amazonaws\.com(\.cn)?$", re.ASCII)  # emulators have paths of their own
_ACCOUNT = re.compile(r"/[0-9]{12}", re.ASCII)
_OPERATIONS = ("receive_message", "delete_message_batch", "change_message_visibility_batch")


class ConsumingOptions(TypedDict, total=False):
    """The keyword arguments that all ways of consuming share.

    Attributes:
        wait_time: For how long a receipt waits for a message, 0 to 20 whole seconds, 5 by default. The end may have to
            wait for that. With 0 an empty receipt is followed by 0.2 s of rest.
        visibility_timeout: After how long a message of a process that died is visible again, 1 to 43,200 whole seconds,
            60 by default. While it is in hand it is extended by that time, whenever half of it is over, up to SQS's
            limit of 12 h.
        on_failure: A message that failed is left (``"leave"``, the default), to be visible when its time-out ends, or
            returned (``"return"``): visible at once.
        strict: Have the task protected before anything is received, not after. A worker for which nothing comes then
            receives nothing for a while now and then, longer than it was protected for nothing, so that ECS can stop
            it; not while other work of the process keeps the task protected.
        when_refused: While ECS refuses to protect the task, ``"pause"``: what has not started goes back at once, and
            nothing is received; or ``"run"``. By default what the manager's settings say, else pause. Where one
            consumer of a process pauses, all of them do: the strictest wins.
        label: What the holds are called, with the id of the message; the name of the queue by default.
        max_duration: An upper bound on how long a message is worked on: see `protectwork.protect`.
        give_up_after: For how long receipts may fail, in seconds, 300 by default, before `QueueError` is raised; 60 s
            at most where SQS says that the queue is gone, or not ours to use.
        manager: The process's own by default.
    """

    wait_time: Seconds
    visibility_timeout: Seconds
    on_failure: OnFailure
    strict: bool
    when_refused: WhenRefused | None
    label: str | None
    max_duration: Seconds | None
    give_up_after: Seconds
    manager: ProtectionManager | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The same, checked."""

    queue_url: str
    batch_size: int
    wait_s: int
    visibility_s: int
    on_failure: OnFailure
    strict: bool
    when_refused: WhenRefused | None
    label: str
    max_duration_s: float | None
    give_up_after_s: float
    manager: ProtectionManager | None

    @classmethod
    def given(
        cls, to: str, queue_url: object, options: Mapping[str, Any], *, besides: Iterable[str], **more: object
    ) -> Options:
        """The same as `of`, for options that were given to `to`, which takes arguments `besides`.

        Raises:
            SettingsError: One is outside its rule.
            TypeError: There is no such option.
        """
        if unknown := sorted(set(options) - set(ConsumingOptions.__annotations__)):
            takes = ", ".join(sorted({*ConsumingOptions.__annotations__, *besides}))
            raise TypeError(f"{to} takes no argument {unknown[0]!r}; beside queue_url it takes {takes}")
        return cls.of(queue_url, **options, **more)

    @classmethod
    def of(
        cls,
        queue_url: object,
        *,
        batch_size: object = 10,
        wait_time: object = 5,
        visibility_timeout: object = 60,
        on_failure: Any = "leave",
        strict: Any = False,
        when_refused: Any = None,
        label: object = None,
        max_duration: object = None,
        give_up_after: object = 300,
        manager: Any = None,
    ) -> Options:
        """Check the arguments, which may be anything.

        Raises:
            SettingsError: One is outside its rule.
        """
        for setting, value, choices in (
            ("on_failure", on_failure, ("leave", "return")),
            ("when_refused", when_refused, ("run", "pause", None)),
        ):
            if not is_one_of(value, *choices):
                raise SettingsError(setting=setting, rule=" or ".join(map(repr, choices)), value=shown(value))
        for setting, value, kind, rule in (
            ("strict", strict, bool, "True or False"),
            ("label", "" if label is None else label, str, "a string"),
        ):
            if not isinstance(value, kind):
                raise SettingsError(setting=setting, rule=rule, value=shown(value))
        if manager is not None and not isinstance(manager, ProtectionManager):
            raise SettingsError(setting="manager", rule="a ProtectionManager", value=shown(manager))
        url = _queue_url(queue_url)
        return cls(
            queue_url=url,
            batch_size=_whole("batch_size", batch_size, low=1, high=10),
            wait_s=_whole_seconds("wait_time", wait_time, low=0, high=20),
            visibility_s=_whole_seconds("visibility_timeout", visibility_timeout, low=1, high=43_200),
            on_failure=on_failure,
            strict=strict,
            when_refused=when_refused,
            label=printable(url.rpartition("/")[2] if label is None else str(label)),
            max_duration_s=None
            if max_duration is None
            else seconds("max_duration", max_duration, low_s=0.001, high_s=_LONGEST_WORK_S),
            give_up_after_s=seconds("give_up_after", give_up_after, low_s=0, high_s=86_400),
            manager=manager,
        )


def check_concurrency(concurrency: object) -> int:
    """How many messages are handled at once.

    Raises:
        SettingsError: It is no whole number from 1 to 1000.
    """
    return _whole("concurrency", concurrency, low=1, high=_MOST_CONCURRENT)


def check_client(client: object, *, asynchronous: bool | None = None) -> None:
    """Refuse what is no client of SQS, or one of the other kind.

    Args:
        client: What was given.
        asynchronous: Whether it is to be one of aiobotocore; None: either.

    Raises:
        SettingsError: It cannot be used here.
    """
    made_by = "session.create_client('sqs') of aiobotocore" if asynchronous else "boto3.client('sqs')"
    if not all(callable(getattr(client, operation, None)) for operation in _OPERATIONS) or isinstance(client, type):
        raise SettingsError(setting="client", rule=f"a client of SQS, as {made_by} gives", value=shown(client))
    if asynchronous is None:
        return
    if is_asynchronous(client) is not asynchronous:
        remedy = "with one of boto3 use `for`, `with` and SQSConsumer; with one of aiobotocore their async twins"
        rule = f"a client as {made_by} gives, here"
        raise SettingsError(setting="client", rule=rule, value=shown(client), remedy=remedy)


def is_asynchronous(client: object) -> bool:
    """Whether its operations are coroutines."""
    call = getattr(client, "_make_api_call", None) or getattr(client, "receive_message", None)
    return iscoroutinefunction(call)


def check_handler(handler: Any, *, asynchronous: bool) -> Callable[..., Any]:
    """Refuse what cannot be called with a message, or is of the other kind.

    Raises:
        SettingsError: It is no such function.
    """
    wanted = "an async function" if asynchronous else "a function"
    if not callable(handler):
        raise SettingsError(setting="handler", rule=f"{wanted} that takes the message", value=shown(handler))
    function: Any = handler
    while isinstance(function, partial):
        function = function.func  # pyright: ignore[reportUnknownMemberType] - it may be anything
    if isgeneratorfunction(function) or isasyncgenfunction(function):
        rule = f"{wanted} that takes the message, and no generator: nothing would run it"
        raise SettingsError(setting="handler", rule=rule, value=shown(handler))
    if (iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))) is not asynchronous:  # noqa: B004 - an object may be called, too
        other = "SQSConsumer takes the others" if asynchronous else "AsyncSQSConsumer takes those that are async"
        raise SettingsError(
            setting="handler", rule=f"{wanted} that takes the message", value=shown(handler), remedy=other
        )
    call: Callable[..., Any] = handler
    return call


def check_result(result: object) -> None:
    """Refuse what a handler gives that has not run yet: with it, the message is not handled.

    Raises:
        TypeError: It is a coroutine or a generator, say.
    """
    if isawaitable(result) or isgenerator(result) or isasyncgen(result):
        raise TypeError(f"the handler returned a {type(result).__name__}, which nothing runs")


def _queue_url(value: object) -> str:
    wrong = _wrong_with_url(value) if isinstance(value, str) else _NO_URL
    if wrong is None:
        return str(value)
    remedy = "client.get_queue_url(QueueName=…)['QueueUrl'] tells it"
    raise SettingsError(setting="queue_url", rule=wrong, value=shown(value), remedy=remedy)


def _wrong_with_url(text: str) -> str | None:
    """The rule that it breaks, if it does."""
    parts = _parts(text)
    if parts is None:
        return _NO_URL
    account, _, name = parts.path.rpartition("/")
    if parts.query or parts.fragment:
        return "a queue's URL alone, without what follows a ? or #"
    if account and not name:
        return "without a slash at its end"
    if _OF_AWS.search(str(parts.hostname)) and not _ACCOUNT.fullmatch(account):
        return f"{_NO_URL}: with AWS it is /, the account's twelve digits, / and the queue's name"
    return None if _NAME.fullmatch(name) else _NO_URL


def _parts(text: str) -> SplitResult | None:
    """The parts of a URL of the web; None if it is none."""
    if not text.isprintable() or " " in text:  # what is left of a line's end, say, which urlsplit would strip
        return None
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return None
    return parts if parts.scheme in {"http", "https"} and host else None


def _whole(setting: str, value: object, *, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingsError(setting=setting, rule=f"a whole number from {low} to {high}", value=shown(value))
    return value


def _whole_seconds(setting: str, value: object, *, low: int, high: int) -> int:
    value_s = seconds(setting, value, low_s=low, high_s=high)
    if not value_s.is_integer():
        raise SettingsError(setting=setting, rule="whole seconds, for SQS knows no others", value=f"{value_s:g} s")
    return int(value_s)
