"""A worker as a user of the decorator writes it: `python queue_worker.py QUEUE LANES` handles so many jobs at once.

It says that it is ready.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from lab.job_queue import JobQueue, seconds_of

from protectwork import UnprotectedError, get_manager, protected
from protectwork.lab import journal

LOOK_S, REFUSED_S = 0.05, 0.3


class Worker:
    """Takes jobs until it is told to stop. It holds first: so no job is taken that cannot be protected."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._stopping = threading.Event()

    def stop(self, *_: object) -> None:
        self._stopping.set()

    def work(self) -> None:
        while not self._stopping.is_set():
            if self._queue.is_empty() or not get_manager().admission.is_open:
                self._stopping.wait(LOOK_S)
                continue
            try:
                self._handle_next()
            except UnprotectedError:
                self._stopping.wait(REFUSED_S)

    @protected(on_unprotected="raise")
    def _handle_next(self) -> None:
        if self._stopping.is_set():  # while it waited for protection
            return
        if job := self._queue.take():
            with journal.job(job):
                time.sleep(seconds_of(job))


def main() -> None:
    worker = Worker(JobQueue(Path(sys.argv[1])))
    signal.signal(signal.SIGTERM, worker.stop)
    print("ready", flush=True)
    lanes = [threading.Thread(target=worker.work) for _ in range(int(sys.argv[2]))]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()


if __name__ == "__main__":
    main()
