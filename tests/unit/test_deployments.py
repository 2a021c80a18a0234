"""Whether a task's deployment is still the primary one: by the ids that ECS gives, and by nothing that it garbles."""

from __future__ import annotations

from typing import Any

import pytest

from protectwork import EcsAccessError, EcsError, EcsRequestError, EcsThrottledError, EcsUnavailableError
from protectwork.backends._deployments import Deployments
from protectwork.backends.ecs import EcsApi
from protectwork.backends.metadata import TaskMetadata, read_task_metadata
from protectwork.testing import FakeEcsApi
from protectwork.testing.faults import Drop, Ecs, Error, Garbage, Throttle

ALWAYS = {"times": None}


@pytest.fixture(scope="module")
def shared_ecs():
    with FakeEcsApi() as ecs, pytest.MonkeyPatch.context() as patch:
        for name, value in ecs.environ().items():
            patch.setenv(name, value)
        yield ecs, EcsApi(region=ecs.cluster.region)


@pytest.fixture
def ecs(shared_ecs):
    yield shared_ecs[0]
    shared_ecs[0].heal()


@pytest.fixture
def api(shared_ecs):
    return shared_ecs[1]


def task_at(ecs: FakeEcsApi, placement: Any = None) -> TaskMetadata:
    return read_task_metadata(ecs.environ(placement))


def test_a_task_is_superseded_by_a_newer_deployment_even_of_the_same_revision(ecs, api) -> None:
    service = ecs.cluster.add_service("forced")
    deployments = Deployments(api, task_at(ecs, service.tasks[0]))
    assert not deployments.superseded()
    service.deploy(revision=1)
    assert deployments.superseded()
    assert Deployments(api, task_at(ecs, service.start())).superseded() is False
    service.roll_back()
    assert not deployments.superseded()


def test_what_a_task_belongs_to_is_asked_once(ecs, api) -> None:
    before = len(ecs.calls_of("DescribeTasks"))
    deployments = Deployments(api, task_at(ecs))
    for _ in range(3):
        deployments.superseded()
    assert len(ecs.calls_of("DescribeTasks")) == before + 1


def test_a_task_whose_metadata_does_not_tell_its_service_is_found_all_the_same(ecs, api) -> None:
    ecs.placement.metadata = {"ServiceName": None, "Cluster": "work"}
    try:
        task = task_at(ecs)
        assert (task.service_name, task.cluster) == (None, "work")
        assert not Deployments(api, task).superseded()
    finally:
        ecs.placement.metadata = {}


def test_a_task_of_no_service_is_never_superseded_and_that_is_for_good(ecs, api) -> None:
    placement = ecs.cluster.run_task()
    with pytest.raises(EcsRequestError, match="the task belongs to no service; leave retire_when_superseded off"):
        Deployments(api, task_at(ecs, placement)).superseded()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Ecs("access_denied"), EcsAccessError),
        (Ecs("expired_token"), EcsAccessError),
        (Ecs("cluster_not_found"), EcsRequestError),
        (Throttle(), EcsThrottledError),
        (Error(500), EcsUnavailableError),
        (Drop(), EcsUnavailableError),
        (Garbage("text"), EcsUnavailableError),
        (Garbage("empty"), EcsUnavailableError),
        (Garbage("neither"), EcsUnavailableError),
        (Garbage("shape"), EcsUnavailableError),
    ],
    ids=str,
)
@pytest.mark.parametrize("only", ["describe-tasks", "describe-services"])
def test_a_failure_is_an_error_of_ours(ecs, api, only: str, fault: Any, error: type[EcsError]) -> None:
    ecs.fail(fault, only=only, **ALWAYS)
    with pytest.raises(error):
        Deployments(api, task_at(ecs)).superseded()


class Said:
    """An API that says what it is told to say."""

    def __init__(self, **said: object) -> None:
        self._said = said

    def call(self, operation: str, **_: object) -> Any:
        return self._said[operation]


TASK = {"taskArn": "t", "group": "service:worker", "startedBy": "ecs-svc/1"}


def superseded(task: object = TASK, **service: object) -> bool:
    said = Said(describe_tasks={"tasks": [task]}, describe_services={"services": [service]})
    metadata = TaskMetadata(
        task_arn="t",
        cluster="c",
        region="r",
        service_name=None,
        family="f",
        revision="1",
        desired_status=None,
        known_status=None,
        launch_type=None,
        availability_zone=None,
    )
    return Deployments(said, metadata).superseded()


def test_the_primary_deployment_may_stand_anywhere_in_the_list() -> None:
    older, newer = {"id": "ecs-svc/1", "status": "ACTIVE"}, {"id": "ecs-svc/2", "status": "PRIMARY"}
    assert superseded(deployments=[older, newer])
    assert superseded(deployments=[newer])
    assert not superseded(deployments=[{**older, "status": "PRIMARY"}, {**newer, "status": "ACTIVE"}])


def test_a_service_that_ecs_itself_does_not_deploy_cannot_be_judged_and_that_is_for_good() -> None:
    with pytest.raises(EcsRequestError, match="deployment controller ECS"):
        superseded(deployments=[], taskSets=[{"id": "ecs-svc/2", "status": "PRIMARY"}])


@pytest.mark.parametrize(
    "deployments",
    [None, "none", [5], [{"id": "ecs-svc/2"}], [{"status": "PRIMARY"}], [{"id": 2, "status": "PRIMARY"}]],
    ids=str,
)
def test_deployments_that_are_none_supersede_nobody(deployments: object) -> None:
    with pytest.raises(EcsUnavailableError, match="unusable answer"):
        superseded(deployments=deployments)


@pytest.mark.parametrize(
    "task", [None, 5, {}, {**TASK, "group": 5}, {**TASK, "startedBy": None}, {"group": "service:worker"}], ids=str
)
def test_a_task_that_cannot_be_read_is_superseded_by_nothing(task: object) -> None:
    with pytest.raises(EcsUnavailableError, match="unusable answer"):
        superseded(task=task, deployments=[{"id": "ecs-svc/2", "status": "PRIMARY"}])
