"""A container of a lab's task: one process, in a session and a group of its own, with what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

__all__ = ["Container", "ContainerProcess"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What runs in a task.

    Attributes:
        name: Its name.
        command: The program and its arguments.
        essential: Whether the task ends with it.
    """

    name: str
    command: Sequence[str]
    essential: bool = True


class ContainerProcess:
    """One container that runs. Only the thread of its service may use it.

    Raises:
        OSError: The program cannot be run.
    """

    def __init__(self, container: Container, *, environ: Mapping[str, str], directory: str | None) -> None:
        self.container = container
        self._process = subprocess.Popen(  # noqa: S603 - it is the user's own
            list(container.command),
            env=dict(environ),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The id of its process, and of the group that it leads."""
        return self._process.pid

    @property
    def pipes(self) -> dict[str, IO[bytes]]:
        """What it writes to, by name."""
        assert self._process.stdout  # noqa: S101 - for the type checker: they were asked for
        assert self._process.stderr  # noqa: S101
        return {"stdout": self._process.stdout, "stderr": self._process.stderr}

    @property
    def exit_code(self) -> int | None:
        """How it ended, a signal's number below zero; None before `has_ended` says that it did."""
        return self._process.returncode

    def has_ended(self) -> bool:
        """Whether its process has ended; whatever that started is then killed, as the end of a container does."""
        if self._process.returncode is None and self._is_zombie():
            self.kill()  # before its pid, which names the group, may be another's
            self._process.wait()
        return self._process.returncode is not None

    def terminate(self) -> None:
        """Tell its process to end, and none of those that it started, as ECS does."""
        if self._process.returncode is None:  # until then the pid is no other's; Popen's own way would take its status
            os.kill(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill its process and all of its group."""
        with suppress(ProcessLookupError, PermissionError):  # nobody is left, or nobody that may be killed
            os.killpg(self._process.pid, signal.SIGKILL)

    def _is_zombie(self) -> bool:
        with suppress(ChildProcessError):  # somebody has taken its status away; then Popen tells as much as it can
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return True
