"""FakeEcsApi answers a real client of boto3 as ECS does: five operations, with their limits and their failures."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from protectwork._errors import SettingsError
from protectwork.testing import Call, Cause, FakeAgent, FakeClock, FakeEcsApi, FakeTask, Placement, Quota
from protectwork.testing._pytest_server import PytestServer
from protectwork.testing._server import StdlibServer

from . import agent_client
from .ecs_client import client_of, said


@pytest.fixture
def ecs(fake_clock: FakeClock) -> Iterator[FakeEcsApi]:
    with FakeEcsApi(clock=fake_clock, delay_scale=0) as ecs:
        yield ecs


@pytest.fixture
def client(ecs: FakeEcsApi) -> Iterator[Any]:
    with client_of(ecs) as client:
        yield client


def update(client: Any, *tasks: str, enabled: bool = True, cluster: str = "work", **more: Any) -> dict[str, Any]:
    return said(client.update_task_protection(cluster=cluster, tasks=[*tasks], protectionEnabled=enabled, **more))


def get(client: Any, *tasks: str, cluster: str = "work") -> dict[str, Any]:
    return said(client.get_task_protection(cluster=cluster, tasks=[*tasks]))


def missing(arn: str) -> dict[str, Any]:
    return {"arn": arn, "reason": "MISSING"}


# -- protection


def test_a_task_is_protected_until_its_time_is_over(ecs: FakeEcsApi, client: Any, fake_clock: FakeClock):
    arn, began = ecs.task.arn, datetime.fromtimestamp(fake_clock.wall(), UTC)
    protected = {"taskArn": arn, "protectionEnabled": True, "expirationDate": began + timedelta(minutes=2)}

    assert update(client, arn, expiresInMinutes=2) == {"protectedTasks": [protected], "failures": []}
    fake_clock.advance(119)
    assert get(client, arn) == {"protectedTasks": [protected], "failures": []}
    fake_clock.advance(1)
    assert get(client, arn) == {"protectedTasks": [{"taskArn": arn, "protectionEnabled": False}], "failures": []}
    assert [(change.time - ecs.now(), change.cause) for change in ecs.changes] == [
        (-120, Cause.CALL),
        (0, Cause.EXPIRY),
    ]


def test_protection_lasts_two_hours_unless_asked_otherwise(ecs: FakeEcsApi, client: Any):
    update(client, ecs.task.arn)

    assert ecs.changes[-1].expires == ecs.now() + 120 * 60


def test_every_enable_replaces_the_expiry_a_shorter_one_too(ecs: FakeEcsApi, client: Any):
    update(client, ecs.task.arn, expiresInMinutes=60)
    update(client, ecs.task.arn, expiresInMinutes=5)

    assert [change.expires for change in ecs.changes] == [ecs.now() + 3600, ecs.now() + 300]


def test_a_disable_ends_protection_whatever_minutes_it_names(ecs: FakeEcsApi, client: Any):
    update(client, ecs.task.arn)

    assert update(client, ecs.task.arn, enabled=False, expiresInMinutes=0) == {
        "protectedTasks": [{"taskArn": ecs.task.arn, "protectionEnabled": False}],
        "failures": [],
    }
    assert not ecs.protected


def test_tasks_and_clusters_have_ids_and_arns(ecs: FakeEcsApi, client: Any):
    update(client, ecs.placement.id)
    assert get(client, ecs.task.arn, cluster=ecs.cluster.arn)["protectedTasks"][0]["protectionEnabled"]


def test_one_call_may_protect_ten_tasks_and_fails_for_each_apart(ecs: FakeEcsApi, client: Any):
    ecs.service.desired = 10
    tasks = [ecs.placement, *(ecs.service.start() for _ in range(6))]
    alone, gone, stopped = ecs.cluster.run_task(), ecs.service.start(), ecs.service.start()
    gone.forget()
    stopped.end()

    told = update(client, *(one.arn for one in [*tasks, alone, gone]), "0" * 32)

    assert [one["taskArn"] for one in told["protectedTasks"]] == [one.arn for one in tasks]
    assert told["failures"] == [
        {"arn": alone.arn, "reason": "TASK_NOT_VALID"},
        missing(gone.arn),
        missing(f"arn:aws:ecs:us-west-2:111122223333:task/work/{'0' * 32}"),
    ]
    assert [one.task.protected for one in tasks] == [True] * 7
    assert not any(one.task.protected for one in (alone, gone))
    assert get(client, stopped.arn)["failures"] == [missing(stopped.arn)]


def test_a_task_of_another_cluster_is_missing(ecs: FakeEcsApi, client: Any):
    ecs.add_cluster("other")

    assert get(client, ecs.task.arn, cluster="other")["failures"] == [missing(ecs.task.arn)]


def test_while_more_are_protected_than_desired_enables_and_renewals_are_refused(ecs: FakeEcsApi, client: Any):
    service = ecs.cluster.add_service("mail", desired=3)
    one, two, three = service.tasks
    update(client, one.arn, two.arn)
    service.desired = 1
    expires = one.task.expires

    told = update(client, one.arn, three.arn)

    assert [(failure["arn"], failure["reason"]) for failure in told["failures"]] == [
        (one.arn, "DEPLOYMENT_BLOCKED"),
        (three.arn, "DEPLOYMENT_BLOCKED"),
    ]
    assert (one.task.expires, three.task.expires) == (expires, None)
    assert get(client, one.arn)["failures"] == []
    assert update(client, two.arn, enabled=False)["failures"] == []
    assert update(client, one.arn)["failures"] == []


@pytest.mark.parametrize(("blocked", "failures"), [(True, 1), (False, 0)])
def test_a_test_may_say_whether_a_service_is_blocked(ecs: FakeEcsApi, client: Any, blocked: bool, failures: int):
    ecs.service.desired = 1 if blocked else 0
    ecs.service.blocked = blocked
    ecs.task.enable()

    assert len(update(client, ecs.task.arn)["failures"]) == failures


# -- limits


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("update_task_protection", {"tasks": [], "protectionEnabled": True}),
        ("update_task_protection", {"tasks": ["a"] * 11, "protectionEnabled": True}),
        ("update_task_protection", {"tasks": ["a"], "protectionEnabled": True, "expiresInMinutes": 0}),
        ("update_task_protection", {"tasks": ["a"], "protectionEnabled": True, "expiresInMinutes": 2881}),
        ("get_task_protection", {"tasks": []}),
        ("get_task_protection", {}),
        ("get_task_protection", {"tasks": ["a"] * 101}),
        ("describe_tasks", {"tasks": []}),
        ("describe_tasks", {"tasks": ["a"] * 101}),
        ("describe_services", {"services": []}),
        ("describe_services", {"services": ["a"] * 11}),
        ("list_tasks", {"maxResults": 101}),
        ("list_tasks", {"maxResults": -1}),
        ("list_tasks", {"nextToken": "garbage"}),
        ("list_tasks", {"desiredStatus": "PAUSED"}),
    ],
)
def test_what_is_outside_its_limits_is_an_invalid_parameter(
    ecs: FakeEcsApi, client: Any, operation: str, parameters: dict[str, Any]
):
    with pytest.raises(client.exceptions.InvalidParameterException):
        getattr(client, operation)(cluster="work", **parameters)

    assert ecs.changes == ()


@pytest.mark.parametrize("minutes", [1, 2880])
def test_the_limits_of_the_minutes_belong_to_them(ecs: FakeEcsApi, client: Any, minutes: int):
    assert update(client, ecs.task.arn, expiresInMinutes=minutes)["failures"] == []


def test_true_is_no_number_of_minutes_though_botocore_takes_it_for_one(ecs: FakeEcsApi, client: Any):
    with pytest.raises(ClientError, match="SerializationException"):
        update(client, ecs.task.arn, expiresInMinutes=True)
    assert not ecs.protected


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("update_task_protection", {"tasks": ["a"], "protectionEnabled": True}),
        ("get_task_protection", {"tasks": ["a"]}),
        ("describe_tasks", {"tasks": ["a"]}),
        ("describe_services", {"services": ["a"]}),
        ("list_tasks", {}),
    ],
)
def test_every_operation_knows_when_the_cluster_is_wrong(client: Any, operation: str, parameters: dict[str, Any]):
    with pytest.raises(client.exceptions.ClusterNotFoundException):
        getattr(client, operation)(cluster="wrong", **parameters)


def test_without_a_cluster_it_is_the_default_one(ecs: FakeEcsApi, client: Any):
    with pytest.raises(client.exceptions.ClusterNotFoundException):
        client.list_tasks()

    alone = ecs.add_cluster("default").run_task()
    assert client.list_tasks()["taskArns"] == [alone.arn]


@pytest.mark.parametrize(
    ("target", "body", "code"),
    [
        ("GetTaskProtection", "{", "SerializationException"),
        ("GetTaskProtection", "[" * 100_000, "SerializationException"),
        ("GetTaskProtection", "[]", "SerializationException"),
        ("GetTaskProtection", '{"cluster": 7}', "SerializationException"),
        ("GetTaskProtection", '{"cluster": "work", "tasks": [1]}', "SerializationException"),
        ("GetTaskProtection", '{"cluster": "work", "tasks": "a"}', "SerializationException"),
        ("GetTaskProtection", '{"tasks": ["a"]}', "InvalidParameterException"),
        ("UpdateTaskProtection", '{"cluster": "work", "tasks": ["a"]}', "InvalidParameterException"),
        ("RunTask", "{}", "UnknownOperationException"),
    ],
)
def test_what_botocore_would_not_send_is_refused_too(ecs: FakeEcsApi, target: str, body: str, code: str):
    connection = http.client.HTTPConnection("127.0.0.1", ecs.port, timeout=10)
    connection.request("POST", "/", body, {"X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{target}"})
    answer = connection.getresponse()

    assert (answer.status, json.load(answer)["__type"]) == (400, code)
    assert [call.operation for call in ecs.calls] == [target]
    connection.close()


# -- lists and descriptions


def test_a_thousand_tasks_are_listed_in_ten_pages(ecs: FakeEcsApi, client: Any):
    service = ecs.cluster.add_service("big", desired=1000)

    pages = list(client.get_paginator("list_tasks").paginate(cluster="work", serviceName="big"))

    assert [len(page["taskArns"]) for page in pages] == [100] * 10
    assert [arn for page in pages for arn in page["taskArns"]] == [one.arn for one in service.tasks]
    assert len(ecs.calls_of("ListTasks")) == 10


def test_a_token_goes_with_the_filters_that_it_was_given_for(ecs: FakeEcsApi, client: Any):
    ecs.cluster.add_service("mail", desired=3)
    token = client.list_tasks(cluster="work", serviceName="mail", maxResults=1)["nextToken"]

    assert len(client.list_tasks(cluster="work", serviceName="mail", nextToken=token)["taskArns"]) == 2
    with pytest.raises(client.exceptions.InvalidParameterException):
        client.list_tasks(cluster="work", serviceName="worker", nextToken=token)


def test_lists_are_filtered(ecs: FakeEcsApi, client: Any):
    mail = ecs.cluster.add_service("mail", desired=2, launch_type="EC2")
    alone = ecs.cluster.run_task(family="nightly", started_by="cron")
    stopping, mailer = mail.tasks
    stopping.stop()

    def listed(**filters: str) -> list[str]:
        return said(client.list_tasks(cluster="work", **filters))["taskArns"]

    assert listed() == [ecs.task.arn, mailer.arn, alone.arn]
    assert listed(serviceName="mail") == listed(serviceName=mail.arn) == listed(launchType="EC2") == [mailer.arn]
    assert listed(serviceName="mail", desiredStatus="STOPPED") == [stopping.arn]
    assert listed(desiredStatus="PENDING") == []
    assert listed(family="nightly") == listed(startedBy="cron") == [alone.arn]
    assert listed(startedBy=mail.primary.id) == [mailer.arn]
    with pytest.raises(client.exceptions.ServiceNotFoundException):
        listed(serviceName="wrong")


def test_a_task_tells_of_its_service_and_of_its_deployment(ecs: FakeEcsApi, client: Any, fake_clock: FakeClock):
    fake_clock.advance(60)
    pending = ecs.service.start(running=False)
    began = datetime.fromtimestamp(fake_clock.wall(), UTC)
    fake_clock.advance(10)
    pending.run()
    gone = ecs.service.start()
    gone.forget()

    told = said(client.describe_tasks(cluster="work", tasks=[pending.id, gone.arn, "x"]))

    assert told["failures"] == [missing(gone.arn), missing("arn:aws:ecs:us-west-2:111122223333:task/work/x")]
    (task,) = told["tasks"]
    assert {name: task[name] for name in ("taskArn", "group", "startedBy", "lastStatus", "desiredStatus")} == {
        "taskArn": pending.arn,
        "group": "service:worker",
        "startedBy": ecs.service.primary.id,
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
    }
    assert (task["createdAt"], task["startedAt"]) == (began, began + timedelta(seconds=10))
    assert task["taskDefinitionArn"] == "arn:aws:ecs:us-west-2:111122223333:task-definition/worker:1"
    assert [container["name"] for container in task["containers"]] == ["worker"]


def test_a_task_tells_why_it_stopped(ecs: FakeEcsApi, client: Any):
    one, another = ecs.placement, ecs.service.start()
    one.stop(code="SpotInterruption", reason="Your Spot Task was interrupted.")
    another.end()

    told = [*client.describe_tasks(cluster="work", tasks=[one.arn, another.arn])["tasks"]]

    assert [(task["desiredStatus"], task["lastStatus"], task["stopCode"]) for task in told] == [
        ("STOPPED", "RUNNING", "SpotInterruption"),
        ("STOPPED", "STOPPED", "EssentialContainerExited"),
    ]
    assert ["stoppedAt" in task for task in told] == [False, True]


def test_a_service_tells_of_its_deployments(ecs: FakeEcsApi, client: Any):
    service = ecs.cluster.add_service("mail", desired=3, revision=7)
    old, new = service.primary, service.deploy()
    first = service.start()
    service.start(running=False)

    def deployments() -> list[tuple[Any, ...]]:
        (told,) = client.describe_services(cluster="work", services=["mail"])["services"]
        names = ("id", "status", "rolloutState", "desiredCount", "runningCount", "pendingCount")
        return [(*(one[name] for name in names), one["taskDefinition"][-1]) for one in told["deployments"]]

    assert deployments() == [
        (new.id, "PRIMARY", "IN_PROGRESS", 3, 1, 1, "8"),
        (old.id, "ACTIVE", "COMPLETED", 3, 3, 0, "7"),
    ]

    for one in old.tasks:
        one.end()
    new.tasks[1].run()
    service.start()
    assert deployments() == [
        (new.id, "PRIMARY", "COMPLETED", 3, 3, 0, "8"),
        (old.id, "INACTIVE", "COMPLETED", 0, 0, 0, "7"),
    ]

    assert service.roll_back() is old
    assert deployments() == [
        (old.id, "PRIMARY", "IN_PROGRESS", 3, 0, 0, "7"),
        (new.id, "ACTIVE", "FAILED", 3, 3, 0, "8"),
    ]
    assert first.started_by == new.id


def test_a_service_with_one_deployment_cannot_be_rolled_back(ecs: FakeEcsApi):
    with pytest.raises(SettingsError, match="roll_back must be called after deploy, got no deployment before ecs-svc/"):
        ecs.service.roll_back()


def test_services_have_names_and_arns_and_may_be_missing(ecs: FakeEcsApi, client: Any):
    told = said(client.describe_services(cluster="work", services=["worker", ecs.service.arn, "x"]))

    assert {one["serviceArn"] for one in told["services"]} == {ecs.service.arn}
    assert told["failures"] == [missing("arn:aws:ecs:us-west-2:111122223333:service/work/x")]


# -- one state with the agent


def test_both_backends_see_one_protection_and_one_timeline(ecs: FakeEcsApi, client: Any):
    with FakeAgent(ecs.task) as agent:
        agent_client.put(agent, enabled=True, minutes=5)
        assert get(client, ecs.task.arn)["protectedTasks"][0]["protectionEnabled"]

        update(client, ecs.task.arn, enabled=False)
        assert agent_client.get(agent).said["protection"]["ProtectionEnabled"] is False
        assert agent.changes == ecs.changes
        assert [change.protected for change in ecs.changes] == [True, False]
        assert ([call.call for call in ecs.calls], len(agent.calls)) == ([Call.GET, Call.DISABLE], 2)


def test_the_agent_knows_the_rules_of_the_cluster(ecs: FakeEcsApi):
    with FakeAgent(ecs.task) as agent:
        ecs.service.blocked = True
        refused = agent_client.put(agent, enabled=True).said["failure"]
        assert refused["Reason"] == "DEPLOYMENT_BLOCKED"
        assert "protection" in agent_client.get(agent).said
        assert "protection" in agent_client.put(agent, enabled=False).said

        ecs.placement.forget()
        assert agent_client.get(agent).said == {
            "failure": {"Arn": ecs.task.arn, "Detail": None, "Reason": "MISSING"},
        }
    alone: Placement = ecs.cluster.run_task()
    with FakeAgent(alone.task) as agent:
        assert agent_client.put(agent, enabled=True).said["failure"]["Reason"] == "TASK_NOT_VALID"
        assert not agent.protected


def test_a_task_of_an_agent_may_be_taken_over():
    task = FakeTask("arn:aws:ecs:eu-central-1:444455556666:task/old-style")
    with FakeAgent(task) as agent, FakeEcsApi(agent.task) as ecs:
        assert (ecs.cluster.name, ecs.cluster.region, ecs.cluster.account) == (
            "default",
            "eu-central-1",
            "444455556666",
        )
        agent_client.put(agent, enabled=True)
        assert ecs.protected


# -- the account's quota


def test_the_account_has_two_hundred_calls_and_eighty_more_each_second(
    ecs: FakeEcsApi, client: Any, fake_clock: FakeClock
):
    with FakeAgent(ecs.task, quota=ecs.quota) as agent:
        for _ in range(100):
            update(client, ecs.task.arn)
            agent_client.get(agent)
        with pytest.raises(ClientError, match="ThrottlingException"):
            get(client, ecs.task.arn)
        throttled = agent_client.put(agent, enabled=False)
        assert (throttled.status, throttled.said["error"]["Code"]) == (400, "ThrottlingException")
        client.list_tasks(cluster="work")
        assert ecs.protected
        assert (ecs.quota.taken, ecs.quota.refused) == (200, 2)

        fake_clock.advance(1 / 80)
        agent_client.put(agent, enabled=False)
        assert not ecs.protected
        with pytest.raises(ClientError, match="ThrottlingException"):
            get(client, ecs.task.arn)


def test_an_unused_quota_fills_up_to_the_burst(fake_clock: FakeClock):
    with FakeEcsApi(clock=fake_clock) as ecs:
        quota = Quota(ecs.time, burst=2, per_s=1)
        fake_clock.advance(3600)

        assert [quota.take() for _ in range(3)] == [True, True, False]


# -- what it remembers, and where it is


def test_it_remembers_every_request_by_operation(ecs: FakeEcsApi, client: Any, fake_clock: FakeClock):
    began = ecs.now()
    update(client, ecs.task.arn, expiresInMinutes=7)
    fake_clock.advance(5)
    get(client, ecs.task.arn)
    with pytest.raises(client.exceptions.InvalidParameterException):
        get(client)
    client.list_tasks(cluster="work")

    assert [(call.time - began, call.operation, call.call, call.minutes, call.status) for call in ecs.calls] == [
        (0, "UpdateTaskProtection", Call.ENABLE, 7, 200),
        (5, "GetTaskProtection", Call.GET, None, 200),
        (5, "GetTaskProtection", None, None, 400),
        (5, "ListTasks", Call.LIST_TASKS, None, 200),
    ]
    assert ecs.calls_of("GetTaskProtection") == ecs.calls[1:3]
    assert json.loads(ecs.calls[0].request.body)["tasks"] == [ecs.task.arn]
    assert (ecs.enables, ecs.disables) == (ecs.calls[:1], ())


def test_a_client_finds_it_by_the_environment(ecs: FakeEcsApi, monkeypatch: pytest.MonkeyPatch):
    import boto3

    for name, value in ecs.environ().items():
        monkeypatch.setenv(name, value)
    client = boto3.Session().client("ecs")

    assert get(client, ecs.task.arn)["failures"] == []
    client.close()


@pytest.mark.parametrize("server", [StdlibServer, PytestServer])
def test_either_server_stands_in_front_of_it(server: Any):
    with FakeEcsApi(server=server) as ecs, client_of(ecs) as client:
        update(client, ecs.task.arn)

        assert ecs.protected
