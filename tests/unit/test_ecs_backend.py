"""What is the ECS API's own: which task it is, credentials, boto3's attempts, forks, greenlets, and the exit."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from nursery import CORE
from programs import run

from protectwork import EcsAccessError, EcsRequestError, EcsThrottledError, EcsUnavailableError, SettingsError
from protectwork._types import Answer, Outcome
from protectwork.backends.ecs import EcsApi, EcsBackend
from protectwork.testing import FakeEcsApi, faults

from .backend_worlds import ARN, PATIENT_S, REGION, session
from .raw_endpoint import Endpoint, answering, reset

BOUND_S = 20.0


@pytest.fixture(scope="module")
def shared() -> Iterator[FakeEcsApi]:
    with FakeEcsApi(delay_scale=0) as ecs:
        yield ecs


@pytest.fixture
def ecs(shared: FakeEcsApi) -> FakeEcsApi:
    shared.heal()
    shared.task.disable()
    return shared


def backend_of(ecs: FakeEcsApi, **options: object) -> EcsBackend:
    options = {"endpoint_url": ecs.url, "session": session(), "deadline_s": PATIENT_S} | options
    return EcsBackend(ecs.metadata_uri, **options)  # type: ignore[arg-type]


def bodies(ecs: FakeEcsApi, made: int) -> list[dict[str, object]]:
    """What was asked of the API since so many requests had been made."""
    return [json.loads(call.request.body) for call in ecs.calls[made:] if call.operation != "metadata"]


# --- what is sent, and of which task


def test_it_names_cluster_and_task_as_the_metadata_does_and_omits_the_minutes_of_a_release(ecs):
    backend, made = backend_of(ecs), len(ecs.calls)
    backend.enable(60)
    backend.disable()
    backend.get()
    named = {"cluster": ecs.cluster.arn, "tasks": [ecs.task.arn]}
    assert bodies(ecs, made) == [
        named | {"protectionEnabled": True, "expiresInMinutes": 60},
        named | {"protectionEnabled": False},
        named,
    ]


def test_to_build_it_asks_nobody_and_the_metadata_is_asked_for_once(ecs):
    made = len(ecs.calls)
    backend = backend_of(ecs)
    assert len(ecs.calls) == made
    for _ in range(3):
        assert backend.get().outcome is Outcome.CONFIRMED
    assert [str(call.call) for call in ecs.calls[made:]] == ["metadata", "get", "get", "get"]


def test_where_the_metadata_cannot_be_read_nothing_is_sent_and_a_later_call_does_better(ecs):
    backend, made = backend_of(ecs), len(ecs.calls)
    ecs.fail(faults.Error(500), only="metadata")
    answer = backend.enable(5)
    assert (answer.outcome, answer.reason, answer.sent_at) == (Outcome.UNAVAILABLE, "no metadata", None)
    assert "500" in (answer.detail or "")
    assert bodies(ecs, made) == []
    assert backend.enable(5).outcome is Outcome.CONFIRMED


def test_a_metadata_endpoint_that_hangs_leaves_time_for_a_call(ecs):
    backend = backend_of(ecs, deadline_s=6.0)
    ecs.fail(faults.Hang(), only="metadata")
    started = time.monotonic()
    answer = backend.enable(5)
    assert (answer.outcome, answer.sent_at) == (Outcome.UNAVAILABLE, None)
    assert time.monotonic() - started < BOUND_S
    assert backend.get().outcome is Outcome.CONFIRMED


def test_what_is_given_is_not_asked_for(ecs):
    made = len(ecs.calls)
    backend = EcsBackend(
        cluster="work", task=ecs.task.arn, region=REGION, endpoint_url=ecs.url, session=session(), deadline_s=PATIENT_S
    )
    assert backend.get().outcome is Outcome.CONFIRMED
    assert [str(call.call) for call in ecs.calls[made:]] == ["get"]
    assert backend.scope == f"work {ecs.task.arn}"


def test_the_region_is_the_metadata_s_and_part_of_the_signature(ecs):
    backend, made = backend_of(ecs), len(ecs.calls)
    backend.get()
    assert f"/{ecs.cluster.region}/ecs/" in ecs.calls[made + 1].request.headers["authorization"]


@pytest.mark.parametrize("given", [{}, {"cluster": "work"}, {"task": ARN}, {"metadata_uri": ""}])
def test_without_metadata_cluster_and_task_have_to_be_given(given):
    with pytest.raises(SettingsError) as caught:
        EcsBackend(**given)
    assert caught.value.setting == "ECS_CONTAINER_METADATA_URI_V4"
    assert "give cluster and task" in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        ({"cluster": 3, "task": ARN}, "cluster"),
        ({"cluster": "work", "task": 4}, "task"),
        ({"region": 5}, "region"),
        ({"session": "default"}, "session"),
        ({"endpoint_url": "localhost:8000"}, "endpoint_url"),
        *[({"deadline_s": wrong}, "deadline_s") for wrong in ("x", 0, -1, True, float("nan"), None)],
    ],
    ids=str,
)
def test_an_argument_of_a_wrong_type_is_told_at_once(given, setting):
    with pytest.raises(SettingsError) as caught:
        EcsBackend(**{"cluster": "work", "task": ARN, **given})
    assert caught.value.setting == setting


def test_an_arn_that_is_given_tells_the_region(ecs):
    made = len(ecs.calls)
    cluster, task = ecs.cluster.arn, ecs.task.arn.rpartition("/")[2]
    regionless = Regionless()
    EcsBackend(cluster=cluster, task=task, endpoint_url=ecs.url, session=regionless, deadline_s=PATIENT_S).get()
    assert f"/{ecs.cluster.region}/ecs/" in ecs.calls[made].request.headers["authorization"]


class Regionless:
    """A session of no Region."""

    def client(self, *arguments: object, **options: object) -> object:
        assert options["region_name"]
        return session().client(*arguments, **options)


def test_a_metadata_uri_that_leads_elsewhere_is_refused():
    with pytest.raises(SettingsError, match="loopback, link-local or private"):
        EcsBackend("http://example.com/v4/x")
    assert EcsBackend("http://example.com/v4/x", allow_endpoint=["example.com"]).name == "ecs"


# --- boto3's attempts


def test_what_was_sent_and_not_answered_is_not_sent_again():
    connections: list[int] = []

    def behave(endpoint: Endpoint, connection: socket.socket) -> None:
        connections.append(1)
        endpoint.receive(connection)
        connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    with Endpoint(behave) as endpoint:
        answer = at(endpoint.where).enable(5)
    assert (answer.outcome, len(connections)) == (Outcome.AMBIGUOUS, 1)


def test_what_could_not_be_sent_is_tried_a_second_time(monkeypatch):
    said = b'{"protectedTasks":[{"taskArn":"%s","protectionEnabled":true}],"failures":[]}' % ARN.encode()
    resolve, asked = socket.getaddrinfo, []

    def fail_once(host: str, *args: object, **kwargs: object) -> object:
        asked.append(host)
        if asked.count("flaky.test") == 1:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve("127.0.0.1", *args, **kwargs)  # type: ignore[arg-type]

    with Endpoint(answering(b"HTTP/1.1 200 OK\r\n\r\n" + said)) as endpoint:
        backend = at(f"flaky.test:{endpoint.port}")
        monkeypatch.setattr(socket, "getaddrinfo", fail_once)
        assert backend.enable(5).outcome is Outcome.CONFIRMED
    assert asked.count("flaky.test") == 2
    assert len(endpoint.requests) == 1


def at(where: str) -> EcsBackend:
    return EcsBackend(
        cluster="work",
        task=ARN,
        region=REGION,
        endpoint_url=f"http://{where}",
        session=session(),
        deadline_s=PATIENT_S,
    )


def test_a_question_that_failed_in_passing_is_asked_a_second_time(ecs):
    ecs.fail(faults.Error(500))
    api = EcsApi(region=REGION, endpoint_url=ecs.url, session=session())
    reply = api.call("get_task_protection", deadline_s=PATIENT_S, cluster="work", tasks=[ecs.task.arn])
    assert [entry["taskArn"] for entry in reply["protectedTasks"]] == [ecs.task.arn]  # type: ignore[index,attr-defined]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.Ecs("expired_token"), EcsAccessError),
        (faults.Ecs("cluster_not_found"), EcsRequestError),
        (faults.Throttle(), EcsThrottledError),
        (faults.Error(503), EcsUnavailableError),
        (faults.Garbage("shape"), EcsUnavailableError),
    ],
)
def test_a_question_without_a_reply_is_an_error_of_ours(ecs, fault, kind):
    ecs.fail(fault, times=None)
    api = EcsApi(region=REGION, endpoint_url=ecs.url, session=session())
    with pytest.raises(kind) as caught:
        api.call("get_task_protection", deadline_s=PATIENT_S, cluster="work", tasks=[ecs.task.arn])
    assert caught.value.operation == "GetTaskProtection"
    assert str(caught.value).isprintable()


# --- what hangs


def test_a_call_after_one_that_hangs_is_answered(ecs):
    backend = backend_of(ecs)
    assert backend.get().outcome is Outcome.CONFIRMED
    slow = backend_of(ecs, deadline_s=1.0)
    slow.get()  # it may be late, on a busy machine; the session is there by now
    ecs.fail(faults.Hang())
    late = slow.enable(5)
    assert late.outcome in {Outcome.AMBIGUOUS, Outcome.UNAVAILABLE}
    assert late.reason in {"out of time", "ReadTimeoutError"}
    ecs.heal()
    ends = time.monotonic() + BOUND_S
    while slow.enable(6).outcome is not Outcome.CONFIRMED and time.monotonic() < ends:
        pass  # each ends within a second
    assert ecs.protected


class Hanging:
    """A session that hangs in whatever is asked of it, as one does whose credentials come from a program."""

    def __init__(self) -> None:
        self.asked, self.ends = threading.Event(), threading.Event()

    def client(self, *arguments: object, **options: object) -> object:
        self.asked.set()
        assert self.ends.wait(BOUND_S)
        return session().client(*arguments, **options)


def test_credentials_that_do_not_come_are_not_waited_for_and_nothing_is_sent_when_they_do(ecs):
    hanging = Hanging()
    backend, made = backend_of(ecs, session=hanging, deadline_s=1.0), len(ecs.calls)
    answer = backend.enable(5)
    assert hanging.asked.wait(BOUND_S)
    assert (answer.outcome, answer.reason, answer.sent_at) == (Outcome.UNAVAILABLE, "out of time", None)
    assert answer.detail == "looking for credentials"
    again = backend.enable(5)
    assert (again.outcome, again.sent_at) == (Outcome.UNAVAILABLE, None)
    assert again.detail == "waiting for an earlier call, which hangs"
    hanging.ends.set()
    ends = time.monotonic() + BOUND_S
    while (answer := backend.enable(7)).outcome is not Outcome.CONFIRMED and time.monotonic() < ends:
        pass  # each ends within a second
    assert answer.outcome is Outcome.CONFIRMED
    assert {body.get("expiresInMinutes") for body in bodies(ecs, made)} == {7}


# --- credentials


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No credentials, wherever boto3 looks."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def test_no_credentials_are_told_and_looked_for_anew_by_the_next_call(ecs, nowhere, monkeypatch):
    backend, made = backend_of(ecs, session=None), len(ecs.calls)
    answer = backend.enable(5)
    assert (answer.outcome, answer.reason) == (Outcome.MISCONFIGURED, "NoCredentialsError")
    assert (answer.may_pass, answer.sent_at) == (True, None)
    assert bodies(ecs, made) == []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    assert backend.enable(5).outcome is Outcome.CONFIRMED


def test_a_profile_that_is_not_there_is_told(ecs, nowhere, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    answer = backend_of(ecs, session=None).get()
    assert (answer.outcome, answer.reason, answer.sent_at) == (Outcome.MISCONFIGURED, "ProfileNotFound", None)
    assert "no-such-profile" in (answer.detail or "")


def test_an_expired_token_is_told(ecs):
    ecs.fail(faults.Ecs("expired_token"), times=None)
    answer = backend_of(ecs).enable(5)
    assert (answer.outcome, answer.reason) == (Outcome.MISCONFIGURED, "ExpiredTokenException")


def test_without_a_region_it_is_told(ecs, nowhere):
    backend = EcsBackend(cluster="work", task="0123456789abcdef", deadline_s=PATIENT_S, session=boto3.Session())
    answer = backend.get()
    assert (answer.outcome, answer.reason, answer.sent_at) == (Outcome.MISCONFIGURED, "NoRegionError", None)


# --- what boto3 lets pass


def test_minutes_that_are_true_reach_nobody_by_us_though_boto3_would_send_them(ecs):
    made = len(ecs.calls)
    with pytest.raises(SettingsError):
        backend_of(ecs).enable(True)
    assert ecs.calls[made:] == ()


def test_many_threads_may_ask_at_once(ecs):
    api, made = EcsApi(region=REGION, endpoint_url=ecs.url, session=session()), len(ecs.calls)

    def ask(_: int) -> object:
        return api.call("get_task_protection", deadline_s=PATIENT_S, cluster="work", tasks=[ecs.task.arn])

    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(ask, range(20)))
    assert len(replies) == len(bodies(ecs, made)) == 20


def test_a_connection_that_is_reset_is_not_made_again_once_it_was_used():
    used: list[bytes] = []

    def behave(endpoint: Endpoint, connection: socket.socket) -> None:
        used.append(endpoint.receive(connection))
        reset(connection)

    with Endpoint(behave) as endpoint:
        answer: Answer = at(endpoint.where).disable()
    assert (answer.outcome, len(used)) == (Outcome.AMBIGUOUS, 1)


# --- processes of their own


FORK = """
import os, sys, threading
from protectwork import Outcome, ProtectionManager, Settings
with ProtectionManager(settings=Settings(linger=0, lease=600)) as manager:
    with manager.protect("parent") as hold:
        assert hold.confirmed, manager.status()
        if (pid := os.fork()) == 0:
            with manager.protect("child") as mine:
                assert mine.confirmed, manager.status()
            manager.close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert manager.status().confirmed
