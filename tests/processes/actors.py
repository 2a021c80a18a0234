"""Processes that do what a test tells them, line by line, and stop and die at a kernel call."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nursery

_BOUND_S = 60.0

PROGRAM = """
import json, os, signal, sys
from protectwork._ledger import Head, kernel, open_state

directory = sys.argv[1]
state = open_state(state_dir=directory, endpoint="")
head = None
calls = []

def count(function, *arguments):
    # The names of the kernel calls that it makes.
    calls.clear()
    kernel.hook = calls.append
    try:
        function(*arguments)
    finally:
        kernel.hook = None
    return list(calls)

def add(times):
    # A counter: each step builds on what was read, so that a lost update shows in the sum. Who lost, tries anew.
    lost = 0
    for _ in range(times):
        while True:
            head = state.read()
            if state.commit(head, str(int(head.text or 0) + 1)):
                break
            lost += 1
    return lost

def at_call(number, act):
    # The hook that acts before the kernel call of that number from now on.
    left = [number]
    def hook(name):
        left[0] -= 1
        if left[0] == -1:
            kernel.hook = None
            act()
    kernel.hook = hook

def stop():
    os.kill(os.getpid(), signal.SIGSTOP)

def child(function):
    # What a forked child finds, told through a pipe; the parent goes on when it has ended.
    said, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(say, json.dumps([os.getpid(), function()]).encode())
        os._exit(0)
    os.close(say)
    with open(said, "rb") as pipe:
        told, result = json.loads(pipe.read())
    assert os.waitpid(pid, 0)[1] == 0
    assert told == pid != os.getpid()
    return result

print(json.dumps([os.getpid(), state.owner, state.trouble]), flush=True)
for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
state.close()
"""


class Actor:
    """One process with its part in a shared state; gone at the end of the `with`, however it stands.

    Attributes:
        pid: Its process.
        owner: Its id in the shared state.
        trouble: Why it is alone, if it is.
    """

    def __init__(self, directory: Path) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PROTECTWORK_", "ECS_"))}
        self._told: int | None
        (hears, self._told), (self._heard, says) = os.pipe(), os.pipe()
        self._process = nursery.started(
            ["-c", PROGRAM, str(directory)], loaded=nursery.CORE, environ=inherited, stdin=hears, stdout=says
        )
        os.close(hears)
        os.close(says)
        self.pid = self._process.pid
        self._answers = b""

    def __enter__(self) -> Self:
        pid, self.owner, self.trouble = self.answer()
        assert pid == self.pid != os.getpid()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None and self._process.poll() is None and _kernel_state(self.pid) != "T":
            self.leave()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # and whatever it has forked
        self.ended()
        self._hang_up()
        os.close(self._heard)

    def ask(self, expression: str) -> Any:
        """What an expression comes to there."""
        self.tell(expression)
        return self.answer()

    def tell(self, expression: str) -> None:
        """Have it evaluated without waiting for it."""
        assert self._told is not None
        os.write(self._told, f"{expression}\n".encode())

    def answer(self) -> Any:
        """The next answer, within a bound."""
        deadline = time.monotonic() + _BOUND_S
        while b"\n" not in self._answers:
            ready, _, _ = select.select([self._heard], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no answer within {_BOUND_S:g} s"
            said = os.read(self._heard, 65536)
            assert said, "it has ended"
            self._answers += said
        line, _, self._answers = self._answers.partition(b"\n")
        return json.loads(line)

    def stopped(self) -> None:
        """Return once it has stopped."""
        wait_until(lambda: _kernel_state(self.pid) == "T")

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.ended()

    def ended(self) -> int:
        """Return once it has ended, with its exit code."""
        return self._process.wait(_BOUND_S)

    def leave(self) -> None:
        """Let it end by itself: it closes its state."""
        self._hang_up()
        assert self.ended() == 0

    def _hang_up(self) -> None:
        if self._told is not None:
            os.close(self._told)
            self._told = None


@contextmanager
def actors(number: int, directory: Path) -> Iterator[list[Actor]]:
    """Some of them, started at once."""
    crew = [Actor(directory) for _ in range(number)]
    with ExitStack() as stack:
        for actor in crew:
            stack.push(actor)
        for actor in crew:
            actor.__enter__()
        assert len({actor.pid for actor in crew}) == number
        yield crew


def wait_until(fact: Callable[[], bool]) -> None:
    """Look for a fact until it holds, within a bound."""
    deadline = time.monotonic() + _BOUND_S
    while not fact():
        assert time.monotonic() < deadline, f"not so within {_BOUND_S:g} s"
        time.sleep(0.002)


def _kernel_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
