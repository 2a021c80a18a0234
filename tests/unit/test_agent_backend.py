"""The agent backend against a raw socket that behaves as badly as a socket can, and against answers that mislead."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest

from protectwork._clock import steady_now
from protectwork._errors import SettingsError
from protectwork._types import Answer, Outcome
from protectwork._waiting import SystemClock
from protectwork.backends.agent import AgentBackend, classify

from .raw_endpoint import Behaviour, Endpoint, answering, deaf, reset

ARN = "arn:aws:ecs:eu-west-1:111122223333:task/c/0123456789abcdef"
PROTECTED = (
    b'{"protection":{"ExpirationDate":"2030-01-02T03:04:05Z","ProtectionEnabled":true,"TaskArn":"%s"}}' % ARN.encode()
)
EXPIRES_AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(PROTECTED)
WHOLE = HEAD + PROTECTED

DEADLINE_S = 0.4
BOUND_S = 10.0
"""A call that ends by its deadline ends long before this, on a machine however busy."""


def backend_at(endpoint: Endpoint, *, deadline_s: float = 20.0) -> AgentBackend:
    return AgentBackend(endpoint.uri, deadline_s=deadline_s)


# --- what is sent


def test_enable_puts_whole_minutes_and_is_confirmed_by_the_answer():
    with Endpoint(answering(WHOLE)) as endpoint:
        answer = backend_at(endpoint).enable(2880)

    assert (answer.outcome, answer.protected, answer.expires_at) == (Outcome.CONFIRMED, True, EXPIRES_AT)
    assert (answer.task_arn, answer.reason, answer.detail) == (ARN, None, None)
    [request] = endpoint.requests
    head, body = request.split(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    assert line == "PUT /api/id/task-protection/v1/state HTTP/1.1"
    assert body == b'{"ProtectionEnabled":true,"ExpiresInMinutes":2880}'
    assert dict(header.split(": ") for header in headers) == {
        "Host": f"127.0.0.1:{endpoint.port}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "Content-Length": str(len(body)),
        "Content-Type": "application/json",
        "User-Agent": "protectwork",
    }


def test_disable_omits_the_minutes():
    unprotected = b'HTTP/1.1 200 OK\r\n\r\n{"protection":{"ExpirationDate":null,"ProtectionEnabled":false}}'
    with Endpoint(answering(unprotected)) as endpoint:
        answer = backend_at(endpoint).disable()

    assert (answer.outcome, answer.protected, answer.expires_at) == (Outcome.CONFIRMED, False, None)
    assert endpoint.requests[0].endswith(b'\r\n\r\n{"ProtectionEnabled":false}')


def test_get_sends_no_body():
    with Endpoint(answering(WHOLE)) as endpoint:
        answer = backend_at(endpoint).get()

    assert (answer.outcome, answer.protected, answer.expires_at) == (Outcome.CONFIRMED, True, EXPIRES_AT)
    [request] = endpoint.requests
    assert request.startswith(b"GET /api/id/task-protection/v1/state HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\n")
    assert b"content-length" not in request.lower()


@pytest.mark.parametrize("slashes", ["", "/", "///"])
def test_trailing_slashes_of_the_variable_are_dropped(slashes):
    with Endpoint(answering(WHOLE)) as endpoint:
        AgentBackend(endpoint.uri + slashes).get()
    assert endpoint.requests[0].startswith(b"GET /api/id/task-protection/v1/state ")


def test_a_uri_without_a_path_is_called_at_its_root():
    with Endpoint(answering(WHOLE)) as endpoint:
        AgentBackend(f"HTTP://127.0.0.1:{endpoint.port}").get()
    assert endpoint.requests[0].startswith(b"GET /task-protection/v1/state ")


def test_ipv6_loopback_is_called():
    with Endpoint(answering(WHOLE), host="::1") as endpoint:
        assert backend_at(endpoint).get().outcome is Outcome.CONFIRMED
    assert f"Host: [::1]:{endpoint.port}\r\n".encode() in endpoint.requests[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_localhost_is_whichever_loopback_address_listens(host):
    with Endpoint(answering(WHOLE), host=host) as endpoint:
        answer = AgentBackend(f"http://localhost:{endpoint.port}/api/id").get()
    assert answer.outcome is Outcome.CONFIRMED


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    with Endpoint(answering(WHOLE)) as proxy, Endpoint(answering(WHOLE)) as endpoint:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        answer = backend_at(endpoint).enable(5)
    assert answer.outcome is Outcome.CONFIRMED
    assert (len(endpoint.requests), proxy.requests) == (1, [])


@pytest.mark.external
def test_a_call_touches_nothing_but_the_endpoint(tmp_path):
    code = "import sys; from protectwork.backends.agent import AgentBackend; AgentBackend(sys.argv[1]).enable(5)"
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login x password y")
    environ = os.environ | {"HOME": str(tmp_path), "HTTP_PROXY": "http://127.0.0.1:9"}
    trace = tmp_path / "trace"
    with Endpoint(answering(WHOLE)) as endpoint:
        strace = ["strace", "-f", "-e", "trace=connect,openat", "-o", str(trace)]
        subprocess.run([*strace, sys.executable, "-c", code, endpoint.uri], env=environ, check=True)
    calls = trace.read_text().splitlines()
    [connect] = [call for call in calls if "connect(" in call]
    assert f"htons({endpoint.port})" in connect
    assert [call for call in calls if ".netrc" in call or "/etc/hosts" in call or "resolv.conf" in call] == []


# --- how much it reads


def answer_at_length(head: bytes, part: bytes) -> Behaviour:
    def behave(endpoint: Endpoint, connection: socket.socket) -> None:
        endpoint.receive(connection)
        connection.sendall(head)
        while not endpoint.stopped.is_set():  # ends when the client closes
            connection.sendall(part)

    return behave


def flood_with_interim_answers(endpoint: Endpoint, connection: socket.socket) -> None:
    endpoint.receive(connection)
    while not endpoint.stopped.is_set():
        connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000)


def drip_chunks(endpoint: Endpoint, connection: socket.socket) -> None:
    endpoint.receive(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    endpoint.drip(connection, b"1\r\n \r\n" * 1000)


def drip_interim_answers(endpoint: Endpoint, connection: socket.socket) -> None:
    endpoint.receive(connection)
    while not endpoint.stopped.wait(0.05):
        connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")


@pytest.mark.parametrize("behave", [drip_chunks, drip_interim_answers])
def test_what_drips_without_end_is_read_until_the_deadline(behave):
    with Endpoint(behave) as endpoint:
        answer = backend_at(endpoint, deadline_s=0.4).enable(5)
    assert (answer.outcome, answer.reason) == (Outcome.AMBIGUOUS, "no usable answer")
    assert (answer.detail or "").startswith("TimeoutError: ")


GZIP_BOMB = gzip.compress(b" " * 50_000_000)
ENDLESS = {
    "10 MB of body": answering(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b" " * 10_000_000),
    "a body without end": answer_at_length(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 4096),
    "chunks without end": answer_at_length(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 99
    ),
    "interim answers without end": flood_with_interim_answers,
    "a head without end": answer_at_length(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"x" * 4096 + b"\r\n"),
    "a gzip bomb": answering(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(GZIP_BOMB) + GZIP_BOMB
    ),
}


@pytest.mark.parametrize("behave", ENDLESS.values(), ids=ENDLESS.keys())
def test_an_answer_without_end_is_ambiguous_long_before_it_ends(behave):
    with Endpoint(behave) as endpoint:
        answer = backend_at(endpoint).enable(5)
    assert answer.outcome is Outcome.AMBIGUOUS
    assert not (answer.detail or "").startswith("TimeoutError: ")  # told at once, not by the deadline


def test_a_body_of_one_byte_more_than_64_kib_is_ambiguous():
    with Endpoint(answering(b"HTTP/1.1 200 OK\r\n\r\n" + PROTECTED.ljust(64 * 1024 + 1))) as endpoint:
        answer = backend_at(endpoint).enable(5)
    assert (answer.outcome, answer.detail) == (Outcome.AMBIGUOUS, "ValueError: a body of more than 65536 bytes")


def test_an_answer_given_before_the_request_was_read_is_heard():
    closed = threading.Event()

    def behave(endpoint: Endpoint, connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n")
        reset(connection)
        closed.set()

    class WaitingClock(SystemClock):
        def now(self) -> float:  # the head is written; the body will be only when nobody is there to read it
            closed.wait(BOUND_S)
            return steady_now()

    with Endpoint(behave) as endpoint:
        answer = AgentBackend(endpoint.uri, clock=WaitingClock()).enable(5)
    assert answer.outcome is Outcome.THROTTLED


# --- no connection


def nothing_was_sent(answer: Answer) -> bool:
    return (answer.outcome, answer.reason, answer.sent_at) == (Outcome.UNAVAILABLE, "no connection", None)


def test_a_connection_that_does_not_stand_in_time_is_unavailable():
    with deaf() as port:
        started = time.monotonic()
        answer = AgentBackend(f"http://127.0.0.1:{port}", connect_s=0.2).enable(5)
        took_s = time.monotonic() - started
    assert nothing_was_sent(answer)
    assert answer.detail == "TimeoutError: timed out"
    assert 0.2 <= took_s < BOUND_S


def test_an_allowed_name_is_called_at_the_first_of_its_addresses_that_answers(monkeypatch):
    resolve = socket.getaddrinfo

    def several(host: str, *args: object, **kwargs: object) -> list[object]:
        addresses = ["::1", "127.0.0.1"] if host == "agent.test" else [host]
        return [result for address in addresses for result in resolve(address, *args, **kwargs)]  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    with Endpoint(answering(WHOLE)) as endpoint:
        answer = AgentBackend(f"http://Agent.test:{endpoint.port}", allow_endpoint=["AGENT.test"]).enable(5)
    assert answer.outcome is Outcome.CONFIRMED
    assert f"Host: agent.test:{endpoint.port}\r\n".encode() in endpoint.requests[0]


# --- which endpoints may be called


@pytest.mark.parametrize(
    "uri",
    [
        "http://169.254.170.2/api/0a1b",
        "http://127.0.0.1:51678",
        "http://127.255.255.254",
        "http://10.255.0.1",
        "http://172.16.0.1",
        "http://172.31.255.255",
        "http://192.168.1.1",
        "http://[::1]:8080/x",
        "http://[fe80::1]/x",
        "http://[fd00:ec2::2]/x",
        "http://localhost:1/x",
        "HTTP://LOCALHOST",
    ],
)
def test_plain_http_to_a_near_address_is_accepted(uri):
    assert AgentBackend(uri).name == "agent"


@pytest.mark.parametrize(
    "uri",
    [
        "http://8.8.8.8/api",
        "http://172.15.255.255",
        "http://172.32.0.1",
        "http://100.64.0.1",
        "http://0.0.0.0",
        "http://[::]",
        "http://[2001:db8::1]",
        "http://[::ffff:8.8.8.8]",
        "http://example.com/api",
        "http://localhost.example.com",
        "http://localhost.",
        "http://127.1",
        "http://2130706433",
        "http://0x7f.0.0.1",
        "http://127.0.0.01",
        "http://[127.0.0.1]",
        "http://[fe80]",
        "http://agent",
    ],
)
def test_an_address_elsewhere_is_refused(uri):
    with pytest.raises(SettingsError) as caught:
        AgentBackend(uri)
    assert (caught.value.setting, caught.value.value) == ("ECS_AGENT_URI", repr(uri))
    assert caught.value.rule == "a loopback, link-local or private address"
    assert "allow_endpoint" in (caught.value.remedy or "")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "169.254.170.2/api",
        "https://169.254.170.2/api",
        "file:///etc/passwd",
        "http:///api",
        "http://",
        "http://169.254.170.2/api?x=1",
        "http://169.254.170.2/api?",
        "http://169.254.170.2/api#x",
        "http://169.254.170.2@8.8.8.8/api",
        "http://8.8.8.8\\@169.254.170.2/api",
        "http://169.254.170.2 /api",
        "http://169.254.170.2/a b",
        "http://169.254.170.2/a\r\nX-Evil: 1",
        "http://169.254.170.2/\N{SNOWMAN}",
        "http://\N{FULLWIDTH DIGIT ONE}27.0.0.1/",
        "http://169.254.170.2:/api",
        "http://169.254.170.2:0/api",
        "http://169.254.170.2:65536/api",
        "http://169.254.170.2:8080:80/api",
        "http://[::1/api",
        "http://[fe80::1%25eth0]/api",
        " http://169.254.170.2/api",
        "http://169.254.170.2/api\n",
    ],
)
def test_what_is_no_plain_http_uri_is_refused(uri):
    with pytest.raises(SettingsError) as caught:
        AgentBackend(uri, allow_endpoint=["0.0.0.0/0", "::/0"])
    assert caught.value.setting == "ECS_AGENT_URI"
    assert caught.value.remedy == "take it as ECS sets it"
    assert str(caught.value).isprintable()


def test_a_path_longer_than_any_agent_s_is_refused():
    AgentBackend("http://127.0.0.1/" + "x" * 1999)
    with pytest.raises(SettingsError):
        AgentBackend("http://127.0.0.1/" + "x" * 3000)


def test_a_refused_uri_is_shown_cut_and_without_the_password_in_it():
    with pytest.raises(SettingsError) as caught:
        AgentBackend("http://user:secret@127.0.0.1/" + "x" * 10_000)
    assert "secret" not in str(caught.value)
    assert len(caught.value.value) < 220


@pytest.mark.parametrize(
    ("uri", "entry"),
    [
        ("http://8.8.8.8", "8.8.8.8"),
        ("http://8.8.8.8", "8.8.0.0/16"),
        ("http://[2001:db8::1]", "2001:db8::/32"),
        ("http://agent.example.com", "agent.example.com"),
        ("http://fake_agent:8080", "fake_agent"),
        ("http://agent", "AGENT"),
    ],
)
def test_what_allow_endpoint_names_is_accepted(uri, entry):
    assert AgentBackend(uri, allow_endpoint=["other", "192.0.2.0/24", entry]).name == "agent"


def test_allow_endpoint_names_whole_hosts():
    for entry in ("example.com", "8.8.8.8"):
        with pytest.raises(SettingsError):
            AgentBackend("http://agent.example.com", allow_endpoint=[entry])


# --- what an answer means


def protection(**fields: object) -> bytes:
    return json.dumps({"protection": fields}).encode()


def deep(depth: int) -> bytes:
    return b'{"protection":' + b"[" * depth + b"]" * depth + b"}"


MISLEADING = {
    "a failure beside it": b'{"protection":{"ProtectionEnabled":true},"failure":{"Reason":"MISSING"}}',
    "an error beside it": b'{"protection":{"ProtectionEnabled":true},"error":{}}',
    "a null failure beside it": b'{"protection":{"ProtectionEnabled":true},"failure":null}',
    "an error in a 200": b'{"error":{"Code":"ThrottlingException","Message":"slow down"}}',
    "one key twice": b'{"protection":{"ProtectionEnabled":false},"protection":{"ProtectionEnabled":true}}',
    "one field twice": b'{"protection":{"ProtectionEnabled":false,"ProtectionEnabled":true}}',
    "another case": b'{"Protection":{"ProtectionEnabled":true}}',
    "1": protection(ProtectionEnabled=1),
    "a string": protection(ProtectionEnabled="true"),
    "null": protection(ProtectionEnabled=None),
    "the other boolean": protection(ProtectionEnabled=False),
    "no boolean": protection(TaskArn=ARN),
    "a list": b'{"protection":[{"ProtectionEnabled":true}]}',
    "no object": b'{"protection":true}',
    "a list around it": b'[{"protection":{"ProtectionEnabled":true}}]',
    "true": b"true",
    "empty": b"",
    "an empty object": b"{}",
    "NaN": b'{"protection":{"ProtectionEnabled":true,"x":NaN}}',
    "cut": b'{"protection":{"ProtectionEnabled":true}',
    "more behind it": b'{"protection":{"ProtectionEnabled":true}} x',
    "UTF-16": '{"protection":{"ProtectionEnabled":true}}'.encode("utf-16"),
    "no UTF-8": b'{"protection":{"ProtectionEnabled":true,"x":"\xff"}}',
    "a byte order mark": b'\xef\xbb\xbf{"protection":{"ProtectionEnabled":true}}',
    "nested too deep": deep(30_000),
    "a number of 10 kB": b'{"protection":{"ProtectionEnabled":true,"x":' + b"9" * 10_000 + b"}}",
    "a failure without a reason": b'{"failure":{"Arn":"x"}}',
    "a failure with a number": b'{"failure":{"Reason":5}}',
    "a failure with an empty reason": b'{"failure":{"Reason":""}}',
    "HTML": b"<html>It works!</html>",
}


@pytest.mark.parametrize("body", MISLEADING.values(), ids=MISLEADING.keys())
def test_a_200_that_does_not_say_so_outright_is_ambiguous(body):
    answer = classify(200, body, asked=True)
    assert (answer.outcome, answer.protected, answer.reason) == (Outcome.AMBIGUOUS, None, "unusable answer")
    assert answer.detail


@pytest.mark.parametrize("status", [100, 201, 202, 204, 206, 500, 502, 503, 504, 599, 600, 999])
def test_only_a_200_confirms(status):
    assert classify(status, PROTECTED, asked=True).outcome is Outcome.AMBIGUOUS


@pytest.mark.parametrize(("asked", "told"), [(True, False), (False, True)])
def test_the_opposite_of_what_was_asked_for_is_ambiguous(asked, told):
    answer = classify(200, protection(ProtectionEnabled=told), asked=asked)
    assert (answer.outcome, answer.detail) == (Outcome.AMBIGUOUS, f"asked for {asked}, was told {told}")


def test_fields_that_are_new_to_us_change_nothing():
    body = b'{"requestID":"x","new":1,"protection":{"ProtectionEnabled":true,"New":[1]}}'
    assert classify(200, body, asked=True).outcome is Outcome.CONFIRMED


@pytest.mark.parametrize("date", [None, "", "soon", 5, "2030-01-02", "2030-13-02T03:04:05Z"])
def test_a_get_that_says_protected_without_a_date_is_ambiguous(date):
    body = protection(ProtectionEnabled=True, ExpirationDate=date)
    assert classify(200, body, asked=None).outcome is Outcome.AMBIGUOUS
    assert classify(200, body, asked=True) == Answer(outcome=Outcome.CONFIRMED, protected=True)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2030-01-02T03:04:05Z", EXPIRES_AT),
        ("2030-01-02T03:04:05.1Z", EXPIRES_AT.replace(microsecond=100_000)),
        ("2030-01-02T03:04:05.123Z", EXPIRES_AT.replace(microsecond=123_000)),
        ("2030-01-02T03:04:05.123456Z", EXPIRES_AT.replace(microsecond=123_456)),
        ("2030-01-02T03:04:05.999999999Z", EXPIRES_AT.replace(microsecond=999_999)),
        ("2030-01-02T04:04:05+01:00", EXPIRES_AT),
        ("2030-01-01T22:34:05.000-04:30", EXPIRES_AT),
        ("2030-01-02T03:04:05.1234567890Z", None),
        ("2030-01-02T03:04:05.Z", None),
        ("2030-01-02T03:04:05", None),
        ("2030-01-02 03:04:05Z", None),
        ("20300102T030405Z", None),
        ("2030-W01-3T03:04:05Z", None),
        ("2030-01-02T03:04:61Z", None),
        ("2030-02-30T03:04:05Z", None),
        ("2030-01-02T03:04:05+25:00", None),
        ("0000-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("٢٠٣٠-01-02T03:04:05Z", None),
        (" 2030-01-02T03:04:05Z", None),
    ],
)
def test_an_rfc_3339_date_is_read_as_utc_and_nothing_else_is(text, date):
    answer = classify(200, protection(ProtectionEnabled=True, ExpirationDate=text), asked=True)
    assert (answer.outcome, answer.expires_at) == (Outcome.CONFIRMED, date)
    assert date is None or (answer.expires_at is not None and answer.expires_at.tzinfo is UTC)


def test_an_unprotected_task_has_no_expiry():
    body = protection(ProtectionEnabled=False, ExpirationDate="2030-01-02T03:04:05Z")
    assert classify(200, body, asked=None) == Answer(outcome=Outcome.CONFIRMED, protected=False)


@pytest.mark.parametrize("reason", ["DEPLOYMENT_BLOCKED", "MISSING", "SOMETHING_NEW"])
def test_every_other_failure_is_a_refusal_with_its_reason(reason):
    body = json.dumps({"failure": {"Arn": ARN, "Detail": "why", "Reason": reason}}).encode()
    expected = Answer(outcome=Outcome.REFUSED, reason=reason, detail="why", task_arn=ARN)
    assert classify(200, body, asked=True) == expected


def error(code: object, *, request_id: str | None = None, message: object = "why") -> bytes:
    content: dict[str, object] = {"error": {"Arn": ARN, "Code": code, "Message": message}}
    return json.dumps(content | ({} if request_id is None else {"requestID": request_id})).encode()


@pytest.mark.parametrize(
    ("status", "body", "outcome", "may_pass"),
    [
        (400, error("ThrottlingException", request_id="x"), Outcome.THROTTLED, False),
        (400, error("AccessDeniedException", request_id="x"), Outcome.MISCONFIGURED, False),
        (403, error("AccessDeniedException", request_id="x"), Outcome.MISCONFIGURED, False),
        (403, error("AccessDeniedException"), Outcome.MISCONFIGURED, True),
        (403, error("AccessDeniedException", request_id=""), Outcome.MISCONFIGURED, True),
        (403, b"Forbidden", Outcome.MISCONFIGURED, True),
        (400, error("SomethingNewException"), Outcome.MISCONFIGURED, False),
        (400, error("ServerException", request_id="x"), Outcome.AMBIGUOUS, False),
        (400, error(5), Outcome.AMBIGUOUS, False),
        (400, b"Bad Request", Outcome.AMBIGUOUS, False),
        (400, PROTECTED, Outcome.AMBIGUOUS, False),
        (400, b'{"error":{"Code":"x"},"protection":{}}', Outcome.AMBIGUOUS, False),
        (408, b"Request Timeout", Outcome.AMBIGUOUS, False),
        (404, b"404 page not found\n", Outcome.MISCONFIGURED, False),
        (404, error("ResourceNotFoundException"), Outcome.MISCONFIGURED, False),
        (405, b"", Outcome.MISCONFIGURED, False),
        (429, b"Too Many Requests", Outcome.THROTTLED, False),
        (429, PROTECTED, Outcome.THROTTLED, False),
        (301, b"", Outcome.MISCONFIGURED, False),
        (304, PROTECTED, Outcome.MISCONFIGURED, False),
        (500, error("ServerException", request_id="x"), Outcome.AMBIGUOUS, False),
        (503, error("ThrottlingException", request_id="x"), Outcome.AMBIGUOUS, False),
        (504, error("RequestCanceled"), Outcome.AMBIGUOUS, False),
    ],
)
@pytest.mark.parametrize("asked", [True, False, None])
def test_an_error_is_classified_by_status_and_code(status, body, outcome, may_pass, asked):
    answer = classify(status, body, asked=asked)
    assert (answer.outcome, answer.may_pass, answer.protected) == (outcome, may_pass, None)


def test_an_error_keeps_its_code_message_and_task():
    answer = classify(400, error("InvalidParameterException", request_id="x"), asked=True)
    assert (answer.reason, answer.detail, answer.task_arn) == ("InvalidParameterException", "why", ARN)


@pytest.mark.parametrize("code", [[], {}, 7, None, True])
def test_an_error_whose_code_is_no_text_is_ambiguous(code):
    body = json.dumps({"error": {"Code": code}}).encode()
    assert classify(400, body, asked=True).outcome is Outcome.AMBIGUOUS


def test_an_error_without_a_code_is_named_by_its_status():
    answer = classify(502, b"<html>", asked=True)
    assert (answer.reason, answer.detail, answer.task_arn) == ("HTTP 502", None, None)


HOSTILE = [
    "line\r\n2030-01-01 CRITICAL forged",
    "\x1b[2J\x1b]0;owned\x07",
    "right\u202eleft",
    "lone \ud800 surrogate",
    "line\u2028separator",
    "nul\x00",
    "x" * 10_000,
    "\x00" * 10_000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_remote_text_is_escaped_and_cut(text):
    for body in (error(text, message=text), json.dumps({"failure": {"Reason": text, "Detail": text}}).encode()):
        answer = classify(200 if b"failure" in body else 400, body, asked=True)
        for said in (answer.reason, answer.detail):
            assert said
            assert said.isprintable()
            assert len(said) <= 200


def test_readable_remote_text_is_left_as_it_is():
    text = 'operation error ECS: Post "<endpoint>": EOF é'
    assert classify(400, error("x", message=text), asked=True).detail == text


@pytest.mark.parametrize("arn", [5, "", "arn:\n", "x" * 2000, None])
def test_an_arn_that_is_none_is_left_out(arn):
    assert classify(200, protection(ProtectionEnabled=True, TaskArn=arn), asked=True).task_arn is None
