"""Processes that begin at once: forks of an interpreter that has imported what they need, and has done nothing else.

process = started(["-c", program], loaded=CORE, environ={...}, stdout=pipe)

An interpreter of its own takes ten times as long to come to its first line, and the tests start hundreds. Imports, and
what depends on them, are tested in interpreters; so is everything where size comes before time, the soak and the whole
matrix of Celery.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from processes.soak import TIMES

CORE = ("protectwork.backends.agent", "protectwork.testing", "processes.leapfrog")
"""What a process imports that protects work on ECS."""
CELERY = (*CORE, "celery.bin.celery", "celery.worker.consumer", "protectwork_celery._step")
"""What a Celery worker does, of whatever pool; but those of gevent and eventlet want to be first."""

SQS = (*CORE, "boto3.session", "aiobotocore.session", "protectwork_sqs._consumer", "protectwork_sqs._async_consumer")
"""What one does that consumes a queue of SQS."""

_INTERPRETERS = TIMES > 1 or "WHOLE_MATRIX" in os.environ
_TESTS = Path(__file__).parent
_BOUND_S = 60.0
_OURS = ("PROTECTWORK_", "ECS_", "AWS_", "TEST_", "CELERY_")


class Process:
    """A fork, in a session of its own. As one of `subprocess`, it has to be waited for.

    Attributes:
        pid: Its process.
        returncode: What it has ended with; None until that was asked for.
    """

    def __init__(self, told: socket.socket) -> None:
        self.returncode: int | None = None
        self._told = told
        self.pid = self._hear(_BOUND_S)

    def poll(self) -> int | None:
        """What it has ended with, None while it lives."""
        try:
            return self.wait(0.0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; what it has ended with."""
        if self.returncode is None:
            self.returncode = self._hear(timeout)
            self._told.close()
        return self.returncode

    def _hear(self, timeout: float | None) -> int:
        if not select.select([self._told], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("a fork", timeout or 0.0)
        told = self._told.recv(64)
        assert told, "the interpreter that forks has ended"
        return int(told)


class Nursery:
    """An interpreter that has imported some modules, and forks itself for each process. Any thread may use it.

    Args:
        loaded: The modules.
    """

    def __init__(self, loaded: Sequence[str]) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-m", "nursery_program", str(theirs.fileno()), *loaded],
                env=inherited | {"PYTHONPATH": str(_TESTS)},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def start(
        self, command: Sequence[str], *, environ: Mapping[str, str], cwd: Path, descriptors: Mapping[int, int]
    ) -> Process:
        """Fork one that does what an interpreter does with these arguments.

        Args:
            command: The arguments: `-c` and a text, `-m` and a module, or a file; and what those are given.
            environ: Its environment.
            cwd: Where it runs.
            descriptors: Ours, by the numbers that it is to know them by.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        order = {
            "command": list(command),
            "environ": dict(environ),
            "cwd": str(cwd),
            "descriptors": list(descriptors),
        }
        with theirs:
            socket.send_fds(self._orders, [json.dumps(order).encode()], [theirs.fileno(), *descriptors.values()])
        return Process(ours)

    def close(self) -> None:
        """Kill all that it has forked, and end it."""
        self._orders.close()
        self._process.wait(_BOUND_S)


_lock = threading.Lock()  # guards the one below
_nurseries: dict[Sequence[str], Nursery] = {}


def started(
    command: Sequence[str],
    *,
    loaded: Sequence[str] = (),
    environ: Mapping[str, str],
    cwd: Path | None = None,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    pass_fds: Sequence[int] = (),
) -> Process | subprocess.Popen[bytes]:
    """Start an interpreter with these arguments, in a session of its own.

    Args:
        command: The arguments: `-c` and a text, `-m` and a module, or a file; and what those are given.
        loaded: Modules that it may find imported: then it is a fork of an interpreter that has imported them.
        environ: Its environment.
        cwd: Where it runs; here by default.
        stdin: The descriptor of its input; ours by default, and so are the next two.
        stdout: The one of its output.
        stderr: The one of its errors.
        pass_fds: More descriptors that it has, by the same numbers.
    """
    if not loaded or _INTERPRETERS:
        return subprocess.Popen(
            [sys.executable, "-X", "faulthandler", *command],
            env=dict(environ),
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    given = {number: file for number, file in enumerate((stdin, stdout, stderr)) if file is not None}
    given.update((number, number) for number in pass_fds)
    return _nursery(loaded).start(command, environ=environ, cwd=cwd or Path.cwd(), descriptors=given)


def close_all() -> None:
    """End all interpreters that were kept for more, and what they have forked."""
    while _nurseries:
        _nurseries.popitem()[1].close()


def _nursery(loaded: Sequence[str]) -> Nursery:
    with _lock:
        if loaded not in _nurseries:
            _nurseries[loaded] = Nursery(loaded)
        return _nurseries[loaded]
