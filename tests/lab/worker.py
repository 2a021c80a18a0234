"""A worker as anybody would write it: jobs one after the other, until SIGTERM; protected, or not."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import nullcontext, suppress
from typing import Any

from protectwork import UnprotectedError, protect
from protectwork.lab import journal

stopping: list[int] = []
signal.signal(signal.SIGTERM, lambda signum, _frame: stopping.append(signum))


def main(how: str, job_s: float, pause_s: float) -> None:
    number = 0
    while not stopping:
        # While more are protected than desired ECS refuses: what began all the same would be lost.
        hold: Any = protect(f"job {number}", on_unprotected="raise") if how == "protected" else nullcontext()
        with suppress(UnprotectedError), hold:
            if stopping:  # ECS has chosen this task meanwhile, while it was not protected yet
                break
            with journal.job(f"{number}"):
                time.sleep(job_s)
        number += 1
        time.sleep(pause_s)


main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
