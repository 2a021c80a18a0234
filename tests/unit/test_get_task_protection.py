"""get_task_protection: any number of tasks, in pages, with throttling waited for, and every failure named."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from programs import run

from protectwork import (
    EcsAccessError,
    EcsError,
    EcsRequestError,
    EcsThrottledError,
    EcsUnavailableError,
    SettingsError,
    TaskFailure,
    get_task_protection,
)
from protectwork._fleet import Fleet
from protectwork.testing import FakeEcsApi, Fault, faults

from .backend_worlds import REGION, session


@pytest.fixture(scope="module")
def shared() -> Iterator[FakeEcsApi]:
    with FakeEcsApi(delay_scale=0) as ecs, pytest.MonkeyPatch.context() as environ:
        for name, value in ecs.environ().items():
            environ.setenv(name, value)
        ecs.cluster.add_service("web", desired=230)
        yield ecs


@pytest.fixture
def ecs(shared: FakeEcsApi) -> FakeEcsApi:
    shared.heal()
    return shared


def placements(ecs: FakeEcsApi):
    return [placement for placement in ecs.cluster.tasks if placement.group == "service:web"]


def arns(ecs: FakeEcsApi) -> list[str]:
    return [placement.arn for placement in placements(ecs)]


def asked(ecs: FakeEcsApi) -> int:
    return len(ecs.calls_of("GetTaskProtection"))


def ask(ecs: FakeEcsApi, tasks: object, **options: object):
    return get_task_protection("work", tasks, session=session(), **options)  # type: ignore[arg-type]


class Regions:
    """A session that notes for which Region it is asked."""

    def __init__(self, region_name: str | None = None) -> None:
        self.region_name = region_name
        self.asked: list[object] = []

    def client(self, *arguments: object, region_name: object, **options: object) -> object:
        self.asked.append(region_name)
        return session().client(*arguments, region_name=REGION, **options)


ARN = "arn:aws:ecs:us-west-2:111122223333:cluster/work"


@pytest.mark.parametrize(
    ("cluster", "given", "own", "environ", "region"),
    [
        ("work", "given-1", "own-1", "environ-1", "given-1"),
        (ARN, "given-1", "own-1", "environ-1", "given-1"),
        (ARN, None, "own-1", "environ-1", "us-west-2"),
        ("work", None, "own-1", "environ-1", "own-1"),
        ("work", None, None, "environ-1", "environ-1"),
        ("work", None, None, "", None),
    ],
)
def test_the_region_is_the_argument_s_else_the_cluster_s_else_the_environment_s(  # noqa: PLR0917 - the cases
    ecs, monkeypatch, cluster, given, own, environ, region
):
    monkeypatch.setenv("AWS_REGION", environ)
    regions = Regions(own)
    assert get_task_protection(cluster, arns(ecs)[:1], region=given, session=regions).protected_tasks
    assert regions.asked == [region]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"region": 3}, "region must be the name of a Region, got 3; eu-west-1, say"),
        ({"region": ""}, "region must be the name of a Region, got ''; eu-west-1, say"),
        ({"session": 3}, "session must be a session of boto3's, got 3; boto3.Session(), say"),
    ],
)
def test_an_argument_of_a_wrong_type_is_not_blamed_on_the_network(options, says):
    with pytest.raises(SettingsError) as caught:
        get_task_protection("work", ["0123456789abcdef"], **options)
    assert str(caught.value) == says


# --- what it gives


def test_any_number_of_tasks_is_asked_for_in_pages_of_100(ecs):
    placements(ecs)[3].task.enable(60)
    made, tasks = asked(ecs), arns(ecs)
    said = ask(ecs, tasks)
    assert asked(ecs) - made == 3
    assert [entry.task_arn for entry in said.protected_tasks] == tasks
    assert [entry.protected for entry in said.protected_tasks].count(True) == 1
    [protected] = [entry for entry in said.protected_tasks if entry.protected]
    assert protected.task_arn == tasks[3]
    assert protected.expires_at
    assert protected.expires_at.tzinfo
    assert said.failures == ()
    placements(ecs)[3].task.disable()


@pytest.mark.parametrize(("count", "calls"), [(1, 1), (100, 1), (101, 2), (200, 2)])
def test_a_page_is_full_before_the_next_begins(ecs, count, calls):
    made = asked(ecs)
    assert len(ask(ecs, arns(ecs)[:count]).protected_tasks) == count
    assert asked(ecs) - made == calls


def test_tasks_may_come_from_anything_that_can_be_iterated_and_by_their_id(ecs):
    named = [arn.rpartition("/")[2] for arn in arns(ecs)[:5]]
    for tasks in (named, tuple(named), set(named), iter(named)):
        said = ask(ecs, tasks)
        assert sorted(entry.task_arn for entry in said.protected_tasks) == sorted(arns(ecs)[:5])


def test_a_task_named_twice_is_asked_for_once(ecs):
    [arn, *_] = arns(ecs)
    assert len(ask(ecs, [arn, arn, arn.rpartition("/")[2]]).protected_tasks) == 1


def test_a_task_that_has_ended_and_one_of_no_service_are_failures_and_no_errors(ecs):
    gone, lone = ecs.cluster.run_task(), ecs.cluster.run_task()
    gone.forget()
    said = ask(ecs, [arns(ecs)[0], gone.arn, lone.arn])
    assert [entry.task_arn for entry in said.protected_tasks] == [arns(ecs)[0]]
    assert sorted((failure.reason, failure.task_arn) for failure in said.failures) == [
        ("MISSING", gone.arn),
        ("TASK_NOT_VALID", lone.arn),
    ]
    assert isinstance(said.failures[0], TaskFailure)


def test_what_it_gives_is_frozen_and_compares_by_value(ecs):
    said = ask(ecs, arns(ecs)[:2])
    assert said == ask(ecs, arns(ecs)[:2])
    with pytest.raises(AttributeError):
        said.failures = ()  # type: ignore[misc]
    assert len({*said.protected_tasks, *said.protected_tasks}) == 2


def test_the_region_may_be_given(ecs):
    ask(ecs, arns(ecs)[:1], region="eu-central-1")
    assert "/eu-central-1/ecs/" in ecs.calls[-1].request.headers["authorization"]


# --- bad arguments


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ([], "tasks must be tasks, each by its ARN or id, one at least, got none"),
        ("0123456789abcdef", "tasks must be tasks, each by its ARN or id, one at least, got '0123456789abcdef'"),
        (None, "tasks must be tasks, each by its ARN or id, one at least, got None"),
        (5, "tasks must be tasks, each by its ARN or id, one at least, got 5"),
        ([5], "each of tasks must be a name or an ARN, got 5"),
        ([""], "each of tasks must be a name or an ARN, got ''"),
        (["arn:aws:ecs:eu-west-1:111122223333:task/work/"], "each of tasks must be a name or an ARN, got 'arn:aws"),
        (["a\n"], r"each of tasks must be a name or an ARN, got 'a\\n'"),
    ],
)
def test_tasks_that_are_none_are_told_before_anybody_is_asked(ecs, tasks, said):
    made = len(ecs.calls)
    with pytest.raises(SettingsError) as caught:
        ask(ecs, tasks)
    assert str(caught.value).startswith(said.replace("\\\\", "\\"))
    assert len(ecs.calls) == made


@pytest.mark.parametrize("cluster", ["", " ", "arn:aws:ecs:eu-west-1:111122223333:cluster/", 5, None, "a\nb"])
def test_a_cluster_that_is_none_is_told(ecs, cluster):
    with pytest.raises(SettingsError, match="cluster must be a name or an ARN"):
        get_task_protection(cluster, arns(ecs)[:1])


@pytest.mark.parametrize("patience", [-1, True, "5", float("nan"), 3601])
def test_a_patience_that_is_none_is_told(ecs, patience):
    with pytest.raises(SettingsError, match="patience must be"):
        ask(ecs, arns(ecs)[:1], patience=patience)


NO_BOTO3 = """
import sys
sys.modules["boto3"] = None
from protectwork import get_task_protection
try:
    get_task_protection("work", ["x"])
