"""The tasks of the project: one that must not be cut in half, and one that may."""

import time

from celery import shared_task
from celery.utils.log import get_task_logger

log = get_task_logger(__name__)


@shared_task
def write_invoice(number: int) -> str:
    log.info("invoice %d begins", number)
    time.sleep(1)  # the work
    log.info("invoice %d ends", number)
    return f"invoice-{number}.pdf"


@shared_task
def count_visits() -> None:
    log.info("counting the visits")
