"""What is armed at FakeEcsApi comes out of botocore as what ECS's own would."""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from protectwork._errors import SettingsError
from protectwork.testing import Cause, FakeClock, FakeEcsApi, Fault
from protectwork.testing.faults import (
    ApplyThenDrop,
    Delay,
    Digits,
    Drip,
    Drop,
    Ecs,
    EcsMode,
    Error,
    Garbage,
    GarbageKind,
    Hang,
    LandLate,
    Limit,
    Oversized,
    Redirect,
    Refuse,
    Throttle,
)

from .ecs_client import client_of, metadata, said


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[FakeEcsApi, Any]]:
    with FakeEcsApi(delay_scale=0) as ecs, client_of(ecs) as client:
        yield ecs, client


@pytest.fixture
def ecs(shared: tuple[FakeEcsApi, Any]) -> FakeEcsApi:
    """Nothing goes wrong, and nothing is protected."""
    ecs, _ = shared
    ecs.heal()
    ecs.task.disable()
    return ecs


@pytest.fixture
def client(shared: tuple[FakeEcsApi, Any]) -> Any:
    return shared[1]


def enable(client: Any, ecs: FakeEcsApi, **more: Any) -> dict[str, Any]:
    return said(client.update_task_protection(cluster="work", tasks=[ecs.task.arn], protectionEnabled=True, **more))


def get(client: Any, ecs: FakeEcsApi) -> dict[str, Any]:
    return said(client.get_task_protection(cluster="work", tasks=[ecs.task.arn]))


MODELLED = {
    "access_denied": "AccessDeniedException",
    "client_exception": "ClientException",
    "cluster_not_found": "ClusterNotFoundException",
    "invalid_parameter": "InvalidParameterException",
    "resource_not_found": "ResourceNotFoundException",
    "server_error": "ServerException",
    "unsupported_feature": "UnsupportedFeatureException",
}
UNMODELLED: list[tuple[Fault, str]] = [
    (Ecs("expired_token"), "ExpiredTokenException"),
    (Ecs("throttle"), "ThrottlingException"),
    (Ecs("unavailable"), "ServiceUnavailableException"),
    (Ecs("unrecognized_client"), "UnrecognizedClientException"),
    (Error(503), "ServiceUnavailableException"),
    (Error(504), "504"),
    (LandLate(3600), "504"),
    (Limit(), "429"),
    (Redirect(), "301"),
    (Throttle(), "ThrottlingException"),
]


@pytest.mark.parametrize("mode", MODELLED)
def test_the_seven_modelled_exceptions_are_raised_as_themselves(ecs: FakeEcsApi, client: Any, mode: EcsMode):
    ecs.fail(Ecs(mode))

    with pytest.raises(getattr(client.exceptions, MODELLED[mode])) as raised:
        enable(client, ecs)

    assert raised.value.response["Error"]["Code"] == MODELLED[mode]
    assert raised.value.response["ResponseMetadata"]["RequestId"]
    assert not ecs.protected


@pytest.mark.parametrize(("fault", "code"), UNMODELLED, ids=str)
def test_every_other_error_has_its_code(ecs: FakeEcsApi, client: Any, fault: Fault, code: str):
    ecs.fail(fault)

    with pytest.raises(ClientError) as raised:
        enable(client, ecs)

    assert type(raised.value) is ClientError
    assert raised.value.response["Error"]["Code"] == code
    assert not ecs.protected


@pytest.mark.parametrize("reason", ["DEPLOYMENT_BLOCKED", "MISSING", "TASK_NOT_VALID", "OF_TOMORROW"])
def test_a_refusal_is_a_failure_for_every_task_that_was_named(ecs: FakeEcsApi, client: Any, reason: str):
    ecs.fail(Refuse(reason, detail="why"), times=2)
    other = ecs.service.start()

    told = said(client.update_task_protection(cluster="work", tasks=[ecs.task.arn, other.arn], protectionEnabled=True))
    described = said(client.describe_tasks(cluster="work", tasks=[other.arn]))

    failures = [{"arn": arn, "reason": reason, "detail": "why"} for arn in (ecs.task.arn, other.arn)]
    assert told == {"protectedTasks": [], "failures": failures}
    assert described == {"tasks": [], "failures": failures[1:]}
    assert not ecs.protected


