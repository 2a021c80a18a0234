"""A worker to try in a lab: it makes up its jobs, four at a time, and tells the lab's journal of each.

protectwork lab run --desired 8 --scenario scale-storm -- python examples/lab_worker.py
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


def work(lane: int) -> None:
    while not stopping.wait(random.expovariate(1.0)):
        try:
            handle(f"job in lane {lane}", random.expovariate(0.5))
        except UnprotectedError as error:
            print(f"not begun: {error}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    lanes = [threading.Thread(target=work, args=(lane,)) for lane in range(1, 5)]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()
