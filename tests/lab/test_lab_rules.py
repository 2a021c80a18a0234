"""A service of the lab keeps ECS's rules, with real processes, real signals and real calls."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from unit import agent_client
from unit.ecs_client import client_of

from protectwork import SettingsError, lab
from protectwork.lab import Cause, Container, EventKind
from protectwork.testing import faults

from .services import DEAF, SLEEP, TELLS, deaf, environ, happened, looks, names, put, service, settle, until

PROTECTS = """
import json, os, sys, time, urllib.request
uri = os.environ["ECS_AGENT_URI"] + "/task-protection/v1/state"
body = json.dumps({"ProtectionEnabled": True, "ExpiresInMinutes": int(sys.argv[1])}).encode()
print(urllib.request.urlopen(urllib.request.Request(uri, body, method="PUT")).read().decode(), flush=True)
time.sleep(1000)
"""
"""Protects its task by its agent, tells what that answered, and sleeps."""


@pytest.fixture
def four() -> Iterator[lab.Service]:
    with service(desired=4) as one:
        settle(one)
        yield one


# -- scaling


def test_a_service_has_as_many_tasks_as_desired(four: lab.Service):
    assert names(four) == ["worker-1", "worker-2", "worker-3", "worker-4"]
    four.scale(6)
    assert settle(four) == [f"worker-{number}" for number in range(1, 7)]
    four.scale(0)
    assert settle(four) == []
    assert len(happened(four, EventKind.TASK_STARTED)) == 6


def test_a_protected_task_is_never_chosen(four: lab.Service):
    for task in ("worker-2", "worker-4"):
        assert "protection" in put(four, task)

    four.scale(1)
    until(four, lambda: names(four) == ["worker-2", "worker-4"])
    looks(four)

    assert names(four) == ["worker-2", "worker-4"]
    put(four, "worker-2", enabled=False)
    assert settle(four) == ["worker-4"]
    assert four.report().stops == {Cause.SCALE_IN: 3}


def test_protection_that_expires_makes_a_task_eligible(four: lab.Service):
    put(four, "worker-1", minutes=1)
    put(four, "worker-3", minutes=2)
    four.scale(1)
    until(four, lambda: names(four) == ["worker-1", "worker-3"])

    four.ecs.advance(60)

    assert settle(four) == ["worker-3"]


def test_the_same_seed_chooses_the_same_tasks():
    left: list[list[str]] = []
    for seed in (1, 1, 2, 3, 4):
        with service(desired=6, seed=seed) as one:
            settle(one)
            one.scale(3)
            left.append(settle(one))

    assert left[0] == left[1]
    assert any(names != left[0] for names in left)


def test_a_task_that_dies_is_replaced(four: lab.Service):
    with four._engine.changed:  # type: ignore[union-attr] - it runs
        four._engine.tasks[0].processes[0].kill()  # type: ignore[union-attr]

    until(four, lambda: "worker-5" in names(four))
    assert settle(four) == ["worker-2", "worker-3", "worker-4", "worker-5"]
    assert four.report().stops == {Cause.EXIT: 1}


def test_a_program_that_always_fails_is_not_started_over_and_over():
    with service([sys.executable, "-I", "-S", "-c", "raise SystemExit(3)"], desired=2) as one:
        until(one, lambda: len(happened(one, EventKind.TASK_ENDED)) >= 4)
        assert len(happened(one, EventKind.TASK_STARTED)) <= 8
        details = [event.detail for event in one.events if event.kind is EventKind.TASK_ENDED]
        assert set(details) == {"exit of its own; exit status 3"}


# -- refusals


def test_while_more_are_protected_than_desired_enables_and_renewals_are_refused(four: lab.Service):
    for task in ("worker-1", "worker-2", "worker-3"):
        put(four, task, minutes=60)
    four.scale(2)
    expires = four.task("worker-1").expires
    until(four, lambda: names(four) == ["worker-1", "worker-2", "worker-3"])

    assert put(four, "worker-1")["failure"]["Reason"] == "DEPLOYMENT_BLOCKED"
    with client_of(four.ecs) as client:
        told = client.update_task_protection(cluster="lab", tasks=[four.task("worker-2").arn], protectionEnabled=True)
        assert [failure["reason"] for failure in told["failures"]] == ["DEPLOYMENT_BLOCKED"]
    assert (four.task("worker-1").expires, four.snapshot().blocked) == (expires, True)

    put(four, "worker-3", enabled=False)
    assert settle(four) == ["worker-1", "worker-2"]
    assert "protection" in put(four, "worker-1")
    assert four.report().calls.refused == 2


def test_a_protected_task_that_is_stopped_all_the_same_blocks_nobody():
    with service(DEAF, desired=2) as one:
        first, second = deaf(one)
        put(one, first)
        put(one, second)
        assert one.stop_task(first)
        until(one, lambda: len(names(one)) == 3)

        assert "protection" in put(one, names(one)[-1])
        assert not one.snapshot().blocked
        one.close(0)


# -- deployments


def test_a_deployment_replaces_every_task_and_is_complete_then(four: lab.Service):
    old = set(names(four))
    deployment = four.deploy(TELLS)

    assert not old & set(settle(four))
    first, second = four.report().deployments
    assert (second.id, second.why_not) == (deployment, None)
    assert first.completed is not None
    assert second.completed is not None
    assert second.began <= second.completed
    assert {row.deployment for row in four.snapshot().tasks} == {deployment}
    assert environ(four, names(four)[0])["PROTECTWORK_LAB_TASK"]
    assert four.report().stops == {Cause.DEPLOYMENT: 4}


def test_a_deployment_waits_for_protected_old_tasks_and_says_so(four: lab.Service):
    put(four, "worker-2", minutes=10)
    four.deploy()
    until(four, lambda: len(names(four)) == 5)
    looks(four)

    (_, waiting) = four.report().deployments
    assert waiting.completed is None
    assert waiting.why_not
    assert waiting.why_not.startswith("4 of 4 tasks are of this deployment; protected: worker-2 (for ")

    four.ecs.advance(timedelta(minutes=10))
    assert "worker-2" not in settle(four)


def test_a_deployment_keeps_to_its_maximum():
    with service(desired=4, maximum_percent=150) as one:
        old = settle(one)
        for task in old:
            put(one, task)
        one.deploy()
        until(one, lambda: len(names(one)) == 6)
        looks(one)

        assert len(names(one)) == 6
        why_not = one.report().deployments[-1].why_not
        assert why_not
        assert "maximum_percent=150 has room for no more than 6 tasks" in why_not
        for task in old:
            put(one, task, enabled=False)
        assert len(settle(one)) == 4


def test_a_deployment_may_stop_old_tasks_before_it_starts_new_ones():
    with service(desired=4, maximum_percent=100, minimum_healthy_percent=50) as one:
        settle(one)
        one.deploy()
        settle(one)

        kinds = [event.kind for event in one.events]
        began = kinds.index(EventKind.DEPLOYMENT_BEGAN)
        assert kinds[began + 1 : began + 3] == [EventKind.TASK_STOPPING] * 2


def test_a_deployment_may_be_rolled_back(four: lab.Service):
    first = four.snapshot().tasks[0].deployment
    failed = four.deploy(["false"])
    until(four, lambda: happened(four, EventKind.TASK_ENDED))

    assert four.roll_back() == first
    settle(four)

    assert {row.deployment for row in four.snapshot().tasks} == {first}
    told = {one.id: one for one in four.report().deployments}
    assert told[failed].why_not == "another deployment took its place"
    assert told[first].completed is not None
    with client_of(four.ecs) as client:
        (described,) = client.describe_services(cluster="lab", services=["worker"])["services"]
    assert [one["rolloutState"] for one in described["deployments"]] == ["COMPLETED", "FAILED"]


# -- what ends a task


def test_stop_task_ignores_protection_as_ecs_does(four: lab.Service):
    put(four, "worker-1")

    assert four.stop_task("worker-1")
    until(four, lambda: "worker-1" not in names(four))
    assert not four.stop_task("worker-1"), "it has ended"
    settle(four)

    assert (four.report().stops, four.report().sigkills) == ({Cause.STOP_TASK: 1}, 0)


def test_a_spot_interruption_ignores_it_too(four: lab.Service):
    put(four, "worker-1")

    assert four.spot_interrupt(four.task("worker-1").arn)
    settle(four)

    with client_of(four.ecs) as client:
        (told,) = client.describe_tasks(cluster="lab", tasks=[four.task("worker-1").arn])["tasks"]
    assert (told["stopCode"], told["lastStatus"]) == ("SpotInterruption", "STOPPED")


def test_who_does_not_end_in_time_is_killed():
    with service(DEAF, desired=1, stop_timeout=0.3) as one:
        (task,) = deaf(one)
        one.scale(0)
        settle(one)

        assert happened(one, EventKind.TASK_STOPPING) == happened(one, EventKind.TASK_KILLED) == [task]
        stopping, killed = (
            event.time for event in one.events if event.kind in {EventKind.TASK_STOPPING, EventKind.TASK_KILLED}
        )
        assert killed - stopping >= 0.3
        assert one.report().sigkills == 1


def test_a_task_that_is_to_stop_finds_that_in_its_metadata():
    with service(DEAF, desired=1) as one:
        (task,) = deaf(one)
        placement = one.ecs.clusters["lab"].find(one.task(task).arn)
        assert placement
        uri = one.ecs.metadata_uri_of(placement)
        one.scale(0)
        until(one, lambda: happened(one, EventKind.TASK_STOPPING))

        with urllib.request.urlopen(f"{uri}/task") as answer:
            assert json.load(answer)["DesiredStatus"] == "STOPPED"
        one.close(0)


# -- what a task finds


def test_every_task_has_its_own_agent_metadata_and_state(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ECS_AGENT_URI", "http://127.0.0.1:9/api/mine")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("PROTECTWORK_STATE_DIR", "/mine")
    monkeypatch.setenv("PROTECTWORK_LINGER", "7")
    with service(TELLS, environ={"EXTRA": "yes"}, time_scale=2.5) as one:
        found = [environ(one, task) for task in settle(one)]

        for name in ("ECS_AGENT_URI", "ECS_CONTAINER_METADATA_URI_V4", "PROTECTWORK_STATE_DIR"):
            assert len({told[name] for told in found} | {f"{name}: mine"}) == 3
            assert not any(told[name].endswith("/mine") for told in found)
        told = found[0]
        assert told["PROTECTWORK_LAB_TASK"] in told["ECS_AGENT_URI"]
        assert (told["AWS_EXECUTION_ENV"], told["AWS_ENDPOINT_URL_ECS"]) == ("AWS_ECS_FARGATE", one.ecs.url)
        assert (told["EXTRA"], told["PROTECTWORK_LINGER"]) == ("yes", "7")
        assert told["PROTECTWORK_LAB_TIME_SCALE"] == "2.5"
        assert "AWS_PROFILE" not in told
        with urllib.request.urlopen(told["ECS_CONTAINER_METADATA_URI_V4"] + "/task") as answer:
            metadata = json.load(answer)
        assert metadata["TaskARN"] == one.task("worker-1").arn
        assert (metadata["ServiceName"], metadata["Cluster"].rpartition("/")[2]) == ("worker", "lab")


def test_the_containers_of_a_task_share_its_protection_its_state_and_its_end():
    side = Container(name="side", command=TELLS)
    with service(TELLS, desired=1, containers=[side]) as one:
        (task,) = settle(one)
        main, beside = environ(one, task), environ(one, task, "side")

        assert main["ECS_AGENT_URI"] != beside["ECS_AGENT_URI"]
        assert main["PROTECTWORK_STATE_DIR"] == beside["PROTECTWORK_STATE_DIR"]
        agent_client.put(one.agent, enabled=True, endpoint=beside["ECS_AGENT_URI"].rpartition("/")[2])
        assert one.task(task).protected
        with urllib.request.urlopen(beside["ECS_CONTAINER_METADATA_URI_V4"]) as answer:
            assert json.load(answer)["Name"] == "side"
        with one._engine.changed:  # type: ignore[union-attr] - it runs
            one._engine.tasks[0].processes[1].kill()  # type: ignore[union-attr]
        until(one, lambda: task not in names(one))
        assert one.report().stops == {Cause.EXIT: 1}


def test_a_container_that_is_not_essential_may_end():
    once = Container(name="once", command=["echo", "done"], essential=False)
    with service(desired=1, containers=[once]) as one:
        (task,) = settle(one)
        until(one, lambda: [line.text for line in one.output()] == ["done"])
        looks(one)

        assert names(one) == [task]


def test_policy_time_passes_faster_and_nothing_else_does():
    with service([sys.executable, "-I", "-S", "-c", PROTECTS, "1"], desired=2, time_scale=10) as one:
        until(one, lambda: all(row.protected for row in one.snapshot().tasks) and len(one.output()) == 2)
        (row, _) = one.snapshot().tasks
        change = one.task(row.name).changes[0]
        assert change.expires
        assert change.expires - change.time == pytest.approx(6)
        one.scale(1)
        looks(one)
        assert happened(one, EventKind.TASK_STOPPING) == []
        one.ecs.advance(6)
        settle(one)

        assert one.report().stops == {Cause.SCALE_IN: 1}


def test_output_is_kept_with_the_name_of_its_task():
    program = "import sys; print('out'); print('err', file=sys.stderr); sys.stdout.write('no end'); sys.exit(1)"
    with service([sys.executable, "-I", "-S", "-c", program], desired=1) as one:
        until(one, lambda: len(one.output()) >= 3)
        told = {(line.stream, line.text, str(line)) for line in one.output() if line.task == "worker-1"}

        assert told == {
            ("stdout", "out", "worker-1 | out"),
            ("stderr", "err", "worker-1 | err"),
            ("stdout", "no end", "worker-1 | no end"),
        }
        assert one.output(since=1) == one.output()[1:]


def test_one_quota_and_the_same_faults_for_all_tasks(four: lab.Service):
    four.quota.limit(burst=1, per_s=0)
    assert "protection" in put(four, "worker-1")
    assert put(four, "worker-2")["error"]["Code"] == "ThrottlingException"
    four.quota.limit(burst=100, per_s=100)
    four.ecs.advance(1)
    four.agent.fail(faults.Refuse("MISSING"), times=None)
    assert put(four, "worker-3")["failure"]["Reason"] == "MISSING"
    four.agent.heal()
    assert "protection" in put(four, "worker-3")


# -- what cannot be


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: lab.Service("sleep 1", 1), "command must be a program and its arguments, one by one"),
        (lambda: lab.Service([], 1), "command must be a program and its arguments"),
        (lambda: lab.Service(["sleep", 1], 1), "command must be a program and its arguments"),  # type: ignore[list-item] - the point
        (lambda: lab.Service(SLEEP, 1, environ={"X": 1}), r"environ\['X'\] must be a text, got 1"),  # type: ignore[dict-item] - the point
        (lambda: lab.Service(SLEEP, 1, directory="/no/such"), "directory must be a directory that is there"),
        (lambda: lab.Service(["no-such-program"], 1), "nothing of that name is in PATH"),
        (lambda: lab.Service(["/no/such/program"], 1), "command must be a program that can be run"),
        (lambda: lab.Service(SLEEP, -1), "desired_count must be a whole number from 0 on, got -1"),
        (lambda: lab.Service(SLEEP, True), "desired_count must be a whole number from 0 on, got True"),
        (lambda: lab.Service(SLEEP, 1, time_scale=11), "time_scale must be a number from 1 to 10, got 11"),
        (lambda: lab.Service(SLEEP, 1, stop_timeout=-1), "stop_timeout must be from 0 s to 1 h, got -1 s"),
        (lambda: lab.Service(SLEEP, 1, maximum_percent=99), "maximum_percent must be 100 or more, got 99"),
        (
            lambda: lab.Service(SLEEP, 1, minimum_healthy_percent=101),
            "minimum_healthy_percent must be from 0 to 100, got 101",
        ),
        (lambda: lab.Service(SLEEP, 1, maximum_percent=100), "no deployment could ever start or stop a task"),
        (
            lambda: lab.Service(SLEEP, 1, containers=[Container(name="worker", command=SLEEP)]),
            "containers must be named each in its own way, got worker, worker",
        ),
        (lambda: lab.Service(SLEEP, 1).scale(2), "a service must be started first"),
    ],
)
def test_a_service_says_what_its_arguments_must_be(make: Any, rule: str):
    with pytest.raises(SettingsError, match=rule):
        make()


def test_a_service_that_runs_says_what_it_does_not_know(four: lab.Service):
    with pytest.raises(SettingsError, match="task must be one of worker-1, worker-2, worker-3, worker-4, got 'x'"):
        four.stop_task("x")
    with pytest.raises(SettingsError, match="called after deploy"):
        four.roll_back()
    with pytest.raises(SettingsError, match="start must be called once"):
        four.start()
    with pytest.raises(SettingsError, match="got 'no-such-program'"):
        four.deploy(["no-such-program"])
