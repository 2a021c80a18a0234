"""What holds for every backend, shown of each: before a fake of ECS, and before a socket that behaves badly."""

from __future__ import annotations

import gzip
import math
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from protectwork._backend import Backend
from protectwork._clock import steady_now
from protectwork._errors import SettingsError
from protectwork._types import Answer, Outcome
from protectwork.testing import Fault, faults

from .backend_worlds import WORLDS, AgentWorld, EcsWorld, World
from .raw_endpoint import Behaviour, Endpoint, answering, deaf, reset

EXPIRES_AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
BOUND_S = 20.0
"""A call that ends by its deadline of 6 s ends long before this, on a machine however busy."""

each_world = pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)


# --- before the fake


@dataclass(frozen=True)
class Place:
    """One fake of ECS, and a backend for its task."""

    world: World
    fake: object
    backend: Backend

    def __getattr__(self, name: str) -> object:
        return getattr(self.fake, name)


@pytest.fixture(scope="module", params=WORLDS, ids=lambda world: world.name)
def standing(request: pytest.FixtureRequest) -> Iterator[Place]:
    world: World = request.param
    with world.fake() as fake:
        yield Place(world, fake, world.backend(fake))


@pytest.fixture
def ecs(standing):
    """Nothing goes wrong, and nothing is protected."""
    standing.heal()
    standing.task.disable()
    return standing


def requests(ecs) -> list[str]:
    """What was asked of task protection so far; which task it is, a backend may have asked before."""
    return [str(call.call) for call in ecs.calls if call.call in {"enable", "disable", "get"}]


def test_it_protects_for_as_long_as_it_is_told(ecs):
    for minutes in (1, 60, 2880):
        answer = ecs.backend.enable(minutes)
        change = ecs.changes[-1]
        assert round(change.expires - change.time, 3) == minutes * 60
        assert (answer.outcome, answer.protected) == (Outcome.CONFIRMED, True)
        assert abs((answer.expires_at - ecs.time.date(change.expires)).total_seconds()) < 1


def test_it_ends_the_protection(ecs):
    ecs.backend.enable(5)
    answer = ecs.backend.disable()
    assert not ecs.protected
    assert (answer.outcome, answer.protected, answer.expires_at) == (Outcome.CONFIRMED, False, None)


def test_it_tells_whether_the_task_is_protected_and_changes_nothing(ecs):
    assert ecs.backend.get().protected is False
    ecs.task.enable(7)
    changes = ecs.changes
    answer = ecs.backend.get()
    assert (answer.outcome, answer.protected) == (Outcome.CONFIRMED, True)
    assert abs((answer.expires_at - ecs.time.date(changes[-1].expires)).total_seconds()) < 1
    assert ecs.changes == changes


def test_it_names_the_task(ecs):
    assert ecs.backend.get().task_arn == ecs.task.arn


@pytest.mark.parametrize("minutes", [0, -1, 2881, True, False, 5.0, "5", None, math.nan, 10**400])
def test_minutes_that_ecs_would_refuse_are_never_sent(ecs, minutes):
    made = len(ecs.calls)
    rule = r"minutes must be a whole number from 1 to 2880, got "
    with pytest.raises(SettingsError, match=rule):
        ecs.backend.enable(minutes)
    assert len(ecs.calls) == made


