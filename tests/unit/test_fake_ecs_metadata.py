"""FakeEcsApi serves the task metadata endpoint, version 4, of every task of its clusters."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from protectwork.testing import FakeClock, FakeEcsApi

from .ecs_client import metadata


@pytest.fixture
def ecs(fake_clock: FakeClock) -> Iterator[FakeEcsApi]:
    with FakeEcsApi(clock=fake_clock) as ecs:
        yield ecs


def test_a_task_finds_what_it_belongs_to(ecs: FakeEcsApi):
    told = metadata(ecs)

    expected = {
        "Cluster": "arn:aws:ecs:us-west-2:111122223333:cluster/work",
        "TaskARN": ecs.task.arn,
        "Family": "worker",
        "Revision": "1",
        "ServiceName": "worker",
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "AvailabilityZone": "us-west-2a",
        "LaunchType": "FARGATE",
        "PullStartedAt": "2030-01-01T00:00:00Z",
    }
    assert {name: told[name] for name in expected} == expected
    assert [container["Name"] for container in told["Containers"]] == ["worker"]


def test_a_container_finds_itself(ecs: FakeEcsApi):
    ecs.placement.containers = ("web", "side")

    assert [metadata(ecs)["Containers"][place]["Name"] for place in (0, 1)] == ["web", "side"]
    assert metadata(ecs, path="")["Name"] == "web"
    with urllib.request.urlopen(ecs.metadata_uri_of(ecs.placement, "side")) as answer:
        told = json.load(answer)
    assert told["Name"] == "side"
    assert told["ContainerARN"].startswith("arn:aws:ecs:us-west-2:111122223333:container/work/")
    assert told["Labels"]["com.amazonaws.ecs.task-arn"] == ecs.task.arn


def test_a_task_that_is_to_stop_is_told_so(ecs: FakeEcsApi):
    ecs.placement.stop()

    told = metadata(ecs)
    assert (told["DesiredStatus"], told["KnownStatus"]) == ("STOPPED", "RUNNING")
    assert told["Containers"][0]["DesiredStatus"] == "STOPPED"


def test_metadata_may_say_less_or_otherwise(ecs: FakeEcsApi):
    ecs.placement.metadata = {"Cluster": "work", "ServiceName": None, "Limits": None}
    told = metadata(ecs)
    assert told["Cluster"] == "work"
    assert not {"ServiceName", "Limits"} & told.keys()

    assert "ServiceName" not in metadata(ecs, ecs.cluster.run_task())


def test_every_task_and_every_fake_has_ids_of_its_own(ecs: FakeEcsApi):
    another = ecs.service.start()
    with FakeEcsApi() as other:
        uris = [ecs.metadata_uri, ecs.metadata_uri_of(another), other.metadata_uri]
        assert len({uri.rpartition("/")[2] for uri in uris}) == 3
        assert ecs.task.arn == other.task.arn
    assert ecs.metadata_uri == uris[0]
    assert metadata(ecs, another)["TaskARN"] == another.arn
    assert ecs.environ(another)["ECS_CONTAINER_METADATA_URI_V4"] == uris[1]


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/v4/nobody/task", "GET", 404), ("/v4/nobody/stats", "GET", 404), ("{own}/task", "PUT", 405)],
)
def test_what_is_not_there_is_not_found(ecs: FakeEcsApi, path: str, method: str, status: int):
    own = ecs.metadata_uri.removeprefix(ecs.url)
    request = urllib.request.Request(ecs.url + path.format(own=own), method=method)

    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request)
    assert error.value.code == status
    error.value.close()


def test_it_remembers_who_asked_and_counts_it_to_nobodys_quota(ecs: FakeEcsApi):
    metadata(ecs)
    metadata(ecs, path="")

    calls: list[Any] = [(call.path.endswith("/task"), call.status) for call in ecs.calls_of("metadata")]
    assert calls == [(True, 200), (False, 200)]
    assert ecs.quota.taken == 0