print(manager.status().backend)
"""


def test_a_forked_child_shares_the_lease_and_makes_its_own_calls():
    with FakeEcsApi(delay_scale=0) as ecs:
        done = run(FORK, loaded=CORE, PYTHONWARNINGS="ignore", **ecs.environ())
        assert (done.out, done.err, done.code) == ("ecs\n", "", 0)
        assert len(ecs.enables) == 1, "the child joined the parent's lease"
        assert not ecs.protected
        enabled, disabled = ecs.changes
        assert ecs.was_protected(enabled.time, disabled.time - 0.001)


FORK_AT_FIRST_CALL = """
import os, threading
from protectwork.backends.ecs import EcsBackend
backend = EcsBackend(os.environ["ECS_CONTAINER_METADATA_URI_V4"], deadline_s=30)
thread = threading.Thread(target=backend.get)
thread.start()
statuses = []
while thread.is_alive():
    if (pid := os.fork()) == 0:
        os._exit(0 if str(backend.get().outcome) == "confirmed" else 1)
    statuses.append(os.waitpid(pid, 0)[1])
print(set(statuses))
"""


def test_a_fork_while_boto3_is_being_loaded_leaves_no_child_that_hangs():
    with FakeEcsApi(delay_scale=0) as ecs:
        done = run(FORK_AT_FIRST_CALL, PYTHONWARNINGS="ignore", measured=False, **ecs.environ())
    assert (done.out, done.err, done.code) == ("{0}\n", "", 0)


EXIT = """
from protectwork import get_manager, protect
with protect("script") as hold:
    print(hold.confirmed)
