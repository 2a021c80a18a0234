"""What a worker is told once, at its start: what protection cannot mend, and what was probably misspelt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protectwork_celery._celery import Consumer, Job, logger
from protectwork_celery._options import Options, unmatched

__all__ = ["advise"]


def advise(consumer: Consumer, options: Options) -> None:
    """Log what is worth a warning, once per worker. Never raises: no worker stays down for want of advice."""
    if getattr(consumer, "restart_count", 0) > 0:  # it has only connected again
        return
    try:
        _advise(consumer, options)
    except Exception as error:  # noqa: BLE001 - a limit that is no number, say: Celery will tell of that in its own way
        logger.warning("what there is to say about this worker's time limits could not be found out: %s", error)


def _advise(consumer: Consumer, options: Options) -> None:
    jobs = {name: job for name, job in consumer.app.tasks.items() if not name.startswith("celery.")}
    for glob in unmatched(options, consumer.app.tasks):
        logger.warning("no Celery task matches %r; registered are: %s", glob, ", ".join(sorted(jobs)) or "none")
    timeout_s = _visibility_timeout_s(consumer)
    twice = sorted(name for name, job in jobs.items() if timeout_s and _outlasts(job, consumer, timeout_s))
    if twice:
        logger.warning(
            "with acks_late and a time limit above the broker's visibility_timeout of %g s a job may be delivered again"
            " while it runs, whatever protection does: %s; raise broker_transport_options['visibility_timeout']",
            timeout_s,
            ", ".join(twice),
        )


def _outlasts(job: Job, consumer: Consumer, timeout_s: float) -> bool:
    worker = consumer.controller  # its limits are those of the configuration and of the command line
    limit = job.time_limit or worker.time_limit or job.soft_time_limit or worker.soft_time_limit
    return bool(job.acks_late and limit and limit > timeout_s)


def _visibility_timeout_s(consumer: Consumer) -> float | None:
    """After how long the broker delivers again what is not acknowledged; None where it does not."""
    options: Mapping[str, Any] = consumer.app.conf.broker_transport_options or {}
    of_broker = getattr(consumer.connection.default_channel, "visibility_timeout", None)  # Redis, SQS
    timeout = options.get("visibility_timeout", of_broker)
    return None if timeout is None else float(timeout)
