"""Runs one program under one hold, and stands for it: its signals and its exit status pass through."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from protectwork import Hold

__all__ = ["Supervisor"]

_FORWARDED = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2})
_TYPED = frozenset({signal.SIGINT, signal.SIGQUIT})
_TAKEN = {*_FORWARDED, signal.SIGCHLD}
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)

_SIGNALLED = 128  # plus the signal's number, as shells have it
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


class Supervisor:
    """Takes the signals of this process one by one, in the thread that makes it, for as long as the process lives.

    To be made before any other thread is: threads inherit that these signals are blocked, so none of them is ever
    interrupted, and each signal waits until it is looked at. So none is lost between two steps, either.
    """

    def __init__(self) -> None:
        signal.signal(signal.SIGCHLD, _take_note)  # one that is ignored would not wait to be looked at
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _TAKEN)

    def run(self, command: tuple[str, ...], *, hold: Hold) -> int:
        """Begin `hold`, run `command`, and return its exit status: 128 + n where signal n ended it.

        A signal that comes before it is started keeps it from starting. Blocks until it has ended. Ending the hold is
        left to the caller.

        Raises:
            UnprotectedError: The hold insists on protection, and there is none.
        """
        stopped_by = self._begin(hold)
        return self._supervise(command) if stopped_by is None else _SIGNALLED + stopped_by

    def _begin(self, hold: Hold) -> int | None:
        """Wait until the hold has begun; return the signal that came first, if one did."""
        executor = ThreadPoolExecutor(1, thread_name_prefix="protectwork-run")
        begun = executor.submit(hold.__enter__)
        executor.shutdown(wait=False)
        begun.add_done_callback(lambda _: os.kill(os.getpid(), signal.SIGCHLD))  # look up from the signals
        while not begun.done():
            signum, _ = _next_signal()
            if signum in _FORWARDED:
                return signum  # the thread waits on for no longer than the manager is open
        begun.result()
        return next(iter(signal.sigpending() & _FORWARDED), None)

    def _supervise(self, command: tuple[str, ...]) -> int:
        try:
            child = self._start(command)
        except OSError as error:
            sys.stderr.write(f"protectwork: {command[0]}: {error.strerror}\n")
            return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
        while True:
            signum, typed = _next_signal()
            if signum == signal.SIGCHLD:
                if (status := _reap(child)) is not None:
                    code = os.waitstatus_to_exitcode(status)
                    return code if code >= 0 else _SIGNALLED - code
            elif not typed:  # what is typed reaches the whole process group, and the child belongs to it
                os.kill(child, signum)

    def _start(self, command: tuple[str, ...]) -> int:
        """Start the program with all that this process was started with: descriptors, signals, terminal."""
        return os.posix_spawnp(command[0], command, os.environ, setsigmask=self._mask, setsigdef=_IGNORED_BY_PYTHON)


def _take_note(signum: int, frame: FrameType | None) -> None:
    """Do nothing: it is blocked, and taken by hand."""


def _next_signal() -> tuple[int, bool]:
    """The next signal, and whether it was typed at the terminal."""
    if sys.platform == "linux":
        taken = signal.sigwaitinfo(_TAKEN)
        by_kernel = taken.si_code > 0  # what a process sends has 0 or less
        return taken.si_signo, taken.si_signo in _TYPED and by_kernel
    signum = signal.sigwait(_TAKEN)
    return signum, signum in _TYPED and _in_foreground()


def _in_foreground() -> bool:
    """Whether what is typed at the terminal reaches this process group: elsewhere nothing tells who sent a signal."""
    try:
        with Path("/dev/tty").open() as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _reap(child: int) -> int | None:
    """Collect who ended, orphans too, for this may be the first process of a container; return the child's status."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in {child, 0}:
            return status if pid else None
