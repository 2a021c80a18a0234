"""The servers that speak SQS in the tests: on a free port of loopback, in a process of their own, gone at the end.

    with moto(directory) as server:
        client = boto3.client("sqs", endpoint_url=server.url)

moto (PyPI) is the one of the suite, fauxqs (npm) that of the external tests. They err in different places: moto takes
receipt handles that are long out of date; fauxqs says of a handle that never was that its message is deleted.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from nursery import MOTO, is_shared, started

_BOUND_S = 60.0
_TESTS = Path(__file__).parents[2]

_FAUXQS = """
import { pathToFileURL } from "node:url";
const dist = pathToFileURL(process.argv[1] + "/").href;
const { buildApp } = await import(dist + "app.js");
const { SqsStore } = await import(dist + "sqs/sqsStore.js");
const sqsStore = new SqsStore();
sqsStore.host = "";  // a queue's URL has the host that its creator asked
const app = buildApp({ logger: false, stores: { sqsStore } });
console.log(new URL(await app.listen({ port: 0, host: "127.0.0.1" })).port);
"""


class Server:
    """One server; it listens when its `with` begins.

    Args:
        command: What starts it, and prints its port as its first line.
        directory: Where its log is kept.
        loaded: What it may find imported, if it is an interpreter, of which these are the arguments.

    Attributes:
        port: The port on 127.0.0.1.
    """

    def __init__(self, command: Sequence[str], directory: Path, *, loaded: Sequence[str] = ()) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._command, self._loaded, self._log = command, loaded, directory / "sqs.log"
        self.port = 0

    def __enter__(self) -> Self:
        reads, writes = os.pipe()
        self._said = os.fdopen(reads)
        with self._log.open("wb") as log, os.fdopen(writes, "wb") as said, Path(os.devnull).open("rb") as nothing:
            files = {"stdin": nothing.fileno(), "stdout": said.fileno(), "stderr": log.fileno()}
            self._process = (
                started(self._command, loaded=self._loaded, environ=_environ(), **files)
                if self._loaded
                else subprocess.Popen(self._command, env=_environ(), start_new_session=True, **files)
            )
        try:
            self.port = self._told_port()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End it at once; nothing is kept."""
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(_BOUND_S)
        self._said.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def _told_port(self) -> int:
        ready, _, _ = select.select([self._said], [], [], _BOUND_S)
        line = self._said.readline() if ready else ""
        assert line.strip().isdigit(), f"it did not start:\n{self._log.read_text()}"
        return int(line)


def moto(directory: Path) -> Server:
    """The one from PyPI."""
    arguments = ["-m", "integrations.sqs.moto_program"]
    if is_shared():
        return Server(arguments, directory, loaded=MOTO)
    return Server([sys.executable, *arguments], directory)


def fauxqs(directory: Path) -> Server:
    """The one from npm, whose command `fauxqs` must be on the PATH: ``npm install --global fauxqs@1.9``."""
    command = shutil.which("fauxqs")
    assert command, "fauxqs is not installed: npm install --global fauxqs@1.9"
    # Its command listens on all interfaces, so it is not used.
    return Server(["node", "--input-type=module", "--eval", _FAUXQS, str(Path(command).resolve().parent)], directory)


def _environ() -> dict[str, str]:
    ours = ("PROTECTWORK_", "ECS_", "AWS_", "TEST_", "MOTO_", "COVERAGE_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return inherited | {"PYTHONPATH": str(_TESTS)}
