"""One example in a folder of its own: its commands run as its README says, in a task or outside ECS."""

from __future__ import annotations

import os
import re
import shlex
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import commands
from nursery import started

from protectwork.testing import FakeAgent

EXAMPLES = Path(__file__).parents[2] / "examples"
BOUND_S = 60.0
LINE = re.compile(r"^(?P<date>\S+ \S+) \w+: (?P<job>.+?) (?P<what>begins|ends)\b", re.MULTILINE)
TICK_S = 0.001  # a log's date has no more than milliseconds
OURS = ("PROTECTWORK_", "ECS_", "AWS_", "CELERY_", "DJANGO_")


class Example:
    """One example: its worker runs while its `with` does, and is dead with all its children after it.

    Args:
        name: Its folder.
        worker: The command of its README that runs its worker, as a pattern.
        directory: Where its state and log are kept.
        agent: The agent of its task; None outside ECS.
        environ: What else it has in its environment.
    """

    line = LINE
    loaded: Sequence[str] = ()
    """What its programs may find imported."""

    def __init__(self, name: str, *, worker: str, directory: Path, agent: FakeAgent | None, **environ: str) -> None:
        (directory / "state").mkdir(mode=0o700, parents=True)
        self.folder = EXAMPLES / name
        self.readme = (self.folder / "README.md").read_text()
        self._command_of_worker, self._log = worker, directory / "log"
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(OURS)},
            **(agent.environ() if agent else {}),
            "PROTECTWORK_STATE_DIR": str(directory / "state"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TZ": "UTC",
            **environ,
        }

    def __enter__(self) -> Self:
        with self._log.open("wb") as log, Path(os.devnull).open("rb") as nothing:
            self._worker = started(
                self._command(self._command_of_worker),
                loaded=self.loaded,
                cwd=self.folder,
                environ=self._environ,
                stdin=nothing.fileno(),
                stdout=log.fileno(),
                stderr=log.fileno(),
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._worker.pid, signal.SIGKILL)
        self._worker.wait(BOUND_S)

    def run(self, pattern: str, *more: str) -> str:
        """Run the command of the README that the pattern describes; what it prints."""
        done = commands.run(
            *self._command(pattern),
            *more,
            cwd=self.folder,
            environ=self._environ,
            loaded=self.loaded,
            timeout=BOUND_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _command(self, pattern: str) -> list[str]:
        (line,) = re.findall(f"^{pattern}$", self.readme, re.MULTILINE)
        program, *arguments = shlex.split(line)
        return [*([] if program == "python" else ["-m", program]), *arguments]

    def jobs(self, agent: FakeAgent) -> dict[str, tuple[float, float]]:
        """When each job was in work, in the agent's time; those that have ended."""
        return jobs(self.log(), agent, self.line)

    def log(self) -> str:
        """What the worker has said so far."""
        return self._log.read_text()

    def until_said(self, text: str, *, times: int = 1) -> None:
        """Wait until it has said that."""
        self.until(lambda: self.log().count(text) >= times, what=f"it has said {text!r}")

    def until(self, fact: Callable[[], bool], *, what: str) -> None:
        """Wait until a fact holds, while it runs."""
        deadline = time.monotonic() + BOUND_S
        while not fact():
            running = self._worker.poll() is None and time.monotonic() < deadline
            assert running or fact(), f"waited in vain until {what}:\n{self.log()}"
            time.sleep(0.02)

    def terminate(self) -> int:
        """End the worker as ECS does; its exit code."""
        os.kill(self._worker.pid, signal.SIGTERM)
        return self._worker.wait(BOUND_S)


def jobs(log: str, agent: FakeAgent, line: re.Pattern[str] = LINE) -> dict[str, tuple[float, float]]:
    """When each job was in work, in the agent's time; those that have ended.

    Args:
        log: What was logged, with dates of UTC.
        agent: Whose time it is.
        line: What the beginning and the end of a job look like there.
    """
    epoch = agent.time.date(0).timestamp()
    begun: dict[str, float] = {}
    done: dict[str, float] = {}
    for found in line.finditer(log):
        at = datetime.strptime(found["date"], "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=UTC).timestamp() - epoch
        (begun if found["what"] == "begins" else done)[found["job"]] = at
    return {job: (begun[job] + TICK_S, ended) for job, ended in done.items()}
