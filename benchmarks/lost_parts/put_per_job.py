"""One PUT before each job and one after it, and no counting.

It does what the manual says ("When a container starts processing work, you can set the `protectionEnabled` attribute
[...] After a task finishes its requisite work, you can set the `protectionEnabled` attribute to false"), for each job:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection.html. The manual's own command,
``curl --request PUT``, tells no refusal from a consent: both come with status 200. Protection lasts for the two hours
that are the default, longer than any job here. What cannot be told to ECS is logged, and the job runs.
"""

import logging

from lost_parts.lanes import run_job, work
from lost_parts.put import put

logger = logging.getLogger("put_per_job")


def handle(job: str) -> None:
    """Protect, run, unprotect."""
    tell(enabled=True)
    try:
        run_job(job)
    finally:
        tell(enabled=False)


def tell(*, enabled: bool) -> None:
    """Say it to ECS, and wait for the answer."""
    try:
        put(ProtectionEnabled=enabled)
    except OSError as error:
        logger.warning("not told to ECS: %s", error)


if __name__ == "__main__":
    work(handle)