except Exception as error:
    print(type(error).__name__, error)
"""


def test_without_boto3_it_says_how_to_get_it():
    done = run(NO_BOTO3)
    assert done.out == (
        "SettingsError boto3 must be installed for questions to the ECS API, got nothing;"
        ' pip install "protectwork[ecs]"\n'
    )


# --- what ECS says


ERRORS: list[tuple[Fault, type[EcsError], str, str]] = [
    (faults.Ecs("access_denied"), EcsAccessError, "AccessDeniedException", "ecs:GetTaskProtection"),
    (faults.Ecs("expired_token"), EcsAccessError, "ExpiredTokenException", "aws sso login"),
    (faults.Ecs("unrecognized_client"), EcsAccessError, "UnrecognizedClientException", "AWS_ACCESS_KEY_ID"),
    (faults.Ecs("client_exception"), EcsRequestError, "ClientException", "what was asked"),
    (faults.Ecs("cluster_not_found"), EcsRequestError, "ClusterNotFoundException", "account and Region"),
    (faults.Ecs("invalid_parameter"), EcsRequestError, "InvalidParameterException", "what was asked"),
    (faults.Ecs("resource_not_found"), EcsRequestError, "ResourceNotFoundException", "what was asked"),
    (faults.Ecs("unsupported_feature"), EcsRequestError, "UnsupportedFeatureException", "what was asked"),
    (faults.Ecs("server_error"), EcsUnavailableError, "ServerException", "ask again"),
    (faults.Ecs("unavailable"), EcsUnavailableError, "ServiceUnavailableException", "ask again"),
    (faults.Drop(), EcsUnavailableError, "ConnectionClosedError", "ask again"),
    (faults.Ecs("empty"), EcsUnavailableError, "unusable answer", "ask again"),
    (faults.Ecs("two_tasks"), EcsUnavailableError, "unusable answer", "ask again"),
    (faults.Garbage("text"), EcsUnavailableError, "unusable answer", "ask again"),
    (faults.Garbage("neither"), EcsUnavailableError, "unusable answer", "ask again"),
    (faults.Garbage("strings"), EcsUnavailableError, "unusable answer", "ask again"),
    (faults.Garbage("both"), EcsUnavailableError, "unusable answer", "ask again"),
    (faults.Garbage("shape"), EcsUnavailableError, "no usable answer", "ask again"),
]


@pytest.mark.parametrize(("fault", "kind", "reason", "remedy"), ERRORS, ids=str)
def test_whatever_goes_wrong_is_an_error_of_ours_that_says_what_to_do(ecs, fault, kind, reason, remedy):
    ecs.fail(fault, times=None)
    with pytest.raises(kind) as caught:
        ask(ecs, arns(ecs)[:3])
    error = caught.value
    assert (type(error), error.operation, error.reason) == (kind, "GetTaskProtection", reason)
    assert remedy in error.remedy
    assert error.remedy in str(error)
    assert str(error).isprintable()


def test_a_wrong_cluster_is_told(ecs):
    with pytest.raises(EcsRequestError, match="ClusterNotFoundException"):
        get_task_protection("no-such-cluster", arns(ecs)[:1], session=session())


def test_a_page_that_goes_wrong_spoils_the_whole_answer(ecs):
    ecs.fail(faults.Ecs("cluster_not_found"))
    with pytest.raises(EcsRequestError):
        ask(ecs, arns(ecs))


# --- throttling


class Sleeps:
    """A sleep that takes no time, and what was slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def __call__(self, duration_s: float) -> None:
        self.slept.append(duration_s)


