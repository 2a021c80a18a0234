"""A worker to try in a lab: it makes up its jobs, some at a time with pauses between them, and tells the lab of each.

protectwork lab run --desired 8 --scenario scale-storm --stop-timeout 1 -- python examples/lab_worker.py

With PROTECTWORK_BACKEND=off in front, the same without protection.
"""

import random
import signal
import threading

from protectwork import UnprotectedError, protected
from protectwork.lab import journal

stopping = threading.Event()


@protected(on_unprotected="raise")
def handle(name: str, seconds: float) -> None:
    if not stopping.is_set():  # ECS may have stopped the task while it waited for protection
        with journal.job(name):
            threading.Event().wait(seconds)


def try_to_handle(name: str) -> None:
    try:
        handle(name, random.uniform(1, 5))
    except UnprotectedError as error:
        print(f"{name} is not begun: {error}")


def work() -> None:
    batch = 0
    while not stopping.is_set():
        batch += 1
        jobs = [
            threading.Thread(target=try_to_handle, args=(f"job {batch}.{number}",))
            for number in range(1, random.randint(2, 5))
        ]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()
        stopping.wait(random.uniform(2, 8))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    work()
