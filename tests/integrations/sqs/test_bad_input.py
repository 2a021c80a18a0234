"""What is wrong is told before anything is received, with value, rule and remedy."""

from __future__ import annotations

import asyncio
import functools
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from integrations.sqs.program import async_client, client
from integrations.sqs.wire import Wire
from protectwork_sqs import AsyncSQSConsumer, Message, QueueError, SQSConsumer, protected_batches, protected_messages

from protectwork import ProtectionManager, Settings, SettingsError

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/jobs"
NOWHERE = "http://127.0.0.1:1"


def handle(message: Message) -> None: ...


async def handle_async(message: Message) -> None: ...


class Callee:
    def __call__(self, message: Message) -> None: ...

    async def method(self, message: Message) -> None: ...


class AsyncCallee:
    async def __call__(self, message: Message) -> None: ...


WAYS: dict[str, Callable[..., object]] = {
    "protected_messages": lambda url=URL, **given: protected_messages(client(NOWHERE), url, **given),
    "protected_batches": lambda url=URL, **given: protected_batches(client(NOWHERE), url, **given),
    "SQSConsumer": lambda url=URL, **given: SQSConsumer(url, handle, **given),
    "AsyncSQSConsumer": lambda url=URL, **given: AsyncSQSConsumer(url, handle_async, **given),
}


def refused(make: Callable[[], object]) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        make()
    assert caught.value.rule
    assert caught.value.value in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "url",
    [
        "jobs",
        "arn:aws:sqs:us-east-1:123456789012:jobs",
        "",
        None,
        5,
        b"https://sqs.us-east-1.amazonaws.com/123456789012/jobs",
        Path("/123456789012/jobs"),
        {"QueueUrl": URL},
        "sqs.us-east-1.amazonaws.com/123456789012/jobs",
        "ftp://sqs.us-east-1.amazonaws.com/123456789012/jobs",
        "https:///123456789012/jobs",
        "https://sqs.us-east-1.amazonaws.com/",
        "https://sqs.us-east-1.amazonaws.com/123456789012/my jobs",
        "https://sqs.us-east-1.amazonaws.com/123456789012/" + 81 * "j",
        f"{URL}?Action=ReceiveMessage",
        f" {URL}",
        f"{URL}\n",
        "https://[::1/123456789012/jobs",
        "https://sqs.us-east-1.amazonaws.com/jobs",
        "https://sqs.us-east-1.amazonaws.com/1/jobs",
        "https://sqs.us-east-1.amazonaws.com/x/123456789012/jobs",
        "https://sqs.us-east-1.amazonaws.com//jobs",
        "https://sqs.cn-north-1.amazonaws.com.cn/jobs",
    ],
)
def test_what_is_no_url_of_a_queue_is_refused_and_it_is_said_where_to_get_one(url: object) -> None:
    for make in WAYS.values():
        error = refused(functools.partial(make, url))
        assert error.setting == "queue_url"
        assert "get_queue_url" in str(error)


@pytest.mark.parametrize(
    "url",
    [
        URL,
        f"{URL}.fifo",
        "https://eu-west-1.queue.amazonaws.com/123456789012/jobs",
        "https://vpce-1-2.sqs.eu-west-1.vpce.amazonaws.com/123456789012/jobs",
        "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/jobs",
        "http://localhost:4566/000000000000/jobs",
        "http://[::1]:9324/q/a-b_c",
        "http://127.0.0.1:9324/jobs",
    ],
)
def test_the_urls_of_queues_are_taken(url: str) -> None:
    for make in WAYS.values():
        make(url)


