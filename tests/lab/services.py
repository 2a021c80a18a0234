"""Services of the lab whose tasks are small programs, and what tests ask of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from unit import agent_client

from protectwork import lab

SLEEP = ["sleep", "1000"]
"""Ends at SIGTERM."""
DEAF = ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"]
"""Does not hear SIGTERM, once it is `deaf`."""
TELLS = ["sh", "-c", "env; echo ready; exec sleep 1000"]
"""Tells what it finds in its environment, then sleeps."""
BOUND_S = 30.0


def service(command: list[str] | None = None, desired: int = 2, **options: Any) -> lab.Service:
    return lab.Service(SLEEP if command is None else command, desired, **{"stop_timeout": 20, **options})


def until(one: lab.Service, condition: Any) -> None:
    """Wait for what has to happen, far longer than it takes."""
    assert one.wait_until(condition, timeout_s=BOUND_S), [str(event) for event in one.events]


def settle(one: lab.Service) -> list[str]:
    """Wait until it is settled; return the names of its tasks."""
    until(one, lambda: one.settled)
    return names(one)


def deaf(one: lab.Service) -> list[str]:
    """Wait until it is settled and every task is deaf; return their names."""
    there = settle(one)
    until(one, lambda: {line.task for line in one.output() if line.text == "deaf"} >= set(there))
    return there


def names(one: lab.Service) -> list[str]:
    return [row.name for row in one.snapshot().tasks]


def looks(one: lab.Service, times: int = 5) -> None:
    """Wait until the service has looked at its tasks so often: time enough for what must not happen."""
    for _ in range(times):
        with one._engine.changed:  # type: ignore[union-attr] - it runs
            assert one._engine.changed.wait(BOUND_S)  # type: ignore[union-attr]


def happened(one: lab.Service, kind: lab.EventKind) -> list[str | None]:
    return [event.task for event in one.events if event.kind is kind]


def put(one: lab.Service, task: str, *, enabled: bool = True, minutes: int | None = None) -> Any:
    """What the agent of a task answers to a call for its protection."""
    endpoint = f"{one.task(task).arn.rpartition('/')[2]}-worker"
    return agent_client.put(one.agent, enabled=enabled, minutes=minutes, endpoint=endpoint).said


def environ(one: lab.Service, task: str, container: str = "worker") -> dict[str, str]:
    """What a task that runs `TELLS` found in its environment."""

    def told() -> list[str]:
        return [line.text for line in one.output() if (line.task, line.container) == (task, container)]

    until(one, lambda: "ready" in told())
    return dict(line.split("=", 1) for line in told() if "=" in line)


def mark_of(one: lab.Service) -> str:
    """What every process of a lab has in its environment."""
    return f"PROTECTWORK_LAB_ID={one._engine.environ['PROTECTWORK_LAB_ID']}"  # type: ignore[union-attr] - it runs


def marked(mark: str) -> set[int]:
    """Every process that has it in the environment that it was started with."""
    return {pid for pid, command, environ in _processes() if command and mark.encode() in environ.split(b"\0")}


def gone(pids: set[int]) -> bool:
    """Whether all of them end, within a bound."""
    ends = time.monotonic() + BOUND_S
    while (left := pids & _alive()) and time.monotonic() < ends:
        time.sleep(0.02)
    return not left


def is_removed(directory: str) -> bool:
    """Whether it goes, within a bound."""
    ends = time.monotonic() + BOUND_S
    while Path(directory).exists() and time.monotonic() < ends:
        time.sleep(0.02)
    return not Path(directory).exists()


def _alive() -> set[int]:
    return {pid for pid, command, _ in _processes() if command}


def _processes() -> Iterator[tuple[int, str, bytes]]:
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            yield int(directory.name), command, (directory / "environ").read_bytes()
