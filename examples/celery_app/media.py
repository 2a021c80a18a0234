"""A Celery project whose workers are protected while they have jobs; README.md says how to run it."""

import os
import time

from celery import Celery
from celery.utils.log import get_task_logger
from protectwork_celery import install

log = get_task_logger(__name__)

redis = os.environ.get("REDIS_URL", "redis://localhost")
app = Celery("media", broker=redis, backend=redis)
app.conf.update(
    broker_connection_retry_on_startup=True,
    # Take no message that is not to be run now: what waits in a worker that is to go would be waited for.
    worker_prefetch_multiplier=1,
)

install(app)


@app.task
def make_thumbnail(film: str) -> str:
    log.info("thumbnail of %s begins", film)
    time.sleep(0.5)  # the work
    log.info("thumbnail of %s ends", film)
    return f"{film}.jpg"


@app.task(time_limit=6 * 3600)  # protection is asked for as long as it may take, in one lease
def transcode(film: str, seconds: float = 1.0) -> str:
    log.info("transcoding of %s begins", film)
    time.sleep(seconds)  # the work
    log.info("transcoding of %s ends", film)
    return f"{film}.mp4"
