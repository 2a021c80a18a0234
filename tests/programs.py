"""Runs programs in interpreters of their own, with a hard bound: what hangs fails its test, and shows its stacks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_BOUND_S = 60.0
_LAST_WORDS_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Done:
    """What became of a program; `ended` is on the machine's monotonic clock, which all processes share."""

    code: int
    out: str
    err: str
    ended: float

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def run(
    program: str | Path,
    *arguments: str,
    cwd: Path | None = None,
    measured: bool = True,
    bound_s: float = _BOUND_S,
    **environ: str,
) -> Done:
    """Run a program, its text or its file; it and whatever it forked are gone afterwards.

    Coverage does not measure it if `measured` is false: its tracer has locks of its own, which a fork storm leaves
    locked in a child, and which greenlets take where only native threads may wait.
    """
    others = ("PROTECTWORK_", "ECS_", "AWS_") if measured else ("PROTECTWORK_", "ECS_", "AWS_", "COVERAGE_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    code = [str(program)] if isinstance(program, Path) else ["-c", program]
    process = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", *code, *arguments],
        cwd=cwd,
        env=inherited | environ,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = _communicate(process, bound_s)
        ended = time.monotonic()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return Done(code=process.returncode, out=out, err=err, ended=ended)


def _communicate(process: subprocess.Popen[str], bound_s: float) -> tuple[str, str]:
    try:
        return process.communicate(timeout=bound_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGABRT)  # faulthandler tells where each of its threads is
        with suppress(subprocess.TimeoutExpired):  # one that is stopped hears nothing, and keeps the pipes
            process.communicate(timeout=_LAST_WORDS_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"it did not end within {bound_s:g} s\n{out}\n{err}") from None
