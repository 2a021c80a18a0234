"""The project; Django and `celery -A shop` find its Celery app here."""

from shop.celery import app as celery_app

__all__ = ["celery_app"]
