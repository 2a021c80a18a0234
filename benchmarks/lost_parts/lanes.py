"""Handles jobs of a queue in so many threads until SIGTERM, which lets those in flight end: `PROGRAM QUEUE LANES`."""

import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tests"))

from lab.job_queue import JobQueue, seconds_of

from protectwork.lab import journal

LOOK_S = 0.05


def run_job(name: str) -> None:
    """The job itself."""
    with journal.job(name):
        time.sleep(seconds_of(name))


def work(handle: Callable[[str], None]) -> None:
    """Hand every job that is taken to `handle`."""
    queue, stopping = JobQueue(Path(sys.argv[1])), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    def lane() -> None:
        while not stopping.is_set():
            if job := queue.take():
                handle(job)
            else:
                stopping.wait(LOOK_S)

    lanes = [threading.Thread(target=lane) for _ in range(int(sys.argv[2]))]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()
