"""The agent endpoint of an ECS task: one HTTP request per call, over within 6 s whatever the other side does."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import httpcore
import httpx

from protectwork._clock import Clock, steady_now
from protectwork._errors import SettingsError
from protectwork._types import Answer, Outcome
from protectwork.backends._answers import classify, escaped
from protectwork.backends._endpoint import agent_url

__all__ = ["AgentBackend", "classify"]

_BODY_BYTES = 64 * 1024
_WIRE_BYTES = 2 * _BODY_BYTES  # head and framing included: a body in chunks of one byte costs a second to unpack
_READ_BYTES = 4 * 1024
_MOST_MINUTES = 2880
_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Connection": "close",
    "Content-Type": "application/json",
    "User-Agent": "protectwork",
}


class AgentBackend:
    """Calls ``$ECS_AGENT_URI/task-protection/v1/state``, and says what the answer means.

    Each call makes a connection of its own, for the agent closes idle ones; follows no redirect, takes nothing from
    the environment (no proxy, no netrc) and reads at most 64 KiB of body. It keeps nothing between calls: any thread
    may call it, and so may a forked child.

    Args:
        uri: The value of ``ECS_AGENT_URI``.
        allow_endpoint: Host names, addresses or networks that it may lead to, beside loopback, link-local and private.
        clock: What ``sent_at`` is told by; the machine's steady clock by default. Time-outs are always real time.
        deadline_s: How long one call may take in all, in seconds. The agent gives ECS 4 s.
        connect_s: How much of it may pass until the connection stands, in seconds.

    Raises:
        SettingsError: The URI is not one that may be called.
    """

    name = "agent"

    def __init__(
        self,
        uri: str,
        *,
        allow_endpoint: Sequence[str] = (),
        clock: Clock | None = None,
        deadline_s: float = 6.0,
        connect_s: float = 1.5,
    ) -> None:
        self._url = httpx.URL(agent_url(uri, allow=allow_endpoint))
        self.scope = str(self._url)
        self._now = steady_now if clock is None else clock.now
        self._deadline_s = deadline_s
        self._connect_s = connect_s

    def enable(self, minutes: int) -> Answer:
        """Protect the task for ``minutes`` from now.

        Raises:
            SettingsError: ``minutes`` is not a whole number from 1 to 2880; the agent would pass on any other.
        """
        content = b'{"ProtectionEnabled":true,"ExpiresInMinutes":%d}' % _whole_minutes(minutes)
        return self._call("PUT", content, asked=True)

    def disable(self) -> Answer:
        """End the protection of the task."""
        return self._call("PUT", b'{"ProtectionEnabled":false}', asked=False)

    def get(self) -> Answer:
        """Ask whether the task is protected, and until when."""
        return self._call("GET", None, asked=None)

    def _call(self, method: str, content: bytes | None, *, asked: bool | None) -> Answer:
        now_s = steady_now()
        call = _Call(now=self._now, connect_by=now_s + self._connect_s, end_by=now_s + self._deadline_s)
        request = httpx.Request(method, self._url, headers=_HEADERS, content=content)
        try:
            # Not by a Client, which would log each renewal at INFO, with the address.
            response = _Transport(call).handle_request(request)
        except Exception as fault:  # noqa: BLE001 - nothing the other side sends may end the keeper: it becomes an answer
            answer = call.failed(fault)
        else:
            answer = classify(response.status_code, response.content, asked=asked)
        return replace(answer, sent_at=call.sent_at)


def _whole_minutes(minutes: object) -> int:
    # To Python a bool is an int, and would be sent as 1.
    if isinstance(minutes, int) and not isinstance(minutes, bool) and 1 <= minutes <= _MOST_MINUTES:
        return minutes
    raise SettingsError(setting="minutes", rule=f"a whole number from 1 to {_MOST_MINUTES}", value=repr(minutes))


@dataclass(slots=True, kw_only=True)
class _Call:
    """One call under way: when it has to end, and how far it came."""

    now: Callable[[], float]
    connect_by: float
    end_by: float
    sent_at: float | None = None

    def left_s(self) -> float:
        """Give what is left of the whole call, for one operation of the socket."""
        return _left_s(self.end_by)

    def failed(self, fault: Exception) -> Answer:
        """Say what a call that ended without an answer comes to."""
        nothing_sent = self.sent_at is None
        return Answer(
            outcome=Outcome.UNAVAILABLE if nothing_sent else Outcome.AMBIGUOUS,
            reason="no connection" if nothing_sent else "no usable answer",
            detail=escaped(f"{type(fault).__name__}: {fault}"),
        )


class _Transport(httpx.BaseTransport):
    """Carries one request on a connection of its own, and reads the whole answer within its bounds."""

    def __init__(self, call: _Call) -> None:
        self._network = _Network(call)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        headers, content = request.headers.raw, request.content or None
        with (
            httpcore.ConnectionPool(network_backend=self._network) as pool,
            pool.stream(request.method, url, headers=headers, content=content) as response,
        ):
            # No header goes along: a body that says it is compressed is garbage, and never unpacked.
            return httpx.Response(response.status, content=_read(response.iter_stream()))


class _Network(httpcore.NetworkBackend):
    """Makes the connection of one call.

    The time-outs that httpx hands on are not looked at, here and in the stream: each begins anew with every byte that
    drips in.
    """

    def __init__(self, call: _Call) -> None:
        self._call = call

    def connect_tcp(self, host: str, port: int, *_: object, **__: object) -> httpcore.NetworkStream:
        by = min(self._call.connect_by, self._call.end_by)
        connection = _connected(_addresses(host, port, by=by), port, by=by)
        return _Stream(connection, self._call)


class _Stream(httpcore.NetworkStream):
    """A socket whose every read and write gets what is left of the one deadline."""

    def __init__(self, connection: socket.socket, call: _Call) -> None:
        self._socket = connection
        self._call = call
        self._left_bytes = _WIRE_BYTES

    def read(self, max_bytes: int, *_: object, **__: object) -> bytes:
        self._socket.settimeout(self._call.left_s())
        data = self._socket.recv(min(max_bytes, _READ_BYTES))
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise ValueError(f"an answer of more than {_WIRE_BYTES} bytes")
        return data

    def write(self, buffer: bytes, *_: object, **__: object) -> None:
        self._socket.settimeout(self._call.left_s())
        try:
            self._socket.sendall(buffer)
        except OSError as fault:
            # httpcore then reads on: an agent may answer, and close, before it has read everything.
            raise httpcore.WriteError(str(fault)) from fault
        finally:
            # Of a write that failed, nobody knows how much got through.
            self._call.sent_at = self._call.now()

    def close(self) -> None:
        self._socket.close()


def _left_s(by: float) -> float:
    left_s = by - steady_now()
    if left_s <= 0:  # a socket would take 0 as "never wait", and go on reading what drips in
        raise TimeoutError("out of time")
    return left_s


def _addresses(host: str, port: int, *, by: float) -> list[str]:
    """Resolve a host, within the time there is."""
    if host == "localhost":  # loopback by definition, whatever a resolver says
        return ["127.0.0.1", "::1"]
    if ":" in host or host.replace(".", "").isdigit():
        return [host]
    # A resolver knows no time-out, and may take half a minute: so it is asked on a thread that nobody has to wait for.
    found = queue.SimpleQueue[list[str] | Exception]()
    threading.Thread(target=_resolve, args=(host, port, found), name="protectwork-resolver", daemon=True).start()
    try:
        addresses = found.get(timeout=_left_s(by))
    except queue.Empty:
        raise TimeoutError(f"{host} was not resolved in time") from None
    if isinstance(addresses, Exception):
        raise addresses
    return addresses


def _resolve(host: str, port: int, found: queue.SimpleQueue[list[str] | Exception]) -> None:
    try:
        results = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as fault:  # raised where it is waited for
        found.put(fault)
    else:
        found.put([str(address[0]) for *_, address in results])


def _connected(addresses: Sequence[str], port: int, *, by: float) -> socket.socket:
    """Connect to the first address that takes it; each gets its share of the time, so that a dead one leaves some."""
    *others, last = addresses
    for position, address in enumerate(others):
        try:
            return _connect(address, port, timeout_s=_left_s(by) / (len(addresses) - position))
        except OSError:  # the next may take it; the last one's fault is told
            continue
    return _connect(last, port, timeout_s=_left_s(by))


def _connect(address: str, port: int, *, timeout_s: float) -> socket.socket:
    connection = socket.create_connection((address, port), timeout=timeout_s)
    # Head and body are two writes: the second must not wait for the first to be acknowledged. Where it cannot be set,
    # the other side has gone already, and the first write will say so.
    with suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _read(parts: Iterable[bytes]) -> bytes:
    body = bytearray()
    for part in parts:
        body += part
        if len(body) > _BODY_BYTES:
            raise ValueError(f"a body of more than {_BODY_BYTES} bytes")
    return bytes(body)
