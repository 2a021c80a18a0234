"""The jobs of one run, drawn from a seed: the same under every policy."""

import random
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tests"))

from lab.job_queue import Job

SHORT_S, LONG_S = (0.1, 0.5), (4.0, 8.0)
LONG_SHARE = 0.1
NEXT_BURST_S = (9.0, 12.0)


def drawn(seed: int, *, jobs: int, saturated: bool) -> list[Job]:
    """They come in two bursts, or, where the service is never to be idle, all at once."""
    draws = random.Random(seed)
    second_at = 0.0 if saturated else draws.uniform(*NEXT_BURST_S)
    return [
        Job(
            number=number,
            lasts_s=draws.uniform(*(LONG_S if draws.random() < LONG_SHARE else SHORT_S)),
            at_s=0.0 if number < jobs // 2 else second_at,
        )
        for number in range(jobs)
    ]
