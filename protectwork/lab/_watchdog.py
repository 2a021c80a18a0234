"""The process that outlives a lab that is killed, and removes what that has left."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["Watchdog"]

_PROGRAM = Path(__file__).with_name("_leftovers.py")
_NEEDED = ("LD_LIBRARY_PATH",)
_ENDS_WITHIN_S = 10.0


class Watchdog:
    """Waits beside a lab; see `_leftovers`.

    Args:
        mark: What the processes of the lab bear in their environment.
        directory: Where its files are.
    """

    def __init__(self, mark: str, directory: Path) -> None:
        # The other end of its standard input is nobody's but this process's: it is not inherited, and closes with it.
        self._process = subprocess.Popen(  # noqa: S603 - our own
            [sys.executable, "-I", "-S", str(_PROGRAM), mark, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _NEEDED if name in os.environ},  # and no mark of a lab around this
            start_new_session=True,
            bufsize=0,
        )

    def look_after(self, group: int) -> None:
        """There is a process group. Safe in any thread; never blocks."""
        self._tell(group)

    def forget(self, group: int) -> None:
        """It is over: its number may be another's from now on."""
        self._tell(-group)

    def _tell(self, number: int) -> None:
        if self._process.stdin:
            with suppress(OSError):  # somebody has killed it
                self._process.stdin.write(b"%+d\n" % number)

    def close(self) -> None:
        """Have it look for what is left, and end. Blocks until it has; twice is as once."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
