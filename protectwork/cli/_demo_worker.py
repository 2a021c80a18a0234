"""A worker of the demo: two jobs at a time, in rounds. Whether they are protected is for its environment to say.

It says that it is ready, waits until the file `DEMO_GO` is there, and counts its rounds from the moment in it.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from protectwork import UnprotectedError, protect
from protectwork._clock import steady_now
from protectwork.lab import journal

__all__ = ["GO", "JOBS_AT_ONCE", "PACE", "READY", "ROUNDS", "ROUND_S"]

GO, PACE = "DEMO_GO", "DEMO_PACE"
READY = "ready"
ROUNDS, ROUND_S = 3, 14.0
JOBS_AT_ONCE = 2
_JOB_S = (5.0, 8.5)
_LOOK_S = 0.05


def _main() -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopping.set())
    go = Path(os.environ[GO])
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    while not go.exists():
        stopping.wait(_LOOK_S)
    lanes = [
        threading.Thread(target=_work, args=(lane, float(go.read_text()), stopping)) for lane in range(JOBS_AT_ONCE)
    ]
    for thread in lanes:
        thread.start()
    while any(thread.is_alive() for thread in lanes):
        stopping.wait(_LOOK_S)
    stopping.wait()


def _work(lane: int, began: float, stopping: threading.Event) -> None:
    pace = float(os.environ[PACE])
    for number in range(ROUNDS):
        stopping.wait(max(began + number * ROUND_S * pace - steady_now(), 0.0))
        if not stopping.is_set():
            _handle(f"job {number + 1}.{lane + 1}", random.uniform(*_JOB_S) * pace, stopping)  # noqa: S311 - of a job


def _handle(name: str, seconds: float, stopping: threading.Event) -> None:
    try:
        with protect(name, on_unprotected="raise"):
            if not stopping.is_set():
                with journal.job(name):
                    time.sleep(seconds)
    except UnprotectedError as error:
        sys.stderr.write(f"{name} is not begun: {error}\n")


if __name__ == "__main__":
    _main()
