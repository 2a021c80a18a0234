"""Does something again and again beside what runs: how a command keeps its screen up to date."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["repeated"]


@contextmanager
def repeated(do: Callable[[], None], every_s: float) -> Generator[None, None, None]:
    """Call `do` every so many seconds on a thread of its own, and once more at the end."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(every_s):
            do()

    thread = threading.Thread(target=repeat, name="protectwork-screen", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        do()