def test_a_list_knows_no_refusal(ecs: FakeEcsApi, client: Any):
    ecs.fail(Refuse())

    assert ecs.task.arn in client.list_tasks(cluster="work")["taskArns"]


@pytest.mark.parametrize(
    ("kind", "lists"),
    [("text", set()), ("empty", set()), ("neither", set()), ("strings", {"protectedTasks"})],
)
def test_garbage_lacks_what_would_confirm_it(ecs: FakeEcsApi, client: Any, kind: GarbageKind, lists: set[str]):
    ecs.fail(Garbage(kind))

    assert set(enable(client, ecs)) & {"protectedTasks", "failures"} == lists
    assert not ecs.protected


def test_garbage_of_another_shape_is_too_much_for_botocore(ecs: FakeEcsApi, client: Any):
    ecs.fail(Garbage("shape"))

    with pytest.raises(AttributeError):
        enable(client, ecs)


def test_garbage_may_contradict_itself_or_the_request(ecs: FakeEcsApi, client: Any):
    ecs.fail(Garbage("both"))
    ecs.fail(Garbage("opposite"))
    ecs.fail(Garbage("strings"))
    ecs.fail(Ecs("two_tasks"))
    ecs.fail(Ecs("empty"))

    both, opposite, strings, two, nothing = (enable(client, ecs) for _ in range(5))

    assert both["protectedTasks"][0]["taskArn"] == both["failures"][0]["arn"] == ecs.task.arn
    assert opposite["protectedTasks"][0]["protectionEnabled"] is False
    assert strings["protectedTasks"][0]["protectionEnabled"] == "true"
    assert len({one["taskArn"] for one in two["protectedTasks"]}) == 2
    assert nothing == {"protectedTasks": [], "failures": []}
    assert not ecs.protected


@pytest.mark.parametrize("fault", [Hang(), Hang(after_headers=True), Ecs("hang")], ids=str)
def test_a_hang_lasts_as_long_as_the_client_waits(ecs: FakeEcsApi, fault: Fault):
    ecs.fail(fault)

    with client_of(ecs, read_timeout=0.1) as hasty, pytest.raises(ReadTimeoutError):
        enable(hasty, ecs)
    assert ecs.protected == (fault == Hang(after_headers=True))


@pytest.mark.parametrize("fault", [Drop(), Drop(reset=True), Ecs("drop"), ApplyThenDrop(), LandLate(0, answered=False)])
def test_a_dropped_connection_says_nothing_of_what_was_done(ecs: FakeEcsApi, client: Any, fault: Fault):
    ecs.fail(fault)

    with pytest.raises(ConnectionClosedError):
        enable(client, ecs)
    assert ecs.protected == isinstance(fault, ApplyThenDrop | LandLate)


@pytest.mark.parametrize("fault", [Delay(5), Digits(0), Digits(9), Drip(), Drip("headers")], ids=str)
def test_a_late_or_odd_answer_is_a_good_one(ecs: FakeEcsApi, client: Any, fault: Fault):
    ecs.fail(fault)

    (told,) = enable(client, ecs, expiresInMinutes=60)["protectedTasks"]

    assert ecs.task.expires
    assert abs(told["expirationDate"] - ecs.time.date(ecs.task.expires)) <= timedelta(seconds=1)


def test_an_oversized_answer_has_the_size_it_is_told_to_have(ecs: FakeEcsApi, client: Any):
    ecs.fail(Oversized(200_000))
    get(client, ecs)

    assert len(ecs.calls[-1].reply.body) == 200_000


