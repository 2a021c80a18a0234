"""The metadata endpoint: what is read of it, strictly; and that it is asked within bounds, where it may be asked."""

from __future__ import annotations

import json
import socket
import time

import pytest

from protectwork import MetadataError, SettingsError
from protectwork.backends.metadata import VARIABLE, TaskMetadata, read_task_metadata

from .raw_endpoint import Behaviour, Endpoint, answering

TASK_ARN = "arn:aws:ecs:eu-west-1:111122223333:task/jobs/0123456789abcdef0123456789abcdef"
CLUSTER_ARN = "arn:aws:ecs:eu-west-1:111122223333:cluster/jobs"
# As an agent on EC2 answers, but for what nobody reads.
SAID = {
    "Cluster": CLUSTER_ARN,
    "TaskARN": TASK_ARN,
    "Family": "worker",
    "ServiceName": "workers",
    "Revision": "26",
    "DesiredStatus": "RUNNING",
    "KnownStatus": "RUNNING",
    "AvailabilityZone": "eu-west-1b",
    "VPCID": "vpc-1234567890abcdef0",
    "LaunchType": "EC2",
    "Containers": [{"DockerId": "ea32192c8553", "Name": "worker", "Limits": {"CPU": 10, "Memory": 128}}],
    "FaultInjectionEnabled": False,
}


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def ask(behave: Behaviour, **options: float) -> TaskMetadata:
    with Endpoint(behave) as endpoint:
        return read_task_metadata({VARIABLE: endpoint.uri}, **{"deadline_s": 20.0, **options})


def read(said: object) -> TaskMetadata:
    return ask(answering(http(json.dumps(said).encode())))


def test_what_the_endpoint_says_is_read():
    assert read(SAID) == TaskMetadata(
        task_arn=TASK_ARN,
        cluster=CLUSTER_ARN,
        region="eu-west-1",
        service_name="workers",
        family="worker",
        revision="26",
        desired_status="RUNNING",
        known_status="RUNNING",
        launch_type="EC2",
        availability_zone="eu-west-1b",
    )


def test_the_path_of_the_task_is_asked_below_the_variable_once():
    with Endpoint(answering(http(json.dumps(SAID).encode()))) as endpoint:
        read_task_metadata({VARIABLE: f"{endpoint.uri}/"}, deadline_s=20.0)
    [request] = endpoint.requests
    assert request.startswith(b"GET /api/id/task HTTP/1.1\r\n")


def test_what_need_not_be_told_may_be_missing_or_empty():
    bare = {key: SAID[key] for key in ("Cluster", "TaskARN", "Family", "Revision")}
    metadata = read(bare | {"ServiceName": "", "DesiredStatus": None})
    told = (metadata.service_name, metadata.desired_status, metadata.known_status, metadata.launch_type)
    assert told == (None, None, None, None)
    assert not metadata.stopping


@pytest.mark.parametrize(
    ("cluster", "task_arn", "region"),
    [
        ("jobs", TASK_ARN, "eu-west-1"),
        ("jobs", "arn:aws:ecs:eu-west-1:111122223333:task/0123456789abcdef", "eu-west-1"),
        ("arn:aws-cn:ecs:cn-north-1:111122223333:cluster/a_b-c", TASK_ARN.replace("aws:", "aws-cn:"), "eu-west-1"),
        ("jobs", TASK_ARN.replace("aws:ecs:eu-west-1", "aws-us-gov:ecs:us-gov-east-1"), "us-gov-east-1"),
    ],
)
def test_every_form_of_cluster_and_task_is_taken_as_given(cluster, task_arn, region):
    metadata = read(SAID | {"Cluster": cluster, "TaskARN": task_arn})
    assert (metadata.cluster, metadata.task_arn, metadata.region) == (cluster, task_arn, region)


