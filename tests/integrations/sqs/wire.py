"""A wire to a server of SQS that remembers what went over it, by the agent's clock, and breaks as it is told.

with Wire(server.url) as wire:
    client = boto3.client("sqs", endpoint_url=wire.url)
    with wire.hold("ReceiveMessage", answers=True) as held:
        ...
        held.reached()  # a receipt was answered, and its answer is on its way
        held.release()
    wire.fail("ReceiveMessage", Fault(code="ThrottlingException"), times=3)
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from protectwork._clock import steady_now

BOUND_S = 60.0


@dataclass(kw_only=True, eq=False)
class Exchange:
    """One request, and its answer once there is one.

    Attributes:
        operation: What was asked: ``ReceiveMessage`` and so on.
        request: Its arguments.
        asked: When it came.
        status: That of the answer; 0 while there is none.
        answer: What the server said.
        answered: When it said so; what became of the message became of it between `asked` and then.
    """

    operation: str
    request: dict[str, Any]
    asked: float
    status: int = 0
    answer: dict[str, Any] = field(default_factory=dict)
    answered: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An answer that is not the server's; or none, where the connection is dropped.

    Args:
        code: SQS's error code; None drops the connection.
        status: The status of the answer.
        entries: Whether it is the answer to each entry of a batch.
        applied: Whether the server does all the same what was asked.
    """

    code: str | None
    status: int = 400
    entries: bool = False
    applied: bool = False

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What is said instead."""
        if not self.entries:
            return {"__type": f"com.amazonaws.sqs#{self.code}", "message": "as the test wants it"}
        failed = {"Code": self.code, "SenderFault": True, "Message": "as the test wants it"}
        return {"Successful": [], "Failed": [{"Id": entry["Id"], **failed} for entry in request["Entries"]]}


class Held:
    """Requests or answers that do not get through yet."""

    def __init__(self) -> None:
        self._reached, self._released = threading.Event(), threading.Event()

    def reached(self) -> None:
        """Wait until there is one."""
        assert self._reached.wait(BOUND_S), "nothing came"

    def release(self) -> None:
        """Let them through, and all that come later."""
        self._released.set()

    def wait(self) -> None:
        """Wait for that."""
        self._reached.set()
        self._released.wait(BOUND_S)


class Wire:
    """One wire. Any thread may use it.

    Args:
        upstream: The URL of the server.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream).netloc
        self._changed = threading.Condition()  # guards all below
        self._exchanges: list[Exchange] = []
        self._deleted = 0
        self._held: list[tuple[str, bool, Held]] = []
        self._faults: list[tuple[str, Fault, list[None] | None]] = []
        self._http = _Http(("127.0.0.1", 0), _handler(self))

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for _, _, held in self._held:
            held.release()
        self.close()

    def close(self) -> None:
        """Refuse every connection from now on; twice is once."""
        self._http.shutdown()
        self._thread.join(BOUND_S)
        self._http.server_close()

    @property
    def url(self) -> str:
        """Where it begins."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    # -- what went over it

    def exchanges(self, operation: str | None = None, *, since: float = 0.0) -> list[Exchange]:
        """What was asked so far, in that order; what was asked for at `since` or later."""
        with self._changed:
            return [each for each in self._exchanges if operation in (None, each.operation) and each.asked >= since]

    @property
    def deleted(self) -> int:
        """How many messages were deleted."""
        return self._deleted

    def until(self, fact: Callable[[], bool], *, what: Callable[[], str], bound_s: float = BOUND_S) -> None:
        """Wait until a fact holds; it is looked at after each request and answer."""
        with self._changed:
            held = self._changed.wait_for(fact, bound_s)
        assert held, f"waited {bound_s:g} s in vain until {what()}"

    # -- how it breaks

    @contextmanager
    def hold(self, operation: str, *, answers: bool) -> Generator[Held]:
        """Let no request of that kind through, or no answer to one, until it is released."""
        entry = (operation, answers, Held())
        with self._changed:
            self._held.append(entry)
        try:
            yield entry[2]
        finally:
            entry[2].release()
            with self._changed:
                self._held.remove(entry)

    def fail(self, operation: str, fault: Fault, *, times: int | None = None) -> None:
        """Have requests of that kind fail: so many times, or until it heals."""
        with self._changed:
            self._faults.append((operation, fault, None if times is None else [None] * times))

    def heal(self) -> None:
        """Let nothing fail any more."""
        with self._changed:
            self._faults.clear()

    # -- how it works

    def carry(self, exchange: Exchange, ask: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes] | Fault:
        """Carry one request to the server, and its answer back; or what it has come to."""
        with self._changed:
            self._exchanges.append(exchange)
            fault = self._next_fault(exchange.operation)
            self._changed.notify_all()
        self._wait(exchange.operation, answers=False)
        if fault and not fault.applied:
            return fault
        status, body = ask()
        with self._changed:
            exchange.answered, exchange.status, exchange.answer = steady_now(), status, json.loads(body or b"{}")
            if exchange.operation == "DeleteMessageBatch":
                self._deleted += len(exchange.answer.get("Successful") or ())
            self._changed.notify_all()
        self._wait(exchange.operation, answers=True, found=bool(exchange.answer.get("Messages")))
        return fault or (status, body)

    def _wait(self, operation: str, *, answers: bool, found: bool = True) -> None:
        if answers and operation == "ReceiveMessage" and not found:
            return  # nobody waits for an answer that brings nothing
        with self._changed:
            holding = [held for name, which, held in self._held if name == operation and which is answers]
        for held in holding:
            held.wait()

    def _next_fault(self, operation: str) -> Fault | None:
        for entry in self._faults:
            name, fault, left = entry
            if name == operation:
                if left is not None:
                    left.pop()
                    if not left:
                        self._faults.remove(entry)
                return fault
        return None

    def connect(self) -> http.client.HTTPConnection:
        """A connection to the server."""
        return http.client.HTTPConnection(self._upstream, timeout=BOUND_S)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client or the server that has gone is no error here."""


def _handler(wire: Wire) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = BOUND_S

        def setup(self) -> None:
            super().setup()
            self._upstream = wire.connect()
            self._query_error: str | None = None

        def finish(self) -> None:
            with suppress(OSError):
                super().finish()
            self._upstream.close()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            exchange = Exchange(operation=operation, request=json.loads(body), asked=steady_now())
            came = wire.carry(exchange, lambda: self._ask(body))
            if not isinstance(came, Fault):
                self._reply(*came)
            elif came.code is None:
                self.close_connection = True
            else:
                said = json.dumps(came.answer(exchange.request)).encode()
                self._reply(200, said) if came.entries else self._reply(came.status, said, code=came.code)

        def _ask(self, body: bytes) -> tuple[int, bytes]:
            self._upstream.request("POST", self.path, body, dict(self.headers.items()))
            answer = self._upstream.getresponse()
            self._query_error = answer.headers.get("x-amzn-query-error")
            return answer.status, answer.read()

        def _reply(self, status: int, body: bytes, *, code: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(body)))
            query_error = f"{code};Sender" if code else self._query_error
            if query_error:
                self.send_header("x-amzn-query-error", query_error)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Handler
