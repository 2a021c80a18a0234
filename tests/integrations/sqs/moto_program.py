"""moto's server, but what is done to queues is done one after the other: `python -m integrations.sqs.moto_program`.

moto's own requests race with each other: two receipts at once may bring the same message, of two deletions at once one
may bring back what the other has deleted, and a message that is sent meanwhile may be forgotten. A test that judges
whether a message was delivered twice needs a queue that does not do so by itself.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.sqs.models import SQSBackend
from werkzeug.serving import make_server

_OPERATIONS = (
    "create_queue",
    "delete_queue",
    "get_queue_attributes",
    "send_message",
    "send_message_batch",
    "delete_message",
    "delete_message_batch",
    "change_message_visibility",
    "change_message_visibility_batch",
)
_changed = threading.Condition(threading.RLock())


def _one_by_one(operation: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(operation)
    def alone(*args: Any, **named: Any) -> Any:
        with _changed:
            try:
                return operation(*args, **named)
            finally:
                _changed.notify_all()

    return alone


def _receives(receive: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(receive)
    def waits(self: Any, queue_name: str, count: int, wait_s: int, *args: Any, **named: Any) -> Any:
        ends = time.monotonic() + wait_s
        with _changed:
            while True:
                found = receive(self, queue_name, count, 0, *args, **named)
                left_s = ends - time.monotonic()
                if found or left_s <= 0:
                    return found
                _changed.wait(min(left_s, _next_s(self.get_queue(queue_name))))

    return waits


def _next_s(queue: Any) -> float:
    """After how many seconds another message is visible, if nobody does anything."""
    now = time.time() * 1000
    return min(
        (max(message.visible_at - now, 2) / 1000 for message in queue._messages if not message.visible), default=60
    )


if __name__ == "__main__":
    for name in _OPERATIONS:
        setattr(SQSBackend, name, _one_by_one(getattr(SQSBackend, name)))
    # It works out all that can be said of the queue for each message that it gives; none of ours gets that old.
    SQSBackend.is_message_valid_based_on_retention_period = lambda *_: True
    SQSBackend.receive_message = _receives(SQSBackend.receive_message)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
    print(server.server_port, flush=True)
    server.serve_forever()