@pytest.mark.parametrize(("desired", "stopping"), [("STOPPED", True), ("RUNNING", False), ("stopped", False)])
def test_a_task_that_ecs_wants_to_go_is_stopping(desired, stopping):
    assert read(SAID | {"DesiredStatus": desired}).stopping is stopping


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("TaskARN", None),
        ("TaskARN", 5),
        ("TaskARN", "0123456789abcdef"),
        ("TaskARN", CLUSTER_ARN),
        ("TaskARN", f"{TASK_ARN}\n"),
        ("TaskARN", TASK_ARN.replace("eu-west-1", "evil.example/")),
        ("TaskARN", TASK_ARN.replace("111122223333", "")),
        ("Cluster", None),
        ("Cluster", ""),
        ("Cluster", ["jobs"]),
        ("Cluster", "a b"),
        ("Cluster", TASK_ARN),
        ("Family", None),
        ("Revision", 26),
        ("ServiceName", {"Name": "workers"}),
        ("ServiceName", "x" * 2000),
        ("DesiredStatus", True),
        ("DesiredStatus", "STOP\x1b[2J"),
        ("LaunchType", 1),
        ("AvailabilityZone", ["eu-west-1b"]),
    ],
)
def test_a_value_of_another_type_or_form_is_an_error_that_names_it(key, value):
    with pytest.raises(MetadataError, match=f"unusable answer .{key} must be ") as caught:
        read(SAID | {key: value})
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{", b"\xff\xfe{", b'{"TaskARN": 1, "TaskARN": 2}', b"[" * 60000]
)
def test_what_is_no_json_object_is_an_error(body):
    with pytest.raises(MetadataError, match="TaskARN must be the ARN of a task, got None"):
        ask(answering(http(body)))


@pytest.mark.parametrize("status", [b"404 Not Found", b"429 Too Many Requests", b"500 No", b"301 Moved"])
def test_another_status_is_an_error_with_what_was_said(status):
    with pytest.raises(MetadataError, match=rf"HTTP {status[:3].decode()} \(nothing \\x1b here\)"):
        ask(answering(http(b"nothing \x1b here", status)))


def test_an_answer_that_is_not_whole_is_an_error():
    with pytest.raises(MetadataError, match="no usable answer"):
        ask(answering(http(json.dumps(SAID).encode())[:-1]))


def test_a_body_of_many_containers_is_read_and_one_without_end_is_not():
    assert read(SAID | {"Containers": [{"Labels": {"a": "x" * 1000}}] * 200}).family == "worker"
    with pytest.raises(MetadataError, match="a body of more than 262144 bytes"):
        read(SAID | {"Containers": "x" * 300_000})


def test_an_endpoint_that_drips_is_left_at_the_deadline():
    def behave(endpoint: Endpoint, connection: socket.socket) -> None:
        endpoint.receive(connection)
        endpoint.drip(connection, http(json.dumps(SAID).encode()))

    started = time.monotonic()
    with pytest.raises(MetadataError, match="TimeoutError"):
        ask(behave, deadline_s=0.3)
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize("environ", [{}, {VARIABLE: ""}])
def test_without_the_variable_there_is_nothing_to_ask(environ):
    with pytest.raises(
        SettingsError, match=f"{VARIABLE} must be set to the metadata endpoint, got nothing; ECS sets it"
    ):
        read_task_metadata(environ)


@pytest.mark.parametrize(
    "uri", ["https://169.254.170.2/v4/id", "http://example.com/v4/id", "http://8.8.8.8/v4/id", "id"]
)
def test_an_address_that_may_not_be_called_is_not_called(uri):
    with pytest.raises(SettingsError, match=f"^{VARIABLE} must be "):
        read_task_metadata({VARIABLE: uri})


def test_nobody_there_is_an_error_of_ours():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(MetadataError, match="ConnectionRefusedError"):
        read_task_metadata({VARIABLE: f"http://127.0.0.1:{port}/v4/id"}, deadline_s=20.0)
