"""An interpreter that has imported what others begin with, and forks one for each order: see `nursery.py`.

It starts no thread, opens nothing and uses nothing of what it has imported: a fork begins as a new interpreter would
that has just imported the same, and ends as one, `atexit` and all.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_ORDER_BYTES = 1 << 20
_MOST_DESCRIPTORS = 16
_OUT_OF_THE_WAY = 500
"""Nobody asks for a descriptor of so high a number."""


@dataclass(frozen=True, kw_only=True)
class Child:
    """A fork: its process, whose orders it carries out, and who is to hear of its end."""

    pid: int
    orders: socket.socket
    who: socket.socket


class Server:
    """Forks for all who come to its door, until its lifeline ends."""

    def __init__(self, lifeline: socket.socket, door: socket.socket) -> None:
        self._lifeline, self._door = lifeline, door
        self._guests: dict[int, socket.socket] = {}  # those who give orders, by their descriptors
        self._children: dict[int, Child] = {}  # by the descriptor that tells of its end
        self._poll = select.poll()
        for each in (lifeline, door):
            self._poll.register(each, select.POLLIN)

    def serve(self) -> dict[str, Any] | None:
        """Fork, and tell how the forks end; in a fork, what it has to do."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._lifeline.fileno():
                    self._end(self._children.values())
                    return None
                if descriptor == self._door.fileno():
                    guest, _ = self._door.accept()
                    self._guests[guest.fileno()] = guest
                    self._poll.register(guest, select.POLLIN)
                elif descriptor in self._children:
                    self._poll.unregister(descriptor)
                    _reap(descriptor, self._children.pop(descriptor))
                elif order := self._obey(self._guests[descriptor]):
                    return order

    def _obey(self, guest: socket.socket) -> dict[str, Any] | None:
        text, files = _received(guest)
        if not text:
            self._poll.unregister(guest)
            del self._guests[guest.fileno()]
            self._end([child for child in self._children.values() if child.orders is guest])
            guest.close()
            return None
        order, who = json.loads(text), socket.socket(fileno=files.pop(0))
        if not (pid := os.fork()):
            os.setsid()
            _tell(who, os.getpid())  # now there is a session that can be killed
            self._leave_alone(who)
            _become(order, files)
            return dict(order)
        for file in files:
            os.close(file)
        watched = os.pidfd_open(pid)
        self._children[watched] = Child(pid=pid, orders=guest, who=who)
        self._poll.register(watched, select.POLLIN)
        return None

    def _end(self, children: Iterable[Child]) -> None:
        """Kill them; that they have ended is told as of any other, if somebody still listens."""
        for child in children:
            os.kill(child.pid, signal.SIGKILL)  # it may have no session yet
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)

    def _leave_alone(self, who: socket.socket) -> None:
        """Close what is the parent's."""
        for watched, child in self._children.items():
            os.close(watched)
            child.who.close()
        for one in (self._lifeline, self._door, *self._guests.values(), who):
            one.close()


def _received(orders: socket.socket) -> tuple[bytes, list[int]]:
    try:
        text, files, _, _ = socket.recv_fds(orders, _ORDER_BYTES, _MOST_DESCRIPTORS)
    except ConnectionResetError:
        return b"", []
    return text, files


def _tell(who: socket.socket, number: int) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # nobody wants to know
        who.send(str(number).encode())


def _reap(watched: int, child: Child) -> None:
    os.close(watched)
    _tell(child.who, os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1]))
    child.who.close()


def _become(order: dict[str, Any], files: list[int]) -> None:
    """Have the descriptors, the directory and the environment that were asked for."""
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD, _OUT_OF_THE_WAY) for file in files]
    for file in files:
        os.close(file)
    for file, wanted in zip(moved, order["descriptors"], strict=True):
        os.dup2(file, wanted)
        os.close(file)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environ"])
    time.tzset()


def _carry_out(command: list[str]) -> None:
    """Do what an interpreter does with these arguments."""
    kind, *rest = command
    if kind == "-m":
        sys.argv[1:], sys.path[0] = rest[1:], str(Path.cwd())
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv[:], sys.path[0] = ["-c", *rest[1:]], ""
        sys.modules["__main__"] = main = ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)
    else:
        sys.argv[:], sys.path[0] = command, str(Path(kind).parent)
        sys.modules["__main__"] = main = ModuleType("__main__")
        main.__file__ = kind
        exec(compile(Path(kind).read_bytes(), kind, "exec"), main.__dict__)


if __name__ == "__main__":
    for module in sys.argv[3:]:
        importlib.import_module(module)
    gc.freeze()  # else each fork would go through all of it once more when it ends
    if given := Server(*(socket.socket(fileno=int(file)) for file in sys.argv[1:3])).serve():
        _carry_out(given["command"])
