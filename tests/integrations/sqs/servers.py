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
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

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

    Attributes:
        port: The port on 127.0.0.1.
    """

    def __init__(self, command: list[str], directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._command, self._log = command, directory / "sqs.log"
        self.port = 0

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env=_environ(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
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
        self._process.kill()
        self._process.wait(_BOUND_S)
        if self._process.stdout:
            self._process.stdout.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def _told_port(self) -> int:
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], _BOUND_S)
        line = self._process.stdout.readline() if ready else b""
        assert line.strip().isdigit(), f"it did not start:\n{self._log.read_text()}"
        return int(line)


def moto(directory: Path) -> Server:
    """The one from PyPI."""
    return Server([sys.executable, "-m", "integrations.sqs.moto_program"], directory)


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
