"""The standard library's server in front of a fake: it reads requests and answers nothing of its own."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from protectwork.testing._exchange import Request
from protectwork.testing._wire import Connections

__all__ = ["StdlibServer"]

_POLL_S = 0.02  # how often the server looks whether it is to close
_IDLE_S = 5.0  # how long a connection may say nothing (contract §1)


class StdlibServer:
    """Serves on a loopback port, each connection in a daemon thread of its own.

    Args:
        respond: What to do with each request, given the connection to answer on.
        port: The port; 0 for a free one.
    """

    def __init__(self, respond: Callable[[Request, socket.socket], None], *, port: int) -> None:
        self._server = _Server(respond, port)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="protectwork-fake", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Close every connection, and leave no thread."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.connections.close()


class _Server(socketserver.TCPServer):
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, respond: Callable[[Request, socket.socket], None], port: int) -> None:
        self.respond = respond
        self.connections = Connections()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection in its own thread, which `close` knows of."""
        thread = threading.Thread(
            target=self._serve, args=(request, client_address), name="protectwork-fake-call", daemon=True
        )
        thread.start()
        self.connections.add(request, thread)

    def _serve(self, connection: Any, client_address: Any) -> None:
        try:
            self.finish_request(connection, client_address)
        except OSError:
            pass  # the client went away before it had said anything
        finally:
            self.shutdown_request(connection)


class _Handler(BaseHTTPRequestHandler):
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride] - no other server makes one
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S

    def handle(self) -> None:
        """Read one request and have it answered; the connection is closed after it."""
        self.raw_requestline = self.rfile.readline(64 * 1024)
        if not self.raw_requestline or not self.parse_request():
            return
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal():
            self.send_error(400)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(length))
        self.server.respond(Request(method=self.command, path=self.path, headers=headers, body=body), self.connection)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - so it is called there
        """Log nothing: the timeline tells more."""