TOLD: dict[str, tuple[Fault, Outcome, str | None]] = {
    "refuse": (faults.Refuse("DEPLOYMENT_BLOCKED", detail="why"), Outcome.REFUSED, "DEPLOYMENT_BLOCKED"),
    "missing": (faults.Refuse("MISSING"), Outcome.REFUSED, "MISSING"),
    "a new reason": (faults.Refuse("SOMETHING_NEW"), Outcome.REFUSED, "SOMETHING_NEW"),
    "not valid": (faults.Refuse("TASK_NOT_VALID"), Outcome.NOT_A_SERVICE_TASK, "TASK_NOT_VALID"),
    "throttle": (faults.Throttle(), Outcome.THROTTLED, "ThrottlingException"),
    "limit": (faults.Limit(), Outcome.THROTTLED, "HTTP 429"),
    "access denied": (faults.Ecs("access_denied"), Outcome.MISCONFIGURED, "AccessDeniedException"),
    "client": (faults.Ecs("client_exception"), Outcome.MISCONFIGURED, "ClientException"),
    "invalid": (faults.Ecs("invalid_parameter"), Outcome.MISCONFIGURED, "InvalidParameterException"),
    "not found": (faults.Ecs("resource_not_found"), Outcome.MISCONFIGURED, "ResourceNotFoundException"),
    "unsupported": (faults.Ecs("unsupported_feature"), Outcome.MISCONFIGURED, "UnsupportedFeatureException"),
    "unrecognized": (faults.Ecs("unrecognized_client"), Outcome.MISCONFIGURED, "UnrecognizedClientException"),
    "redirect": (faults.Redirect(), Outcome.MISCONFIGURED, "HTTP 301"),
    "error 500": (faults.Error(500), Outcome.AMBIGUOUS, "ServerException"),
    "error 503": (faults.Error(503), Outcome.AMBIGUOUS, None),
    "error 504": (faults.Error(504), Outcome.AMBIGUOUS, None),
    "empty": (faults.Ecs("empty"), Outcome.AMBIGUOUS, None),
    "two tasks": (faults.Ecs("two_tasks"), Outcome.AMBIGUOUS, None),
    "drop": (faults.Drop(), Outcome.AMBIGUOUS, None),
    "reset": (faults.Drop(reset=True), Outcome.AMBIGUOUS, None),
    "garbage": (faults.Garbage(), Outcome.AMBIGUOUS, None),
    "the opposite": (faults.Garbage("opposite"), Outcome.AMBIGUOUS, None),
    "both": (faults.Garbage("both"), Outcome.AMBIGUOUS, None),
    "neither": (faults.Garbage("neither"), Outcome.AMBIGUOUS, None),
    "strings": (faults.Garbage("strings"), Outcome.AMBIGUOUS, None),
    "another shape": (faults.Garbage("shape"), Outcome.AMBIGUOUS, None),
    "apply, then drop": (faults.ApplyThenDrop(), Outcome.AMBIGUOUS, None),
    "land late": (faults.LandLate(0.0), Outcome.AMBIGUOUS, None),
}


@pytest.mark.parametrize("name", TOLD)
def test_whatever_goes_wrong_is_taken_for_what_it_is_and_nothing_is_sent_twice(ecs, name):
    fault, outcome, reason = TOLD[name]
    ecs.fail(fault, times=None)
    made = len(requests(ecs))
    answer = ecs.backend.enable(5)
    assert answer.outcome is outcome, answer
    assert reason in {None, answer.reason}
    assert (answer.protected, answer.expires_at) == (None, None)
    assert answer.sent_at is not None
    assert requests(ecs)[made:] == ["enable"]


def test_no_call_is_logged_above_debug(ecs, caplog):
    with caplog.at_level("INFO"):
        ecs.backend.enable(5)
    assert caplog.records == []


def test_backends_of_one_task_see_what_each_other_does():
    agent, api = AgentWorld(), EcsWorld()
    with api.fake() as ecs, agent.fake(ecs.task) as beside:
        by_api, by_agent = api.backend(ecs), agent.backend(beside)
        assert by_api.enable(60).outcome is Outcome.CONFIRMED
        told, also = by_api.get(), by_agent.get()
        assert (told.protected, also.protected, told.task_arn) == (True, True, also.task_arn)
        assert abs((told.expires_at - also.expires_at).total_seconds()) < 1
        assert by_agent.disable().outcome is Outcome.CONFIRMED
        assert by_api.get().protected is False
        assert len(ecs.task.changes) == 2


@each_world
def test_what_names_the_container_to_its_processes_is_the_same_in_each_and_in_no_other(world):
    with world.fake() as one, world.fake() as another:
        scopes = [world.backend(fake).scope for fake in (one, one, another)]
    assert scopes[0] == scopes[1] != scopes[2]


# --- before a socket: when it was sent


def said(world: World) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(world.confirming) + world.confirming


class RingingClock:
    """A clock whose reading lets the endpoint answer: if it were read only after the answer, there would be none."""

    def __init__(self) -> None:
        self.read = threading.Event()
        self.readings: list[float] = []

    def now(self) -> float:
        self.read.set()
        self.readings.append(1000.0 + len(self.readings))
        return self.readings[-1]

    def wall(self) -> float:
        raise AssertionError

    def alarm(self):
        raise AssertionError


@each_world
def test_the_stamp_is_the_time_of_sending_and_not_of_the_answer(world):
    clock = RingingClock()

    def behave(endpoint: Endpoint, connection: socket.socket) -> None:
        endpoint.receive(connection)
        if clock.read.wait(BOUND_S):
            connection.sendall(said(world))

    with Endpoint(behave) as endpoint:
        answer = world.backend_at(endpoint.where, clock=clock).enable(5)
    assert (answer.outcome, answer.expires_at) == (Outcome.CONFIRMED, EXPIRES_AT)
    assert answer.sent_at == clock.readings[-1]


