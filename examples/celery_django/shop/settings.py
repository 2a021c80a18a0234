"""The settings of the project: no more than what it needs to run its tasks."""

import os

SECRET_KEY = "not-a-secret-in-an-example"
USE_TZ, TIME_ZONE = True, "UTC"
INSTALLED_APPS = ["shop"]

CELERY_BROKER_URL = CELERY_RESULT_BACKEND = os.environ.get("REDIS_URL", "redis://localhost")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1

# Whatever protectwork is to do otherwise; durations are seconds, a timedelta, or a text as in the environment.
CELERY_PROTECTWORK_LEASE = "90m"
CELERY_PROTECTWORK_LINGER = 2
CELERY_PROTECTWORK_EXCLUDE = ["shop.tasks.count_visits"]
