"""How a reply gets onto a socket, whichever server that belongs to."""

from __future__ import annotations

import math
import os
import socket
import struct
import threading
import time
from contextlib import suppress
from http import HTTPStatus

from protectwork.testing._exchange import Reply, Wire

__all__ = ["Connections", "send"]

_JOIN_S = 5.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 s


class Connections:
    """The connections of a server, each with the thread that serves it: closing them ends every hang and delay."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the two below
        self._threads: dict[threading.Thread, socket.socket] = {}
        self._closed = False

    def add(self, connection: socket.socket, thread: threading.Thread) -> None:
        """Note that `thread`, which runs, serves `connection`."""
        with self._lock:
            self._threads = {known: its for known, its in self._threads.items() if known.is_alive()}
            self._threads[thread] = connection
            if self._closed:
                _hang_up(connection)

    def close(self) -> None:
        """Hang up everywhere, and wait until the threads have ended. The server accepts nothing any more."""
        with self._lock:
            self._closed = True
            threads = dict(self._threads)
        for connection in threads.values():
            _hang_up(connection)
        for thread in threads:
            thread.join(_JOIN_S)


def send(reply: Reply, connection: socket.socket, *, delay_scale: float) -> None:
    """Send `reply` as it says, and nothing after it.

    Blocks until it is sent, the client has gone, or somebody hangs up.

    Args:
        reply: What to send, and how.
        connection: Where to.
        delay_scale: What its delays are multiplied by.
    """
    with suppress(OSError):  # the client has gone, as it may
        if _pause(connection, reply.delay_s * delay_scale):
            _put(reply, connection, interval_s=reply.interval_s * delay_scale)
        connection.shutdown(socket.SHUT_WR)


def _put(reply: Reply, connection: socket.socket, *, interval_s: float) -> None:
    match reply.wire:
        case Wire.PLAIN:
            connection.sendall(_head(reply) + reply.body)
        case Wire.HANG:
            _pause(connection, math.inf)
        case Wire.HANG_AFTER_HEADERS:
            connection.sendall(_head(reply))
            _pause(connection, math.inf)
        case Wire.DRIP_HEADERS:
            _drip(_head(reply), connection, interval_s=interval_s)
            connection.sendall(reply.body)
        case Wire.DRIP_BODY:
            connection.sendall(_head(reply))
            _drip(reply.body, connection, interval_s=interval_s)
        case Wire.DROP:
            pass
        case Wire.RESET:
            _reset(connection)


def _head(reply: Reply) -> bytes:
    status = HTTPStatus(reply.status or HTTPStatus.OK)
    headers = [*reply.headers, ("Content-Length", str(len(reply.body))), ("Connection", "close")]
    if reply.content_type is not None:
        headers.insert(0, ("Content-Type", reply.content_type))
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers)]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def _drip(data: bytes, connection: socket.socket, *, interval_s: float) -> None:
    for byte in data:
        connection.sendall(bytes([byte]))
        if not _pause(connection, interval_s):
            return


def _pause(connection: socket.socket, seconds: float) -> bool:
    """Wait; return False as soon as the client has gone or somebody hung up."""
    ends = time.monotonic() + seconds
    try:
        while (left := ends - time.monotonic()) > 0:
            connection.settimeout(None if left == math.inf else left)
            if not connection.recv(4096):
                return False
    except TimeoutError:
        pass
    finally:
        connection.settimeout(None)
    return True


def _reset(connection: socket.socket) -> None:
    """Reset the connection, though the server still has it open and would end it politely.

    A dead socket takes its place under the same descriptor: that closes it here and now, and whatever the server does
    to it afterwards is done to the dead one.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    dead, other = socket.socketpair()
    other.close()
    os.dup2(dead.fileno(), connection.fileno(), inheritable=False)
    dead.close()


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        connection.shutdown(socket.SHUT_RDWR)
