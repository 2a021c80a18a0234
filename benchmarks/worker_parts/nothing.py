"""A job that does nothing, for the workers of `celery_throughput.py`: whatever is paid for a job shows in full."""

from celery import shared_task


@shared_task(name="nothing", ignore_result=True)
def nothing() -> None: ...