@pytest.mark.parametrize(
    ("url", "words"), [(f"{URL}/", "slash at its end"), (f"{URL}?a=b", "follows a ?"), (f"{URL}#a", "follows a ? or #")]
)
def test_what_is_too_much_at_a_url_is_named(url: str, words: str) -> None:
    assert words in refused(lambda: SQSConsumer(url, handle)).rule


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(
            ("visibility_timeout", value)
            for value in (0, -1, 43_201, 1.5, "60", True, None, float("nan"), float("inf"))
        ),
        *(("wait_time", value) for value in (-1, 21, 0.5, "5", False)),
        *(("on_failure", value) for value in ("delete", None, True, ["leave"])),
        *(("when_refused", value) for value in ("wait", True)),
        *(("strict", value) for value in ("yes", 1, None)),
        ("label", 5),
        *(("max_duration", value) for value in (0, -1, "1h", 48 * 3600 + 1)),
        *(("give_up_after", value) for value in (-1, "5m", None)),
        *(("manager", value) for value in ("own", ProtectionManager)),
    ],
)
def test_an_option_outside_its_rule_is_refused(setting: str, value: object) -> None:
    for make in WAYS.values():
        assert refused(functools.partial(make, **{setting: value})).setting == setting


@pytest.mark.parametrize("value", [0, 11, -1, 2.5, "5", True, None])
def test_a_batch_has_one_to_ten_messages(value: object) -> None:
    for way in ("protected_messages", "protected_batches"):
        error = refused(functools.partial(WAYS[way], batch_size=value))
        assert (error.setting, error.rule) == ("batch_size", "a whole number from 1 to 10")


@pytest.mark.parametrize("value", [0, -1, 1001, 2.5, "8", True, None])
def test_concurrency_is_a_number_of_messages(value: object) -> None:
    for way in ("SQSConsumer", "AsyncSQSConsumer"):
        assert refused(functools.partial(WAYS[way], concurrency=value)).setting == "concurrency"


def test_an_option_that_is_unknown_is_an_error_that_names_whom_it_was_given_to_and_what_that_takes() -> None:
    for name, make in WAYS.items():
        with pytest.raises(
            TypeError, match=f"^{name} takes no argument 'visibility'.* visibility_timeout, wait_time, when_refused$"
        ):
            make(visibility=60)


@pytest.mark.parametrize("way", ["SQSConsumer", "AsyncSQSConsumer"])
def test_a_consumer_takes_no_batch_size_for_it_receives_for_free_handlers(way: str) -> None:
    with pytest.raises(TypeError, match=f"^{way} takes no argument 'batch_size'.* client, concurrency, "):
        WAYS[way](batch_size=5)


@pytest.mark.parametrize("handler", [None, "handle", 5, handle_async, AsyncCallee(), Callee().method])
def test_a_consumer_on_threads_wants_a_function(handler: Any) -> None:
    error = refused(lambda: SQSConsumer(URL, handler))
    assert error.setting == "handler"
    assert not callable(handler) or "AsyncSQSConsumer" in str(error)
    refused(lambda: SQSConsumer(URL, functools.partial(handler) if callable(handler) else handler))


@pytest.mark.parametrize("handler", [None, "handle", 5, handle, Callee(), Callee().__call__, print])
def test_a_consumer_in_asyncio_wants_an_async_function(handler: Any) -> None:
    error = refused(lambda: AsyncSQSConsumer(URL, handler))
    assert error.setting == "handler"
    assert not callable(handler) or "SQSConsumer" in str(error)
    refused(lambda: AsyncSQSConsumer(URL, functools.partial(handler) if callable(handler) else handler))


def test_what_can_be_called_is_taken() -> None:
    for good in (handle, Callee(), functools.partial(handle), lambda message: None, print, str):
        SQSConsumer(URL, good)
    for good_async in (handle_async, AsyncCallee(), Callee().method, functools.partial(handle_async)):
        AsyncSQSConsumer(URL, good_async)


@pytest.mark.parametrize("kind", ["None", "'sqs'", "boto3", "boto3.Session", "boto3.client", "object()"])
def test_what_is_no_client_of_sqs_is_refused(kind: str) -> None:
    given = eval(kind, {"boto3": importlib.import_module("boto3")})
    for make in (protected_messages, protected_batches):
        error = refused(functools.partial(make, given, URL))
        assert error.setting == "client"
    if given is not None:
        refused(lambda: SQSConsumer(URL, handle, client=given))
        refused(lambda: AsyncSQSConsumer(URL, handle_async, client=given))


