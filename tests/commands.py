"""Commands and programs of Python with pipes to them: forks of an interpreter that has imported what they need.

with Command("-m", "protectwork", "run", "--", "cat") as command:
    out, err = command.communicate("hello")

It is what `subprocess` has, as far as the tests use it; `nursery.py` says what is forked and when.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from nursery import CLI, started

_BOUND_S = 180.0


def instead(*command: str) -> tuple[str, ...]:
    """The arguments that make it any other program: one that is no interpreter, or has to be a new one."""
    return "-c", "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])", *command


class Command:
    """One that runs; it is killed, and waited for, when its `with` ends.

    Args:
        arguments: The interpreter's: `-m` and a module, or `-c` and a text; and what those are given.
        environ: Its whole environment; ours by default.
        cwd: Where it runs; here by default.
        loaded: What it may find imported.
        pass_fds: Descriptors that it has beside its pipes.

    Attributes:
        pid: Its process, which has a session of its own.
        stdin: Its input, as text.
        stdout: Its output, as text.
        stderr: Its errors, as text.
    """

    def __init__(
        self,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        loaded: Sequence[str] = CLI,
        pass_fds: Sequence[int] = (),
    ) -> None:
        (reads, writes), *said = [os.pipe() for _ in range(3)]
        (out, theirs_out), (err, theirs_err) = said
        try:
            self._process = started(
                arguments,
                loaded=loaded,
                environ=os.environ if environ is None else environ,
                cwd=cwd,
                stdin=reads,
                stdout=theirs_out,
                stderr=theirs_err,
                pass_fds=pass_fds,
            )
        finally:
            for theirs in (reads, theirs_out, theirs_err):
                os.close(theirs)
        self.pid = self._process.pid
        self.stdin: IO[str] = os.fdopen(writes, "w")
        self.stdout: IO[str] = os.fdopen(out)
        self.stderr: IO[str] = os.fdopen(err)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        self.wait(_BOUND_S)
        for pipe in (self.stdin, self.stdout, self.stderr):
            with suppress(BrokenPipeError):  # something was left to say, and nobody is there any more
                pipe.close()

    @property
    def returncode(self) -> int | None:
        """What it has ended with; None until that was asked for."""
        return self._process.returncode

    def poll(self) -> int | None:
        """What it has ended with, None while it lives."""
        return self._process.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; what it has ended with."""
        return self._process.wait(timeout)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it is known to have ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, text: str = "", *, timeout: float = _BOUND_S) -> tuple[str, str]:
        """Give it that much and no more to read; wait for its end; what it has said since.

        Raises:
            TimeoutExpired: It has not ended by then.
        """
        ends = time.monotonic() + timeout
        with suppress(BrokenPipeError):
            self.stdin.write(text)
            self.stdin.close()
        said = dict.fromkeys((self.stdout, self.stderr), b"")
        with selectors.DefaultSelector() as ears:
            for pipe in said:
                ears.register(pipe, selectors.EVENT_READ)
            while ears.get_map():
                if not (heard := ears.select(max(ends - time.monotonic(), 0.0))):
                    raise subprocess.TimeoutExpired(str(self.pid), timeout)
                for key, _ in heard:
                    if some := os.read(key.fd, 65536):
                        said[key.fileobj] += some  # type: ignore[index]  # one of the two
                    else:
                        ears.unregister(key.fileobj)
        self.wait(max(ends - time.monotonic(), 0.0))
        return said[self.stdout].decode(), said[self.stderr].decode()


def run(
    *arguments: str,
    text: str = "",
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    loaded: Sequence[str] = CLI,
    timeout: float = _BOUND_S,
) -> subprocess.CompletedProcess[str]:
    """Run one to its end; what it has said, and ended with."""
    with Command(*arguments, environ=environ, cwd=cwd, loaded=loaded) as command:
        out, err = command.communicate(text, timeout=timeout)
        return subprocess.CompletedProcess(arguments, command.wait(), out, err)
