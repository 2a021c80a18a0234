"""The jobs of one run, drawn from a seed: the same under every policy."""

import random
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tests"))

from lab.job_queue import Job

SHORT_S, LONG_S = (0.1, 0.3), (4.0, 7.0)
LONG_SHARE = 0.08
BURSTS_AT_S = ((0.0, 0.0), (8.0, 10.0), (17.0, 20.0))
"""So far apart that tasks are idle between them for longer than they linger, and may be stopped."""


def drawn(seed: int, *, jobs: int, saturated: bool) -> list[Job]:
    """They come in bursts, or, where the service is never to be idle, all at once."""
    draws = random.Random(seed)
    bursts = [0.0] if saturated else [draws.uniform(*at_s) for at_s in BURSTS_AT_S]
    return [
        Job(
            number=number,
            lasts_s=draws.uniform(*(LONG_S if draws.random() < LONG_SHARE else SHORT_S)),
            at_s=bursts[number * len(bursts) // jobs],
        )
        for number in range(jobs)
    ]
