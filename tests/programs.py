"""Runs programs in interpreters of their own, with a hard bound: what hangs fails its test, and shows its stacks."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nursery import started

_BOUND_S = 180.0  # what ends at all ends long before, also where others want the processor
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
    loaded: Sequence[str] = (),
    **environ: str,
) -> Done:
    """Run a program, its text or its file; it and whatever it forked are gone afterwards.

    Coverage does not measure it if `measured` is false: its tracer has locks of its own, which a fork storm leaves
    locked in a child, and which greenlets take where only native threads may wait. What may find some modules `loaded`
    begins at once: see `nursery.py`.
    """
    others = ("PROTECTWORK_", "ECS_", "AWS_") if measured else ("PROTECTWORK_", "ECS_", "AWS_", "COVERAGE_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    covered = any(name.startswith("COVERAGE_") for name in os.environ)
    command = [str(program)] if isinstance(program, Path) else ["-c", program]
    with _Running(
        [*command, *arguments],
        loaded=loaded if measured or not covered else (),
        environ=inherited | environ,
        cwd=cwd,
    ) as running:
        heard_all = running.hear(bound_s)
        ended = time.monotonic()
        if not heard_all:
            running.send(signal.SIGABRT)  # faulthandler tells where each of its threads is
            running.hear(_LAST_WORDS_S)  # one that is stopped hears nothing, and keeps the pipes
    out, err = (running.said[name].decode() for name in ("stdout", "stderr"))
    assert heard_all, f"it did not end within {bound_s:g} s\n{out}\n{err}"
    return Done(code=running.code, out=out, err=err, ended=ended)


class _Running:
    """A program under way; it and all of its session are gone when its `with` ends."""

    def __init__(self, command: Sequence[str], **how: Any) -> None:
        self._ears = selectors.DefaultSelector()
        pipes = {name: os.pipe() for name in ("stdout", "stderr")}
        self.said = dict.fromkeys(pipes, b"")
        self._process = started(command, **how, **{name: theirs for name, (_, theirs) in pipes.items()})
        for name, (ours, theirs) in pipes.items():
            os.close(theirs)
            self._ears.register(ours, selectors.EVENT_READ, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.send(signal.SIGKILL)
        self.code = self._process.wait()
        for key in list(self._ears.get_map().values()):
            self._shut(key.fd)
        self._ears.close()

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def hear(self, bound_s: float) -> bool:
        """Listen until nobody is left who could say anything, but not for longer than that; whether nobody is."""
        ends = time.monotonic() + bound_s
        while self._ears.get_map():
            if not (heard := self._ears.select(max(ends - time.monotonic(), 0.0))):
                return False
            for key, _ in heard:
                if said := os.read(key.fd, 65536):
                    self.said[key.data] += said
                else:
                    self._shut(key.fd)
        return True

    def _shut(self, descriptor: int) -> None:
        self._ears.unregister(descriptor)
        os.close(descriptor)
