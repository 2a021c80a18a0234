"""How soon the tasks of a lab run, as a ratio to the same programs started by `subprocess` alone.

    python benchmarks/lab_start.py

Twenty tasks are started, interleaved with twenty bare processes, and it is measured how long it takes until the last of
them has said its first word: those of a shell, which tell what the lab itself costs, and of Python workers that import
protectwork, which tell what a user sees. The median of the rounds counts. The bound is that of the design: twenty tasks
run within 5 s on two cores. Exits with 1 beyond it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from protectwork import lab

TASKS, ROUNDS = 20, 5
MOST_S = 5.0
BOUND_S = 60.0
READY = "ready"
WORKERS: dict[str, Sequence[str]] = {
    "a shell": ["sh", "-c", f"echo {READY}; exec sleep 600"],
    "a Python worker": [
        sys.executable,
        "-c",
        f"import time, protectwork.backends.agent; print('{READY}', flush=True); time.sleep(600)",
    ],
}


def in_a_lab(command: Sequence[str]) -> float:
    """How long it takes until each task of a service has said that it is ready, in seconds."""
    began = time.monotonic()
    with lab.Service(command, TASKS) as service:
        ready = service.wait_until(
            lambda: sum(line.text == READY for line in service.output()) == TASKS, timeout_s=BOUND_S
        )
        took_s = time.monotonic() - began
        service.close(0)
    if not ready:
        raise TimeoutError(f"of {TASKS} tasks some were not ready within {BOUND_S:g} s")
    return took_s


def bare(command: Sequence[str]) -> float:
    """The same for as many processes of their own."""
    began = time.monotonic()
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(TASKS)]
    try:
        for process in processes:
            assert process.stdout
            process.stdout.readline()
        return time.monotonic() - began
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def main() -> int:
    slowest_s = 0.0
    for name, command in WORKERS.items():
        rounds = [(in_a_lab(command), bare(command)) for _ in range(ROUNDS)]
        lab_s, bare_s = (statistics.median(times) for times in zip(*rounds, strict=True))
        slowest_s = max(slowest_s, lab_s)
        print(f"{TASKS} tasks of {name:16} {lab_s:5.2f} s in a lab, {bare_s:5.2f} s bare: {lab_s / bare_s:.2f}")
    print(f"bound {MOST_S:g} s: {'kept' if slowest_s < MOST_S else 'broken'}")
    return 0 if slowest_s < MOST_S else 1


if __name__ == "__main__":
    sys.exit(main())