def test_a_client_that_was_not_entered_is_refused() -> None:
    async def main() -> None:
        not_entered = async_client(NOWHERE)
        refused(lambda: protected_messages(not_entered, URL))
        refused(lambda: AsyncSQSConsumer(URL, handle_async, client=not_entered))
        async with not_entered as aws:
            protected_messages(aws, URL)

    asyncio.run(main())


def test_a_client_of_another_service_is_refused() -> None:
    other = importlib.import_module("boto3").client("sts", region_name="us-east-1")
    assert "boto3.client('sqs')" in str(refused(lambda: SQSConsumer(URL, handle, client=other)))


def test_a_client_of_boto3_is_refused_in_asyncio() -> None:
    async def loops(consume: Any) -> None:
        async for _ in consume(client(NOWHERE), URL):
            raise AssertionError

    async def enters(consume: Any) -> None:
        async with consume(client(NOWHERE), URL):
            raise AssertionError

    for use in (loops, enters):
        for consume in (protected_messages, protected_batches):
            assert "aiobotocore" in str(refused(lambda use=use, consume=consume: asyncio.run(use(consume))))
    refused(lambda: AsyncSQSConsumer(URL, handle_async, client=client(NOWHERE)))


def test_a_client_of_aiobotocore_is_refused_elsewhere() -> None:
    async def main() -> None:
        async with async_client(NOWHERE) as aws:
            for consume in (protected_messages, protected_batches):
                error = refused(lambda consume=consume: next(iter(consume(aws, URL))))
                assert "boto3.client('sqs')" in str(error)
                refused(lambda consume=consume: consume(aws, URL).__enter__())
            refused(lambda: SQSConsumer(URL, handle, client=aws))

    asyncio.run(main())


# -- what a client needs


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine that has no configuration of AWS."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


RUNS: list[Callable[[str, ProtectionManager], object]] = [
    lambda url, manager: SQSConsumer(url, handle, manager=manager).run(),
    lambda url, manager: asyncio.run(AsyncSQSConsumer(url, handle_async, manager=manager).run()),
]


@pytest.fixture
def off() -> ProtectionManager:
    return ProtectionManager(settings=Settings(backend="off"))


@pytest.mark.parametrize("run", RUNS)
def test_no_credentials_is_an_error_before_the_first_receipt(
    run: Callable[..., object], bare: pytest.MonkeyPatch, off: ProtectionManager
) -> None:
    error = refused(lambda: run(URL, off))
    assert error.setting == "AWS credentials"
    assert "task role" in str(error)


@pytest.mark.parametrize("run", RUNS)
def test_no_region_is_an_error_before_the_first_receipt(
    run: Callable[..., object], bare: pytest.MonkeyPatch, off: ProtectionManager
) -> None:
    bare.setenv("AWS_ACCESS_KEY_ID", "testing")
    bare.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    error = refused(lambda: run("http://127.0.0.1:1/123456789012/jobs", off))
    assert error.setting == "AWS region"
    assert "AWS_DEFAULT_REGION" in str(error)


@pytest.mark.parametrize(("run", "package"), [*zip(RUNS, ("boto3", "aiobotocore.session"), strict=True)])
def test_a_package_that_is_missing_is_an_error_that_says_what_to_install(
    run: Callable[..., object], package: str, bare: pytest.MonkeyPatch, off: ProtectionManager
) -> None:
    bare.setitem(sys.modules, package, None)
    assert "pip install 'protectwork[sqs" in str(refused(lambda: run(URL, off)))


def test_a_client_without_credentials_ends_a_loop_at_once(bare: pytest.MonkeyPatch, off: ProtectionManager) -> None:
    with Wire(NOWHERE) as wire:
        aws = importlib.import_module("boto3").Session().client("sqs", endpoint_url=wire.url, region_name="us-east-1")
        with pytest.raises(QueueError, match="AWS_ACCESS_KEY_ID") as caught:
            next(iter(protected_messages(aws, URL, manager=off)))
        assert caught.value.reason == "NoCredentialsError"
        assert wire.exchanges() == []
