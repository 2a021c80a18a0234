"""A plain script: while its one job runs, ECS does not stop the task for a deployment or a scale-in.

Run it anywhere: ``python examples/script.py``. Outside ECS it does the same work, unprotected.
"""

import logging
import time
from datetime import timedelta

from protectwork import protect

log = logging.getLogger("script")


def build_report(pages: int) -> None:
    for page in range(1, pages + 1):
        time.sleep(0.2)  # the work
        log.info("page %d of %d", page, pages)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    with protect(label="report", max_duration=timedelta(hours=3)) as hold:
        log.info("report begins, protected until %s", hold.expires_at or "nobody knows when")
        build_report(pages=5)
        log.info("report ends")
    # Nothing else to do: at the exit of the script the task is released.


if __name__ == "__main__":
    main()