"""


def test_the_exit_of_a_script_releases_what_it_held():
    with FakeEcsApi(delay_scale=0) as ecs:
        done = run(EXIT, loaded=CORE, **ecs.environ())
        assert (done.out, done.err, done.code) == ("True\n", "", 0)
        assert [change.protected for change in ecs.changes] == [True, False]


LOADS = """
import json, sys, threading, time
from protectwork import get_manager
began = time.monotonic()
manager = get_manager()
loaded = "boto3" in sys.modules or "botocore" in sys.modules
print(json.dumps([manager.status().backend, loaded, threading.active_count()]))
"""


def test_to_build_the_manager_loads_no_boto3_and_starts_no_thread():
    with FakeEcsApi(delay_scale=0) as ecs:
        done = run(LOADS, loaded=CORE, **ecs.environ())
        assert json.loads(done.out) == ["ecs", False, 1]
        assert ecs.calls == ()


GREEN = """
import json, logging
{patch}
from protectwork import get_manager, protect
logging.basicConfig(level=logging.DEBUG, stream=open("/dev/null", "w"))
ticks, over = [], []

def tick():
    while not over:
        sleep(0.01)
        logging.info("greenlets log at the same time")
        ticks.append(1)

def work():
    with protect() as hold:
        return hold.confirmed