@each_world
def test_the_stamp_is_told_by_the_steady_clock_by_default(world):
    with Endpoint(answering(said(world))) as endpoint:
        before = steady_now()
        answer = world.backend_at(endpoint.where).enable(5)
    assert answer.sent_at is not None
    assert before <= answer.sent_at <= steady_now()


# --- the connection


@each_world
def test_each_call_has_a_connection_of_its_own_even_if_the_other_side_would_keep_it(world):
    def behave(endpoint: Endpoint, connection: socket.socket) -> None:
        endpoint.receive(connection)
        connection.sendall(said(world))
        assert connection.recv(1) == b""  # the client closes first

    with Endpoint(behave) as endpoint:
        backend = world.backend_at(endpoint.where)
        assert [backend.get().outcome for _ in range(3)] == [Outcome.CONFIRMED] * 3
    assert len(endpoint.requests) == 3


@each_world
def test_a_redirect_is_never_followed(world):
    with Endpoint(answering(said(world))) as second:
        moved = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {second.uri}\r\nContent-Length: 0\r\n\r\n"
        with Endpoint(answering(moved.encode())) as first:
            answer = world.backend_at(first.where).enable(5)
    assert answer.outcome is Outcome.MISCONFIGURED
    assert (len(first.requests), second.requests) == (1, [])


def drip_the_head(world: World) -> Behaviour:
    def behave(endpoint: Endpoint, connection: socket.socket) -> None:
        endpoint.receive(connection)
        endpoint.drip(connection, said(world))

    return behave


def drip_the_body(world: World) -> Behaviour:
    def behave(endpoint: Endpoint, connection: socket.socket) -> None:
        endpoint.receive(connection)
        whole = said(world)
        connection.sendall(whole[: -len(world.confirming)])
        endpoint.drip(connection, world.confirming)

    return behave


def hang_after(length: int | None) -> object:
    """Hang when so much of the answer has been sent; all but so much, if it is negative."""

    def of(world: World) -> Behaviour:
        def behave(endpoint: Endpoint, connection: socket.socket) -> None:
            endpoint.receive(connection)
            connection.sendall(said(world)[:length])
            endpoint.until_stopped()

        return behave

    return of


def read_nothing(_: World) -> Behaviour:
    return lambda endpoint, _: endpoint.until_stopped()


HANGING = {
    "drips the head": drip_the_head,
    "drips the body": drip_the_body,
    "hangs before the head": hang_after(0),
    "hangs within the head": hang_after(20),
    "hangs in the body": hang_after(-1),
    "reads nothing": read_nothing,
}


def call_one_that_hangs(world: World, behave: Behaviour) -> tuple[Answer, float]:
    with Endpoint(behave) as endpoint:
        backend = world.backend_at(endpoint.where, deadline_s=6.0)
        started = time.monotonic()
        return backend.enable(5), time.monotonic() - started


@pytest.fixture(scope="module")
def hung():
    """All of them at once, for they mostly wait."""
    cases = [(world, name) for world in WORLDS for name in HANGING]
    WORLDS[-1].backend_at("127.0.0.1:1").get()  # makes the session that all share
    with ThreadPoolExecutor(len(cases)) as pool:
        calls = [pool.submit(call_one_that_hangs, world, HANGING[name](world)) for world, name in cases]
        return {(world.name, name): call.result() for (world, name), call in zip(cases, calls, strict=True)}


@each_world
@pytest.mark.parametrize("name", HANGING)
def test_a_call_ends_within_6_s_whatever_the_other_side_does(world, name, hung):
    answer, took_s = hung[world.name, name]
    assert answer.outcome is Outcome.AMBIGUOUS
    assert answer.sent_at is not None
    assert 4.0 < took_s < BOUND_S


def reset_after(length: int) -> object:
    def of(world: World) -> Behaviour:
        def behave(endpoint: Endpoint, connection: socket.socket) -> None:
            endpoint.receive(connection)
            connection.sendall(said(world)[:length])
            reset(connection)

        return behave

    return of


def answers(head: bytes, body: object = None) -> object:
    return lambda world: answering(head + (world.confirming if body is None else body(world.confirming)))


