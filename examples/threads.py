"""A pool of threads: the task is protected while any of them works, and released when none does.

Run it anywhere: ``python examples/threads.py``. Outside ECS it does the same work, unprotected.
"""

import logging
import time
from concurrent.futures import ThreadPoolExecutor

from protectwork import protected

log = logging.getLogger("threads")


@protected(label="thumbnail", max_duration=60)
def make_thumbnail(picture: str, seconds: float) -> str:
    log.info("%s begins", picture)
    time.sleep(seconds)  # the work
    log.info("%s ends", picture)
    return f"{picture}.thumbnail"


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")

    # Of four pictures two are in work at a time; they share one lease, and the last one to end gives it back.
    pictures = {"cat": 0.3, "dog": 0.9, "bird": 0.6, "fish": 0.3}
    with ThreadPoolExecutor(max_workers=2) as pool:
        for thumbnail in pool.map(make_thumbnail, pictures, pictures.values()):
            log.info("made %s", thumbnail)


if __name__ == "__main__":
    main()