def test_a_late_write_lands_when_it_lands(fake_clock: FakeClock):
    with FakeEcsApi(clock=fake_clock, delay_scale=0) as ecs, client_of(ecs) as client:
        ecs.service.desired = 2
        other = ecs.service.start()
        ecs.fail(LandLate(30))
        with pytest.raises(ClientError):
            client.update_task_protection(
                cluster="work", tasks=[ecs.task.arn, other.arn], protectionEnabled=True, expiresInMinutes=1
            )
        began = ecs.now()
        fake_clock.advance(100)

        for task in (ecs.task, other.task):
            assert [(change.time - began, change.cause) for change in task.changes] == [
                (30, Cause.LATE_CALL),
                (90, Cause.EXPIRY),
            ]


@pytest.mark.parametrize("fault", [Ecs(mode) for mode in get_args(EcsMode)], ids=str)
def test_every_behaviour_of_ecs_hits_what_asks_nothing_of_protection_too(ecs: FakeEcsApi, client: Any, fault: Fault):
    ecs.fail(fault, only="describe-services")

    with client_of(ecs, read_timeout=0.1 if fault == Ecs("hang") else 30) as hasty:
        try:
            told = said(hasty.describe_services(cluster="work", services=["worker"]))
        except (ClientError, ConnectionClosedError, ReadTimeoutError):
            told = None
    assert told is None or told["failures"] or not told["services"] or fault == Ecs("two_tasks")
    assert len(client.describe_services(cluster="work", services=["worker"])["services"]) == 1


# -- which calls are hit


def test_a_fault_may_hit_some_calls_alone(ecs: FakeEcsApi, client: Any):
    ecs.fail(Throttle(), only="disable")
    ecs.fail(Throttle(), only="list-tasks")
    ecs.fail(Throttle(), only="describe-tasks")

    enable(client, ecs)
    get(client, ecs)
    for call in (
        lambda: client.update_task_protection(cluster="work", tasks=[ecs.task.arn], protectionEnabled=False),
        lambda: client.list_tasks(cluster="work"),
        lambda: client.describe_tasks(cluster="work", tasks=[ecs.task.arn]),
    ):
        with pytest.raises(ClientError, match="ThrottlingException"):
            call()
        call()


def test_a_bad_request_uses_up_no_fault(ecs: FakeEcsApi, client: Any):
    ecs.fail(Throttle())
    with pytest.raises(client.exceptions.InvalidParameterException):
        client.get_task_protection(cluster="work", tasks=[])

    with pytest.raises(ClientError, match="ThrottlingException"):
        get(client, ecs)


def test_metadata_fail_only_when_told_so(ecs: FakeEcsApi, client: Any):
    ecs.fail(Throttle())
    assert metadata(ecs)["TaskARN"] == ecs.task.arn

    ecs.fail(Error(500), only="metadata")
    with pytest.raises(urllib.error.HTTPError, match="500"):
        metadata(ecs)
    assert metadata(ecs)["TaskARN"] == ecs.task.arn
    ecs.fail(Garbage("text"), only="metadata")
    with pytest.raises(ValueError, match="Expecting value"):
        metadata(ecs)


def test_botocore_repeats_what_failed_and_each_try_is_a_request(ecs: FakeEcsApi):
    ecs.fail(Error(503))
    before = len(ecs.calls)

    with client_of(ecs, retries={"total_max_attempts": 2, "mode": "standard"}) as client:
        enable(client, ecs)

    assert [call.status for call in ecs.calls[before:]] == [503, 200]


def test_a_fault_hits_calls_that_exist(ecs: FakeEcsApi):
    with pytest.raises(SettingsError, match="only must be one of enable, disable, get, list-tasks"):
        ecs.fail(Throttle(), only="renew")  # type: ignore[arg-type] - the point of the test


def test_dates_are_those_of_ecs_which_the_wall_clock_here_does_not_move(fake_clock: FakeClock):
    began = datetime.fromtimestamp(fake_clock.wall(), UTC)
    with FakeEcsApi(clock=fake_clock) as ecs, client_of(ecs) as client:
        fake_clock.jump_wall(3600)

        (told,) = enable(client, ecs, expiresInMinutes=10)["protectedTasks"]

        assert told["expirationDate"] == began + timedelta(minutes=10)
