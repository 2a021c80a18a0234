"""Protects the task of a Celery worker from before a job's body starts until no job is left."""

from protectwork_celery._celery import require_version

require_version()

from protectwork_celery._install import install, uninstall  # noqa: E402 - what is below needs what is required above

__all__ = ["install", "uninstall"]
