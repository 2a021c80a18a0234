"""How FakeAgent's answers go over the wire, behind both of its servers; and that closing it ends everything at once."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from protectwork.testing import FakeAgent
from protectwork.testing._agent import ServerFactory
from protectwork.testing._pytest_server import PytestServer
from protectwork.testing._server import StdlibServer
from protectwork.testing._wire import Connections
from protectwork.testing.faults import Delay, Drip, Drop, Ecs, Fault, Hang

from .agent_client import get, put

GET = b"GET /api/good/task-protection/v1/state HTTP/1.1\r\nHost: agent\r\n\r\n"


@pytest.fixture(params=[StdlibServer, PytestServer])
def server(request: pytest.FixtureRequest) -> ServerFactory:
    return request.param


@pytest.fixture
def agent(server: ServerFactory) -> Iterator[FakeAgent]:
    with FakeAgent(server=server) as agent:
        yield agent


@contextmanager
def asked(agent: FakeAgent, request: bytes = GET, *, timeout_s: float = 10.0) -> Iterator[socket.socket]:
    """A connection on which a request has been sent."""
    with socket.create_connection(("127.0.0.1", agent.port), timeout=timeout_s) as connection:
        connection.sendall(request)
        yield connection


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    return b"".join(iter(lambda: connection.recv(4096), b""))


def threads_of_agents() -> list[threading.Thread]:
    return [
        thread for thread in threading.enumerate() if "fake-agent" in thread.name or "process_request" in thread.name
    ]


def test_an_answer_is_http_and_ends_with_the_connection(agent: FakeAgent):
    with asked(agent) as connection:
        head, _, body = received(connection).partition(b"\r\n\r\n")

    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        b"Connection: close",
    ]


@pytest.mark.parametrize(
    "fault", [Hang(), Drip(interval_s=60), Drip("headers", interval_s=60), Delay(60), Ecs("hang")], ids=repr
)
def test_closing_ends_every_hang_and_delay_at_once(server: ServerFactory, fault: Fault):
    with FakeAgent(server=server) as agent:
        agent.fail(fault)
        with asked(agent) as connection:
            assert agent.wait_until(lambda: len(agent.calls) == 1)
            began = time.monotonic()
            agent.close()
            received(connection)

    assert time.monotonic() - began < 3
    assert not threads_of_agents()


def test_a_connection_that_comes_while_the_server_closes_is_hung_up():
    connections, (ours, theirs) = Connections(), socket.socketpair()
    connections.close()

    connections.add(ours, threading.current_thread())

    assert received(theirs) == b""
    ours.close()
    theirs.close()


@pytest.mark.parametrize("fault", [Hang(), Hang(after_headers=True), Delay(60)], ids=repr)
def test_a_client_that_leaves_is_not_waited_for(agent: FakeAgent, fault: Fault):
    agent.fail(fault)
    with asked(agent):
        assert agent.wait_until(lambda: len(agent.calls) == 1)

    for thread in threads_of_agents():
        if thread.name != "protectwork-fake":  # which listens on
            thread.join(5)
            assert not thread.is_alive()
    assert get(agent).status == 200


def test_a_hang_says_nothing(agent: FakeAgent):
    agent.fail(Hang())
    with asked(agent, timeout_s=0.2) as connection, pytest.raises(TimeoutError):
        connection.recv(1)

    assert agent.changes == ()


def test_a_hang_after_the_headers_has_done_what_was_asked(agent: FakeAgent):
    agent.fail(Hang(after_headers=True))
    request = GET.replace(b"GET", b"PUT").replace(
        b"\r\n\r\n", b'\r\nContent-Length: 26\r\n\r\n{"ProtectionEnabled":true}'
    )
    with asked(agent, request, timeout_s=0.2) as connection:
        said = b""
        with suppress(TimeoutError):
            while part := connection.recv(4096):
                said += part

    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert said.endswith(b"Connection: close\r\n\r\n")
    assert agent.protected


@pytest.mark.parametrize(("part", "bytes_that_drip"), [("headers", 90), ("body", 140)])
def test_a_drip_sends_one_byte_per_interval(server: ServerFactory, part: str, bytes_that_drip: int):
    with FakeAgent(server=server, delay_scale=0.002) as agent:
        agent.fail(Drip(part, interval_s=1.0))  # type: ignore[arg-type] - a parameter of this test
        began = time.monotonic()

        assert put(agent, enabled=True).said["protection"]["ProtectionEnabled"] is True

        assert time.monotonic() - began > 0.002 * bytes_that_drip


def test_a_dripping_client_that_leaves_ends_the_drip(agent: FakeAgent):
    agent.fail(Drip(interval_s=0.01))
    with asked(agent) as connection:
        connection.recv(1)

    assert get(agent).status == 200


def test_a_delay_is_waited_in_real_time_unless_it_is_scaled(server: ServerFactory):
    with FakeAgent(server=server, delay_scale=0.1) as agent:
        agent.fail(Delay(3))
        began = time.monotonic()

        get(agent)

        assert 0.3 <= time.monotonic() - began < 3


def test_a_drop_closes_politely_and_a_reset_does_not(agent: FakeAgent):
    agent.fail(Drop())
    with asked(agent) as connection:
        assert received(connection) == b""

    agent.fail(Drop(reset=True))
    with asked(agent) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)

    assert get(agent).status == 200


def test_requests_are_answered_side_by_side(agent: FakeAgent):
    agent.fail(Hang())
    with asked(agent), ThreadPoolExecutor(16) as pool:
        assert agent.wait_until(lambda: len(agent.calls) == 1)
        statuses = list(pool.map(lambda _: put(agent, enabled=True).status, range(64)))

    assert statuses == [200] * 64
    assert len(agent.changes) == 64
    assert [change.time for change in agent.changes] == sorted(change.time for change in agent.changes)


def test_a_client_that_vanishes_in_the_middle_hurts_nobody(agent: FakeAgent):
    for part in (b"", b"GET /api/go", GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 10\r\n\r\n")):
        with asked(agent, part) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert get(agent).status == 200


def test_nothing_is_written_to_the_terminal(agent: FakeAgent, capfd: pytest.CaptureFixture[str]):
    get(agent)
    with suppress(ConnectionError):
        agent.fail(Drop(reset=True))
        get(agent)

    assert capfd.readouterr() == ("", "")


def test_the_timeline_outlives_the_agent(server: ServerFactory):
    with FakeAgent(server=server) as agent:
        put(agent, enabled=True)

    assert agent.protected
    assert len(agent.calls) == 1
    with pytest.raises(ConnectionError):
        get(agent)


def test_an_agent_listens_where_it_is_told_to(server: ServerFactory):
    with FakeAgent(server=server) as agent:
        port = agent.port
    with FakeAgent(server=server, port=port) as agent:
        assert agent.uri == f"http://127.0.0.1:{port}/api/good"
        assert get(agent).status == 200


# -- the standard library's server alone


def test_what_is_no_http_is_told_so():
    with FakeAgent() as agent:
        for request in (b"good morning\r\n\r\n", GET.replace(b"\r\n\r\n", b"\r\nContent-Length: ten\r\n\r\n")):
            with asked(agent, request) as connection:
                assert b"400" in received(connection)
        with pytest.raises(http.client.RemoteDisconnected):
            _say_nothing(agent)

        assert agent.calls == ()


def _say_nothing(agent: FakeAgent) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=5)
    connection.connect()
    connection.sock.shutdown(socket.SHUT_WR)
    response = http.client.HTTPResponse(connection.sock)
    try:
        response.begin()
    finally:
        response.close()
        connection.close()


def test_closing_ends_connections_that_say_nothing():
    with FakeAgent() as agent, asked(agent, b"") as connection:
        get(agent)  # by now the server has taken the connection before it
        agent.close()
        assert received(connection) == b""

    assert not threads_of_agents()
