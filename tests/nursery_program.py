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
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

_ORDER_BYTES = 1 << 20
_MOST_DESCRIPTORS = 16
_OUT_OF_THE_WAY = 500
"""Nobody asks for a descriptor of so high a number."""

Children = dict[int, tuple[int, socket.socket]]
"""By the descriptor that tells of its end: a process, and who is to hear of it."""


def serve(orders: socket.socket) -> dict[str, Any] | None:
    """Fork, and tell how the forks end, as long as there are orders; in a fork, what it has to do."""
    children: Children = {}
    poll = select.poll()
    poll.register(orders, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in children:
                poll.unregister(descriptor)
                _reap(descriptor, *children.pop(descriptor))
                continue
            text, files = _received(orders)
            if not text:
                _end(children)
                return None
            order, who = json.loads(text), socket.socket(fileno=files.pop(0))
            if not (pid := os.fork()):
                _leave_alone(children, orders, who)
                _become(order, files)
                return dict(order)
            for file in files:
                os.close(file)
            _tell(who, pid)
            watched = os.pidfd_open(pid)
            children[watched] = pid, who
            poll.register(watched, select.POLLIN)


def _received(orders: socket.socket) -> tuple[bytes, list[int]]:
    try:
        text, files, _, _ = socket.recv_fds(orders, _ORDER_BYTES, _MOST_DESCRIPTORS)
    except ConnectionResetError:
        return b"", []
    return text, files


def _tell(who: socket.socket, number: int) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # nobody wants to know
        who.send(str(number).encode())


def _reap(watched: int, pid: int, who: socket.socket) -> None:
    os.close(watched)
    _tell(who, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    who.close()


def _end(children: Children) -> None:
    for pid, _ in children.values():
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _leave_alone(children: Children, *sockets: socket.socket) -> None:
    """Close what is the parent's."""
    for watched, (_, who) in children.items():
        os.close(watched)
        who.close()
    for one in sockets:
        one.close()


def _become(order: dict[str, Any], files: list[int]) -> None:
    """Have the session, the descriptors, the directory and the environment that were asked for."""
    os.setsid()
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
    for module in sys.argv[2:]:
        importlib.import_module(module)
    gc.freeze()  # else each fork would go through all of it once more when it ends
    if given := serve(socket.socket(fileno=int(sys.argv[1]))):
        _carry_out(given["command"])
