"""Does something again and again beside what runs: how a command keeps its screen up to date."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["repeated"]


@contextmanager
def repeated(do: Callable[[], None], every_s: float) -> Generator[None, None, None]:
    """Call `do` every so many seconds on a thread of its own, and once more at the end. For the main thread alone.

    Raises:
        Exception: What `do` raised, a closed pipe say; what runs was interrupted then, as by Ctrl-C.
    """
    over = threading.Event()
    failed: list[Exception] = []

    def repeat() -> None:
        while not over.wait(every_s):
            try:
                do()
            except Exception as error:  # noqa: BLE001 - raised below, on the thread that is interrupted
                failed.append(error)
                _thread.interrupt_main()
                return

    thread = threading.Thread(target=repeat, name="protectwork-screen", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        if failed:
            raise failed[0]
        do()