def fleet(sleeps: Sleeps, *, patience_s: float = 60.0) -> Fleet:
    return Fleet("work", region=REGION, session=session(), patience_s=patience_s, random=Random(5), sleep=sleeps)


def test_throttling_is_waited_for_with_jitter_and_longer_each_time(ecs):
    sleeps = Sleeps()
    ecs.fail(faults.Throttle(), times=8)  # boto3 tries twice
    said = fleet(sleeps).protections(arns(ecs)[:3])
    assert len(said.protected_tasks) == 3
    assert len(sleeps.slept) == 4
    for nap_s, most_s in zip(sleeps.slept, (1, 2, 4, 8), strict=True):
        assert most_s / 2 <= nap_s <= most_s
    assert len({nap_s / most_s for nap_s, most_s in zip(sleeps.slept, (1, 2, 4, 8), strict=True)}) == 4


def test_throttling_is_waited_for_so_long_in_all_and_then_told(ecs):
    sleeps = Sleeps()
    ecs.fail(faults.Throttle(), times=None)
    with pytest.raises(EcsThrottledError, match="share one quota"):
        fleet(sleeps, patience_s=10.0).protections(arns(ecs)[:3])
    assert sum(sleeps.slept) == pytest.approx(10.0)


def test_without_patience_throttling_is_told_at_once(ecs):
    made = asked(ecs)
    ecs.fail(faults.Throttle(), times=None)
    with pytest.raises(EcsThrottledError):
        ask(ecs, arns(ecs)[:3], patience=0)
    assert asked(ecs) - made == 2  # boto3's own second attempt


def test_a_page_after_throttling_is_asked_for_once(ecs):
    made, sleeps = asked(ecs), Sleeps()
    ecs.fail(faults.Throttle(), times=2)
    said = fleet(sleeps).protections(arns(ecs))
    assert len(said.protected_tasks) == 230
    assert (len(sleeps.slept), asked(ecs) - made) == (1, 5)
