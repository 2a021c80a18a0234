"""pytest-httpserver in front of a fake."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator

from pytest_httpserver import HTTPServer
from werkzeug import Request as WerkzeugRequest
from werkzeug import Response

from protectwork.testing._exchange import Request
from protectwork.testing._wire import Connections

__all__ = ["PytestServer"]

_POLL_S = 0.02  # how often the server looks whether it is to close


class PytestServer:
    """Serves on a loopback port with pytest-httpserver.

    Args:
        respond: What to do with each request, given the connection to answer on.
        port: The port; 0 for a free one.
    """

    def __init__(self, respond: Callable[[Request, socket.socket], None], *, port: int) -> None:
        self._respond = respond
        self._connections = Connections()
        self._server = _Server(host="127.0.0.1", port=port, threaded=True)
        self._server.expect_request(re.compile("")).respond_with_handler(self._handle)
        self._server.start()
        self.port = self._server.port

    def close(self) -> None:
        """Close every connection, and leave no thread.

        Raises:
            Exception: What went wrong while a request was answered.
        """
        self._server.stop()
        self._connections.close()
        self._server.check()

    def _handle(self, request: WerkzeugRequest) -> Response:
        connection: socket.socket = request.environ["werkzeug.socket"]
        self._connections.add(connection, threading.current_thread())
        path: str = request.environ["RAW_URI"]
        headers = {name.lower(): value for name, value in request.headers.items()}
        self._respond(Request(method=request.method, path=path, headers=headers, body=request.get_data()), connection)
        return Response(_sent_already())


class _Server(HTTPServer):
    def thread_target(self) -> None:
        """Serve, and notice soon when that is to end: by default it takes half a second."""
        if self.server:
            self.server.serve_forever(poll_interval=_POLL_S)


def _sent_already() -> Iterator[bytes]:
    """The body of a response that stands on the socket already: werkzeug takes it that the client has gone."""
    raise BrokenPipeError
    yield b""
