"""Processes that begin at once: forks of an interpreter that has imported what they need, and has done nothing else.

process = started(["-c", program], loaded=CORE, environ={...}, stdout=pipe)

An interpreter of its own takes ten times as long to come to its first line, and the tests start hundreds. Imports, and
what depends on them, are tested in interpreters; so is everything where size comes before time, the soak and the whole
matrix of Celery.

The interpreters that fork are shared by all workers of pytest: whoever divides the tests among them starts those.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from processes.soak import TIMES

CORE = ("protectwork.backends.agent", "protectwork.testing", "processes.leapfrog")
"""What a process imports that protects work on ECS."""
CLI = (
    *CORE,
    "rich.table",
    *(f"protectwork.cli.{name}" for name in ("run", "keeper", "status", "fake_agent")),
)
"""What `protectwork` imports for the commands that the tests run most."""
CELERY = (*CORE, "celery.bin.celery", "celery.worker.consumer", "protectwork_celery._step")
"""What a Celery worker does, of whatever pool; but those of gevent and eventlet want to be first."""

SQS = (*CORE, "protectwork_sqs._consumer", "protectwork_sqs._async_consumer", "integrations.sqs.loaded")
"""What one does that consumes a queue of SQS."""

MOTO = ("moto.moto_server.werkzeug_app", "moto.sqs.models", "werkzeug.serving")
"""What moto's server does."""

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
    """An interpreter that has imported some modules, and forks itself for each who asks. Any thread may use it.

    Args:
        loaded: The modules.
        path: Where it can be asked.
    """

    def __init__(self, loaded: Sequence[str], path: Path) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self._lifeline, theirs = socket.socketpair()
        with theirs, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
            door.bind(str(path))
            door.listen()
            files = [theirs.fileno(), door.fileno()]
            self._process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-m", "nursery_program", *map(str, files), *loaded],
                env=inherited | {"PYTHONPATH": str(_TESTS)},
                stdin=subprocess.DEVNULL,
                pass_fds=files,
                start_new_session=True,
            )

    def close(self) -> None:
        """Kill all that it has forked, and end it."""
        self._lifeline.close()
        self._process.wait(_BOUND_S)


class Orders:
    """The orders of one who asks; what was forked for him is killed when he closes them. Any thread may use them.

    Args:
        path: Where to ask.
    """

    def __init__(self, path: Path) -> None:
        self._orders = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.connect(str(path))

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
        """Kill all that was forked for them."""
        self._orders.close()


_KINDS: dict[Sequence[str], str] = {CORE: "core", CLI: "cli", CELERY: "celery", SQS: "sqs", MOTO: "moto"}
_SHARED = "TEST_NURSERIES"
_lock = threading.Lock()  # guards those below
_orders: dict[Sequence[str], Orders] = {}
_nurseries: dict[str, Nursery] = {}
_directory: list[Path] = []


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
    return _orders_for(loaded).start(command, environ=environ, cwd=cwd or Path.cwd(), descriptors=given)


def is_shared() -> bool:
    """Whether interpreters that fork stand ready."""
    return _SHARED in os.environ


def share() -> None:
    """Start all interpreters that fork, for the workers that will be started from here."""
    if _INTERPRETERS:
        return
    directory = _new_directory()
    for loaded, name in _KINDS.items():
        _nurseries[name] = Nursery(loaded, directory / name)
    os.environ[_SHARED] = str(directory)


def close_all() -> None:
    """End what was forked for this process, and the interpreters that were started here."""
    while _orders:
        _orders.popitem()[1].close()
    while _nurseries:
        _nurseries.popitem()[1].close()
    while _directory:
        shutil.rmtree(_directory.pop())


def _orders_for(loaded: Sequence[str]) -> Orders:
    with _lock:
        if loaded not in _orders:
            _orders[loaded] = Orders(_place_of(loaded))
        return _orders[loaded]


def _place_of(loaded: Sequence[str]) -> Path:
    """Where to ask for forks of an interpreter that has loaded that: it is shared, or started now."""
    name = _KINDS[loaded]
    if shared := os.environ.get(_SHARED):
        return Path(shared, name)
    path = (_directory[0] if _directory else _new_directory()) / name
    _nurseries[name] = Nursery(loaded, path)
    return path


def _new_directory() -> Path:
    _directory.append(Path(tempfile.mkdtemp(prefix="nurseries-")))
    return _directory[0]
