"""One HTTP request on a connection of its own, over by its deadline whatever the other side does; httpx lives here."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module

import httpcore
import httpx

from protectwork._clock import steady_now

__all__ = ["HttpExchange", "request"]

import_module("encodings.idna")  # else a socket loads it when it first connects, and a child forked meanwhile hangs

BODY_BYTES = 64 * 1024
_READ_BYTES = 4 * 1024
_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Connection": "close",
    "Content-Type": "application/json",
    "User-Agent": "protectwork",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpExchange:
    """What came of one request: a whole answer, or a fault.

    Attributes:
        status: The HTTP status; None without a whole answer.
        body: The whole body; empty without a whole answer.
        sent_at: When the request had been written, on the clock that was given; None when nothing was sent.
        fault: What went wrong, None with a whole answer.
    """

    status: int | None = None
    body: bytes = b""
    sent_at: float | None = None
    fault: Exception | None = None


def request(
    method: str,
    url: str,
    *,
    content: bytes | None = None,
    deadline_s: float,
    connect_s: float,
    most_bytes: int = BODY_BYTES,
    now: Callable[[], float] = steady_now,
) -> HttpExchange:
    """Make one request, and read the whole answer within its bounds; never raises for what the other side does.

    Follows no redirect, takes nothing from the environment (no proxy, no netrc) and unpacks nothing. It keeps nothing
    between calls: any thread may call it, and so may a forked child.

    Args:
        method: ``GET`` or ``PUT``.
        url: A URL that `_endpoint` has let pass.
        content: What is sent along, JSON.
        deadline_s: How long it may block in all, in seconds.
        connect_s: How much of that may pass until the connection stands, in seconds.
        most_bytes: How long the body may be.
        now: What `sent_at` is told by. Time-outs are always real time.
    """
    now_s = steady_now()
    call = _Call(now=now, connect_by=now_s + connect_s, end_by=now_s + deadline_s, most_bytes=most_bytes)
    try:
        # Not by a Client, which would log each renewal at INFO, with the address.
        response = _Transport(call).handle_request(httpx.Request(method, url, headers=_HEADERS, content=content))
    except Exception as fault:  # noqa: BLE001 - nothing the other side sends may end the keeper: it becomes an answer
        return HttpExchange(fault=fault, sent_at=call.sent_at)
    return HttpExchange(status=response.status_code, body=response.content, sent_at=call.sent_at)


@dataclass(slots=True, kw_only=True)
class _Call:
    """One call under way: when it has to end, and how far it came."""

    now: Callable[[], float]
    connect_by: float
    end_by: float
    most_bytes: int
    sent_at: float | None = None

    def left_s(self) -> float:
        """Give what is left of the whole call, for one operation of the socket."""
        return _left_s(self.end_by)


class _Transport(httpx.BaseTransport):
    """Carries one request on a connection of its own, and reads the whole answer within its bounds."""

    def __init__(self, call: _Call) -> None:
        self._network = _Network(call)
        self._most_bytes = call.most_bytes

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
            return httpx.Response(response.status, content=_read(response.iter_stream(), self._most_bytes))


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
        # Head and framing included: a body in chunks of one byte costs a second to unpack.
        self._wire_bytes = self._left_bytes = 2 * call.most_bytes

    def read(self, max_bytes: int, *_: object, **__: object) -> bytes:
        self._socket.settimeout(self._call.left_s())
        data = self._socket.recv(min(max_bytes, _READ_BYTES))
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise ValueError(f"an answer of more than {self._wire_bytes} bytes")
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


def _read(parts: Iterable[bytes], most_bytes: int) -> bytes:
    body = bytearray()
    for part in parts:
        body += part
        if len(body) > most_bytes:
            raise ValueError(f"a body of more than {most_bytes} bytes")
    return bytes(body)
