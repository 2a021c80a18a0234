"""Removes what a lab has left: processes that left their group, and everything when the lab itself is killed.

Every process of a lab has the lab's mark in its environment, which it was started with and hands on. As a program, this
waits until its standard input ends, as that does when the lab ends however that happens; then it kills what bears the
mark that it was given, and the groups that it was told of, for a program may have written over its environment; and it
removes the directory that it was given. It needs nothing but the standard library, and little of that.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable

__all__ = ["kill_marked"]

_ROUNDS, _PAUSE_S = 200, 0.005


def kill_marked(mark: str) -> int:
    """Kill every process with ``NAME=value`` in the environment that it was started with; returns how many there were.

    Blocks for a second or so at most: who forks faster than it is killed, goes on.
    """
    killed: set[int] = set()
    for _ in range(_ROUNDS):
        found = _marked(mark)
        if not found:
            break
        killed.update(pid for pid in found if _kill(os.kill, pid))
        time.sleep(_PAUSE_S)
    return len(killed)


def _marked(mark: str) -> list[int]:
    wanted = b"\0" + mark.encode() + b"\0"
    return [pid for pid in _pids() if pid != os.getpid() and wanted in b"\0" + _environ(pid)]


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - pathlib loads slowly
    except OSError:  # no /proc: then the groups have to do
        return []


def _environ(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - as above
            return file.read()
    except OSError:  # another user's, or it has just ended; that of one that was killed is empty
        return b""


def _kill(kill: Callable[[int, int], None], number: int) -> bool:
    try:
        kill(number, signal.SIGKILL)
    except OSError:
        return False  # it has just ended
    return True


def _groups_told(lines: Iterable[bytes]) -> set[int]:
    """The groups that there are when nothing more is told: ``+7`` is a new one, ``-7`` is over."""
    groups: set[int] = set()
    for line in lines:
        number = int(line)
        groups = groups | {number} if number > 0 else groups - {-number}
    return groups


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for group in _groups_told(sys.stdin.buffer):
        _kill(os.killpg, group)
    mark, directory = sys.argv[1:]
    kill_marked(mark)
    import shutil  # noqa: PLC0415 - loads slowly, and there is time for it now

    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    _main()
