"""The program that a worker runs: it does what it is told through a pipe, and answers; see `workers.py`."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from random import Random
from typing import Any

from processes.fast_clock import FastClock
from processes.leapfrog import Rhythm, Table, Turn, leapfrog

from protectwork import Hold, ProtectionManager, Settings
from protectwork.backends.agent import AgentBackend


class Program:
    """What a worker can be told to do: each public method is a message of that name.

    Where several managers are at hand, they are numbered; what names none means the newest.
    """

    def __init__(self, clock: FastClock, directory: Path) -> None:
        self._clock = clock
        self._journal = (directory / f"journal-{os.getpid()}").open("ab", buffering=0)
        self._managers: list[ProtectionManager] = []
        self._holds: dict[int, Hold] = {}
        self._children: list[Connection] = []
        self._enough = threading.Event()
        self._threads: list[threading.Thread] = []

    def serve(self, pipe: Connection) -> None:
        """Do one thing after the other, until nobody is there to tell any."""
        while True:
            try:
                what, arguments, named = pipe.recv()
            except EOFError:
                return
            pipe.send((os.getpid(), getattr(self, what)(*arguments, **named)))

    def manage(self, uri: str, settings: dict[str, Any]) -> None:
        """Have one more manager."""
        backend = AgentBackend(uri, clock=self._clock)
        self._managers.append(ProtectionManager(backend, settings=Settings(**settings), clock=self._clock))

    def start(self) -> None:
        """Start the manager before there is work, as adapters do."""
        self._managers[-1].start()

    def begin(self, manager: int = -1) -> float | None:
        """Take a hold; a moment since when it is confirmed, None if it is not."""
        self._holds[manager] = hold = self._managers[manager].acquire()
        return self._since(hold)

    def end(self, manager: int = -1) -> float:
        """Release the hold; the last moment before that."""
        now = self._clock.now()
        self._holds.pop(manager).release()
        return now

    def grip(self, seconds: float) -> tuple[float | None, float]:
        """Hold while one C call keeps the GIL, so that no other thread of this process runs; from when to when."""
        with self._managers[-1].protect("long call") as hold:
            since = self._since(hold)
            ctypes.PyDLL(None).usleep(int(seconds * 1e6))
            return since, self._clock.now()

    def leapfrog(self, me: int, tables: list[str], rhythm: Rhythm) -> list[list[Turn]]:
        """Take turns with another worker, in all managers at once; one table for each."""
        with ThreadPoolExecutor(len(tables)) as threads:
            turns = [
                threads.submit(leapfrog, manager, Table(table, me=me), rhythm, random=Random(f"{me} {number}"))
                for number, (manager, table) in enumerate(zip(self._managers, tables, strict=True))
            ]
        return [future.result() for future in turns]

    # -- as a prefork server

    def fork(self) -> int:
        """Fork a child, which can be told the same things by `child`; its pid."""
        ours, theirs = Pipe()
        if pid := os.fork():
            theirs.close()
            self._children.append(ours)
            return pid
        ours.close()
        self.serve(theirs)
        os._exit(0)

    def child(self, number: int, what: str, *arguments: Any) -> Any:
        """Tell a child; what it answers."""
        self._children[number].send((what, arguments, {}))
        return self._children[number].recv()[1]

    # -- random jobs

    def churn(self, *, seed: str, threads: int, jobs_s: tuple[float, float], pauses_s: tuple[float, float]) -> None:
        """Do overlapping random jobs from now on, and note them in the journal; durations are of real time."""
        for number in range(threads):
            arguments = (f"job-{number}", Random(f"{seed} {number}"), jobs_s, pauses_s)
            self._threads.append(threading.Thread(target=self._churn, args=arguments, daemon=True))
            self._threads[-1].start()

    def calm(self) -> float:
        """End all jobs; a moment after the last."""
        self._enough.set()
        while self._threads:
            self._threads.pop().join()
        self._enough.clear()
        return self._clock.now()

    def _churn(self, name: str, random: Random, jobs_s: tuple[float, float], pauses_s: tuple[float, float]) -> None:
        while not self._enough.wait(random.uniform(*pauses_s)):
            with self._managers[-1].protect(name) as hold:
                since = self._since(hold)
                self._note(name, "unconfirmed" if since is None else "confirmed", since or self._clock.now())
                self._enough.wait(random.uniform(*jobs_s))
                self._note(name, "ended", self._clock.now())

    def _note(self, name: str, what: str, at: float) -> None:
        self._journal.write(f"{name} {what} {at!r}\n".encode())  # in one write: who reads sees a line whole or not yet

    def _since(self, hold: Hold) -> float | None:
        confirmed = hold.confirmed  # first the question, then the time: nothing is claimed of what was before
        return self._clock.now() if confirmed else None


if __name__ == "__main__":
    to_test = Connection(int(sys.argv[1]))
    Program(*to_test.recv()).serve(to_test)
