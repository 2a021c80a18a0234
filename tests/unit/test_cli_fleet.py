"""protectwork fleet: which tasks are protected, and which deployments wait for them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner, Result
from programs import run

from protectwork.cli import cli
from protectwork.testing import FakeEcsApi, faults


@pytest.fixture
def ecs(monkeypatch) -> Iterator[FakeEcsApi]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with FakeEcsApi(delay_scale=0) as ecs:
        for name, value in ecs.environ().items():
            monkeypatch.setenv(name, value)
        yield ecs


def fleet(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["fleet", "--cluster", "work", *arguments])


def as_json(*arguments: str) -> dict:
    result = fleet("--json", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def rolled(ecs: FakeEcsApi):
    """A service of four tasks, three protected, of which two are left when its next deployment has begun."""
    service = ecs.cluster.add_service("web", desired=4)
    old = list(service.tasks)
    for minutes, placement in zip((10, 130, 70), old, strict=False):
        placement.task.enable(minutes)
    service.deploy()
    old[2].end()
    old[3].end()
    new = [service.start() for _ in range(2)]
    new[0].task.enable(600)
    return service, old[:2], new


def words(result: Result) -> list[str]:
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


# --- for people


def test_each_task_is_told_with_its_deployment_and_protection_and_the_old_ones_come_first(ecs):
    service, old, new = rolled(ecs)
    result = fleet("--service", "web")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = words(result)
    assert lines[0] == "task service deployment started protected expires in"
    table = {line.split()[0]: line for line in lines[1:5]}
    assert {line.split()[0] for line in lines[1:3]} == {placement.id for placement in old}
    started = datetime.now(UTC).strftime("%Y-")
    assert table[old[0].id].startswith(f"{old[0].id} web old, web:1 {started}")
    assert " UTC yes 9 min 5" in table[old[0].id]
    assert " UTC yes 2 h 9 min" in table[old[1].id]
    assert f"{new[0].id} web primary, web:2 {started}" in table[new[0].id]
    assert table[new[1].id].endswith(" UTC no -")
    assert lines[5] == "4 running in web in work, 3 protected"
    assert service.primary.revision == 2


def test_the_last_line_says_who_holds_which_deployment_back_and_for_how_long_at_most(ecs):
    service, old, _ = rolled(ecs)
    [*_, last] = words(fleet())
    before, _, rest = last.partition("(")
    named, _, after = rest.partition(") ")
    assert before == "web: 2 protected tasks of older deployments "
    assert sorted(named.split(", ")) == sorted(placement.id for placement in old)
    assert after == f"hold back web:2 ({service.primary.id}), for 2 h 9 min more at most, if not renewed"


def test_where_nobody_waits_the_last_line_says_so(ecs):
    ecs.task.enable(60)
    [*_, last] = words(fleet())
    assert last == "no deployment waits for a protected task"


def test_many_that_hold_back_are_counted_and_some_are_named(ecs):
    service = ecs.cluster.add_service("web", desired=6)
    for placement in service.tasks:
        placement.task.enable(30)
    service.deploy()
    [*_, last] = words(fleet())
    assert last.startswith("web: 6 protected tasks of older deployments (")
    assert ", 3 more) hold back web:2" in last


def test_a_rollback_waits_for_the_tasks_of_what_failed(ecs):
    service = ecs.cluster.add_service("web", desired=1)
    before = service.primary
    service.deploy()
    late = service.start()
    late.task.enable(60)
    service.roll_back(reason="it failed")
    [held] = as_json()["held_back"]
    assert (held["deployment"], held["revision"], held["tasks"]) == (before.id, "web:1", [late.arn])


def test_a_cluster_without_tasks_is_told_as_such(ecs):
    ecs.add_cluster("empty")
    result = CliRunner().invoke(cli, ["fleet", "--cluster", "empty"])
    assert result.exit_code == 0
    assert words(result) == ["0 running in empty, 0 protected", "no deployment waits for a protected task"]


def test_a_task_of_no_service_and_one_that_has_ended_are_told_as_such(ecs):
    lone, gone = ecs.cluster.run_task(), ecs.service.start()
    gone.forget()
    table = {line.split()[0]: line for line in words(fleet())[1:-2]}
    assert table[lone.id].startswith(f"{lone.id} - job:1 ")
    assert table[lone.id].endswith(" of no service -")
    assert "MISSING" in table[gone.id]
    assert words(fleet())[-2] == "3 running in work, 0 protected, 1 MISSING"


def test_what_ecs_says_is_shown_as_text_and_never_as_markup_or_control(ecs):
    ecs.fail(faults.Refuse("[bold]\x1b[2J"), times=None, only="get")
    result = fleet()
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "[bold]" in result.stdout


# --- for machines


def test_json_tells_every_key(ecs):
    service, old, new = rolled(ecs)
    told = as_json("--service", "web")
    assert (told["cluster"], told["service"]) == ("work", "web")
    tasks = {task["task_arn"]: task for task in told["tasks"]}
    assert tasks.keys() == {placement.arn for placement in (*old, *new)}
    task = tasks[old[1].arn]
    started_at, expires_at = task.pop("started_at"), task.pop("expires_at")
    assert datetime.fromisoformat(started_at) < datetime.fromisoformat(expires_at)
    assert started_at.endswith("Z")
    assert 7000 < task.pop("seconds_left") < 7800
    assert task == {
        "task_arn": old[1].arn,
        "service": "web",
        "deployment": old[1].started_by,
        "primary": False,
        "revision": "web:1",
        "protected": True,
        "failure": None,
    }
    assert tasks[new[1].arn]["primary"] is True
    assert (tasks[new[1].arn]["protected"], tasks[new[1].arn]["expires_at"]) == (False, None)
    [held] = told["held_back"]
    assert held["until"] == expires_at
    assert 7000 < held["seconds_left"] < 7800
    assert (held["service"], held["deployment"], held["revision"]) == ("web", service.primary.id, "web:2")
    assert sorted(held["tasks"]) == sorted(placement.arn for placement in old)


def test_without_a_service_all_tasks_of_the_cluster_are_told(ecs):
    ecs.cluster.add_service("web", desired=2)
    lone = ecs.cluster.run_task()
    told = as_json()
    assert told["service"] is None
    assert [task["service"] for task in told["tasks"]] == ["web", "web", "worker", None]
    assert told["tasks"][-1]["task_arn"] == lone.arn
    assert told["tasks"][-1]["failure"] == {"reason": "TASK_NOT_VALID", "detail": None}


# --- a large fleet


def test_a_thousand_tasks_cost_ten_calls_and_those_that_are_missing_are_listed(ecs):
    service = ecs.cluster.add_service("big", desired=1000)
    for placement in service.tasks[:37]:
        placement.forget()
    service.tasks[500].task.enable(60)
    told = as_json("--service", "big")
    assert len(ecs.calls_of("GetTaskProtection")) <= 10
    assert len(ecs.calls_of("ListTasks")) <= 10
    assert len(ecs.calls_of("DescribeTasks")) <= 10
    assert len(ecs.calls_of("DescribeServices")) == 1
    missing = [task for task in told["tasks"] if task["failure"]]
    assert len(told["tasks"]) == 1000
    assert [task["failure"]["reason"] for task in missing] == ["MISSING"] * 37
    assert {task["protected"] for task in missing} == {None}
    assert sum(task["protected"] is True for task in told["tasks"]) == 1


def test_more_services_than_one_question_takes_are_all_told(ecs):
    for number in range(12):
        ecs.cluster.add_service(f"s{number}", desired=1)
    told = as_json()
    assert len(told["tasks"]) == 13
    assert all(task["primary"] for task in told["tasks"])
    assert len(ecs.calls_of("DescribeServices")) == 2


# --- what goes wrong: one line that says what to do


def one_line(result: Result, code: int) -> str:
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_a_wrong_cluster_is_one_line(ecs):
    result = CliRunner().invoke(cli, ["fleet", "--cluster", "no-such"])
    assert one_line(result, 3) == (
        "protectwork: ecs:ListTasks failed: ClusterNotFoundException (Cluster not found.);"
        " look at the name, and at the account and Region that were asked\n"
    )


def test_a_wrong_service_is_one_line(ecs):
    assert "ServiceNotFoundException" in one_line(fleet("--service", "no-such"), 3)


@pytest.mark.parametrize(
    ("mode", "names"),
    [("expired_token", "aws sso login"), ("access_denied", "allow ecs:ListTasks"), ("invalid_parameter", "asked")],
)
def test_what_ecs_refuses_is_one_line_with_the_remedy(ecs, mode, names):
    ecs.fail(faults.Ecs(mode), times=None)
    assert names in one_line(fleet(), 3)


@pytest.mark.parametrize("only", ["list-tasks", "describe-tasks", "describe-services", "get"])
@pytest.mark.parametrize("kind", ["neither", "text", "shape"])
def test_a_garbage_200_is_one_line(ecs, only, kind):
    ecs.fail(faults.Garbage(kind), times=None, only=only)
    assert "usable answer" in one_line(fleet(), 3)


def test_no_credentials_are_one_line(ecs, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    assert "give credentials" in one_line(fleet(), 3)


def test_no_region_is_one_line(ecs, monkeypatch, tmp_path):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert "give the Region, or set AWS_REGION or AWS_DEFAULT_REGION" in one_line(fleet(), 3)
    assert fleet("--region", "eu-west-1").exit_code == 0
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert fleet().exit_code == 0, "which boto3 alone would not read"


def test_nobody_there_is_one_line(ecs, monkeypatch):
    ecs.close()
    told = one_line(fleet(), 3)
    assert "EndpointConnectionError" in told
    assert "look at the Region" in told, "a wrong one has no such host"


def test_an_endpoint_that_is_no_url_is_not_blamed_on_the_network(ecs, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", "localhost:8000")
    assert "look at AWS_ENDPOINT_URL_ECS" in one_line(fleet(), 3)


def test_without_a_cluster_it_is_wrong_usage(ecs):
    assert CliRunner().invoke(cli, ["fleet"]).exit_code == 2
    assert "cluster must be a name" in CliRunner().invoke(cli, ["fleet", "--cluster", ""]).stderr


NO_BOTO3 = """
import sys
sys.modules["boto3"] = None
sys.argv = ["protectwork", "fleet", "--cluster", "work"]
from protectwork.__main__ import main
main()
"""


def test_without_boto3_it_is_one_line_that_says_how_to_get_it():
    done = run(NO_BOTO3)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert 'pip install "protectwork[ecs]"' in done.err
