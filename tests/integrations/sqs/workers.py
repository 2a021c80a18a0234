"""Worker processes for the tests, each in a session of its own.

worker = Worker(plan, log=tmp_path / "log", cwd=tmp_path, environ=agent.environ())
worker.signal(signal.SIGTERM)
assert worker.ended() == 0
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from integrations.sqs.program import Plan
from integrations.sqs.wire import BOUND_S
from nursery import SQS, started

_PROGRAM = "import json, sys; from integrations.sqs.program import main; main(**json.loads(sys.argv[1]))"
_LOG_AT_MOST = 6000
_TESTS = Path(__file__).parents[2]
_OURS = ("PROTECTWORK_", "ECS_", "AWS_", "TEST_")


class Worker:
    """One that carries out a plan. It has begun when this returns, and has to be killed in the end.

    Args:
        plan: What it is to do.
        log: Where it says what it says.
        cwd: Where it works.
        environ: More of its environment.
        hears: Whether it says so when SIGTERM has come; a handler of its own is then what was to hear of it before.

    Attributes:
        pid: Its process.
    """

    def __init__(self, plan: Plan, *, log: Path, cwd: Path, environ: Mapping[str, str], hears: bool = True) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self._log = log
        with log.open("wb") as says, Path(os.devnull).open("rb") as nothing:
            self._process = started(
                ["-c", _PROGRAM, json.dumps({"plan": asdict(plan), "hears": hears})],
                loaded=SQS,
                cwd=cwd,
                environ={**inherited, "PYTHONPATH": str(_TESTS), **environ},
                stdin=nothing.fileno(),
                stdout=says.fileno(),
                stderr=says.fileno(),
            )
        self.pid = self._process.pid

    def log(self) -> str:
        """What it has said so far, and its children."""
        return self._log.read_text(errors="replace")

    def said(self, text: str) -> bool:
        """Whether its log has a text."""
        return text in self.log()

    def sleeps(self) -> bool:
        """Whether its main thread waits in a system call; no, if it has ended."""
        with suppress(FileNotFoundError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
        return False

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, as ECS does."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL it and its children, and wait for that; nothing, if they have ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(BOUND_S)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def ended(self) -> int:
        """Wait until it has ended; its exit code."""
        try:
            return self._process.wait(BOUND_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended in time:\n{self.log()[-_LOG_AT_MOST:]}") from None
