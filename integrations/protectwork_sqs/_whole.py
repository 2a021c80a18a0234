"""What both whole consumers have: their arguments, checked, and the word to stop."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar, Unpack

from protectwork_sqs._bell import Stop
from protectwork_sqs._options import ConsumingOptions, Options, check_client, check_concurrency, check_handler

__all__ = ["Whole"]

_Handler = TypeVar("_Handler")


class Whole(Generic[_Handler]):
    """A consumer of a queue, with a handler of that kind; see its two kinds, which `run`."""

    _ASYNCHRONOUS: ClassVar[bool]

    def __init__(
        self,
        queue_url: str,
        handler: _Handler,
        *,
        concurrency: int = 8,
        client: Any = None,
        **options: Unpack[ConsumingOptions],
    ) -> None:
        self._options = Options.given(type(self).__name__, queue_url, options, besides=("concurrency", "client"))
        check_handler(handler, asynchronous=self._ASYNCHRONOUS)
        self._handler = handler
        self._concurrency = check_concurrency(concurrency)
        if client is not None:
            check_client(client, asynchronous=self._ASYNCHRONOUS)
        self._client = client
        self._stop = Stop()

    def stop(self) -> None:
        """Receive no more: `run` returns when what runs has ended, and what has not started goes back.

        Never blocks; any thread, task and signal handler may call it. It is for good: a later `run` returns at once.
        """
        self._stop.set()
