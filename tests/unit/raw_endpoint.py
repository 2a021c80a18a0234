"""A raw socket that behaves as badly as a socket can, for the tests of whoever speaks HTTP."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Self

Behaviour = Callable[["Endpoint", socket.socket], None]


class Endpoint:
    """A listening socket and one thread; what it does with a connection is the test's, one connection at a time."""

    def __init__(self, behave: Behaviour, *, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self._behave = behave
        self._thread = threading.Thread(target=self._serve)
        self.stopped = threading.Event()
        self.requests: list[bytes] = []
        self.port = self._listener.getsockname()[1]
        self.where = f"{f'[{host}]' if ':' in host else host}:{self.port}"
        self.uri = f"http://{self.where}/api/id"

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self.stopped.is_set():
                    return
                with suppress(OSError):  # the client went away, as it should
                    self._behave(self, connection)

    def receive(self, connection: socket.socket) -> bytes:
        """Read one whole request, and note it."""
        data = b""
        while b"\r\n\r\n" not in data or (not data.startswith(b"GET") and not data.endswith(b"}")):
            if not (part := connection.recv(65536)):
                raise ConnectionError("it was never whole")
            data += part
        self.requests.append(data)
        return data

    def until_stopped(self) -> None:
        self.stopped.wait()

    def drip(self, connection: socket.socket, data: bytes) -> None:
        for index in range(len(data)):
            connection.sendall(data[index : index + 1])
            if self.stopped.wait(0.05):
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        with socket.create_connection(self._listener.getsockname()[:2]):
            self._thread.join()
        self._listener.close()


def answering(data: bytes) -> Behaviour:
    def behave(endpoint: Endpoint, connection: socket.socket) -> None:
        endpoint.receive(connection)
        connection.sendall(data)

    return behave


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextmanager
def deaf() -> Iterator[int]:
    """A port whose queue is full: on Linux the next connection waits for ever."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
