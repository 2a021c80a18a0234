"""Reads what all containers of a lab write, with one thread, and keeps the last lines."""

from __future__ import annotations

import os
import selectors
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from protectwork.lab._facts import OutputLine

__all__ = ["Output"]

_MOST_LINES = 20_000
_MOST_BYTES = 64 * 1024  # of a line
_CHUNK = 64 * 1024
_MOST_LAST_TURNS = 1_000


@dataclass(slots=True, kw_only=True)
class _Stream:
    """One pipe, and what was read of a line that has not ended."""

    pipe: IO[bytes]
    task: str
    container: str
    name: str
    rest: bytearray = field(default_factory=bytearray)


class Output:
    """The lines of all containers, the newest 20,000. Any thread may use it.

    Args:
        now: What time it is.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()  # guards the two below
        self._lines: deque[OutputLine] = deque(maxlen=_MOST_LINES)
        self._number = 0
        self._new: deque[_Stream] = deque()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._closed = False
        self._thread = threading.Thread(target=self._read, name="protectwork-lab-output", daemon=True)
        self._thread.start()

    def add(self, pipe: IO[bytes], *, task: str, container: str, stream: str) -> None:
        """Read `pipe` until it ends, and close it then."""
        self._new.append(_Stream(pipe=pipe, task=task, container=container, name=stream))
        self._wake()

    def since(self, number: int) -> list[OutputLine]:
        """The lines from that number on, as far as they are kept."""
        with self._lock:
            return [line for line in self._lines if line.number >= number]

    def close(self) -> None:
        """Read what is there, and stop; what is still written then is lost. Twice is as once."""
        if not self._closed:
            self._closed = True
            self._wake()
            self._thread.join()
            self._selector.close()
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # it is awake
            os.write(self._wake_write, b".")

    def _read(self) -> None:
        while not self._closed:
            self._turn(None)
        for _ in range(_MOST_LAST_TURNS):  # what those that ended last have left
            if not self._turn(0):
                break
        for key in list(self._selector.get_map().values()):
            if key.data:
                self._end(key.data)

    def _turn(self, timeout_s: float | None) -> bool:
        """Read what is there, and begin with what is new; returns whether there was anything."""
        ready = self._selector.select(timeout_s)
        for key, _ in ready:
            if key.data is None:
                os.read(self._wake_read, 4096)
            else:
                self._take(key.data)
        started = bool(self._new)
        while self._new:
            stream = self._new.popleft()
            os.set_blocking(stream.pipe.fileno(), False)
            self._selector.register(stream.pipe, selectors.EVENT_READ, stream)
        return started or bool(ready)

    def _take(self, stream: _Stream) -> None:
        try:
            chunk = os.read(stream.pipe.fileno(), _CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._end(stream)
            return
        stream.rest += chunk
        *lines, rest = stream.rest.split(b"\n")
        if len(rest) > _MOST_BYTES:
            lines, rest = [*lines, rest], bytearray()
        stream.rest = rest
        self._keep(stream, lines)

    def _end(self, stream: _Stream) -> None:
        self._selector.unregister(stream.pipe)
        stream.pipe.close()
        if stream.rest:
            self._keep(stream, [stream.rest])

    def _keep(self, stream: _Stream, lines: list[bytearray]) -> None:
        now = self._now()
        with self._lock:
            for line in lines:
                text = line.decode(errors="replace").removesuffix("\r")
                self._lines.append(
                    OutputLine(
                        number=self._number,
                        time=now,
                        task=stream.task,
                        container=stream.container,
                        stream=stream.name,
                        text=text,
                    )
                )
                self._number += 1
