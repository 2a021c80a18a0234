"""The Celery app of the project, protected by two lines."""

import os

from celery import Celery
from protectwork_celery import install

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

install(app)