OK = b"HTTP/1.1 200 OK\r\n"
BROKEN = {
    "reset after the request": reset_after(0),
    "reset after the head": reset_after(80),
    "closed without an answer": lambda _: answering(b""),
    "closed within the head": lambda world: answering(said(world)[:30]),
    "closed within the body": lambda world: answering(said(world)[:-1]),
    "no HTTP": lambda _: answering(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "not even text": lambda _: answering(bytes(range(256)) * 8),
    "a status that is none": answers(b"HTTP/1.1 2000 OK\r\n\r\n"),
    "a broken chunk": answers(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "compressed": answers(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress),
    "another protocol": answers(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
}


@each_world
@pytest.mark.parametrize("name", BROKEN)
def test_a_connection_that_stood_and_broke_is_ambiguous(world, name):
    with Endpoint(BROKEN[name](world)) as endpoint:
        answer = world.backend_at(endpoint.where).enable(5)
    assert answer.outcome is Outcome.AMBIGUOUS, answer
    assert answer.detail
    assert answer.reason != "out of time"  # told at once, not by the deadline
    assert answer.sent_at is not None
    assert len(endpoint.requests) == 1


@each_world
def test_a_connection_reset_at_once_is_ambiguous_unless_nothing_was_sent(world):
    with Endpoint(lambda _, connection: reset(connection)) as endpoint:
        answer = world.backend_at(endpoint.where).enable(5)
    assert answer.outcome is (Outcome.UNAVAILABLE if answer.sent_at is None else Outcome.AMBIGUOUS)


SOUND = {
    "chunked": lambda body: (
        OK
        + b"Transfer-Encoding: chunked\r\n\r\n10\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (body[:16], len(body) - 16, body[16:])
    ),
    "HTTP/1.0": lambda body: b"HTTP/1.0 200 OK\r\n\r\n" + body,
    "of 64 KiB": lambda body: OK + b"\r\n" + body.ljust(64 * 1024),
    "with more behind it": lambda body: (
        OK + b"Content-Length: %d\r\n\r\n%sHTTP/1.1 500 Internal Server Error\r\n\r\n" % (len(body), body)
    ),
}


@each_world
@pytest.mark.parametrize("name", SOUND)
def test_an_unusual_but_whole_answer_is_believed(world, name):
    with Endpoint(answering(SOUND[name](world.confirming))) as endpoint:
        answer = world.backend_at(endpoint.where).enable(5)
    assert (answer.outcome, answer.expires_at) == (Outcome.CONFIRMED, EXPIRES_AT)


# --- no connection


def nothing_was_sent(answer: Answer) -> bool:
    return (answer.outcome, answer.sent_at) == (Outcome.UNAVAILABLE, None)


@each_world
def test_a_refused_connection_is_unavailable(world):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    answer = world.backend_at(f"127.0.0.1:{port}").enable(5)
    assert nothing_was_sent(answer)
    assert answer.detail


@each_world
def test_the_deadline_bounds_connecting_too(world):
    with deaf() as port:
        started = time.monotonic()
        answer = world.backend_at(f"127.0.0.1:{port}", deadline_s=0.5).get()
    assert nothing_was_sent(answer)
    assert time.monotonic() - started < BOUND_S


@each_world
def test_a_name_that_is_not_found_is_unavailable(world, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    backend = world.backend_at("agent.test:80")
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert nothing_was_sent(backend.enable(5))


@each_world
def test_a_call_that_is_over_sends_nothing_when_the_resolver_answers_at_last(world, monkeypatch):
    answers_now, asked = threading.Event(), threading.Event()
    resolve = socket.getaddrinfo

    def hang(host: str, *args: object, **kwargs: object) -> object:
        if host == "slow.test":
            asked.set()
            assert answers_now.wait(BOUND_S)
        return resolve("127.0.0.1", *args, **kwargs)  # type: ignore[arg-type]

    closed = threading.Event()

    def behave(endpoint: Endpoint, connection: socket.socket) -> None:
        try:
            endpoint.receive(connection)
        finally:
            closed.set()

    with Endpoint(behave) as endpoint:
        backend = world.backend_at(f"slow.test:{endpoint.port}", deadline_s=3.0)
        monkeypatch.setattr(socket, "getaddrinfo", hang)
        answer = backend.enable(5)
        assert asked.is_set()
        answers_now.set()
        if world.name == "ecs":  # it connects, and hangs up
            assert closed.wait(BOUND_S)
    assert nothing_was_sent(answer)
    assert endpoint.requests == []