ticking = spawn(tick)
confirmed = [result(greenlet) for greenlet in [spawn(work) for _ in range(10)]]
over.append(1)
result(ticking)  # logging's own end at exit meets no greenlet that logs
print(json.dumps([all(confirmed), get_manager().status().in_flight, len(ticks) > 20]))
"""
PATCHES = {
    "gevent": """
from gevent import monkey; monkey.patch_all()
import gevent
spawn, sleep, result = gevent.spawn, gevent.sleep, gevent.Greenlet.get
""",
    "eventlet": """
import eventlet; eventlet.monkey_patch()
spawn, sleep, result = eventlet.spawn, eventlet.sleep, eventlet.greenthread.GreenThread.wait
""",
}


@pytest.mark.parametrize("patch", PATCHES)
def test_under_greenlets_that_log_it_protects_and_blocks_nobody(patch):
    with FakeEcsApi() as ecs:
        ecs.fail(faults.Delay(2.0), only="get")
        program = GREEN.replace("{patch}", PATCHES[patch])
        done = run(program, measured=False, PROTECTWORK_LINGER="0", PYTHONWARNINGS="ignore", **ecs.environ())
        assert (done.err, done.code) == ("", 0)
        assert json.loads(done.out) == [True, 0, True]
        assert len(ecs.enables) == 1
        assert not ecs.protected
