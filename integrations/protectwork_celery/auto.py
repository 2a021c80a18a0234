"""Imported by ``celery -A proj worker -I protectwork_celery.auto``: installs on that app, without a line of code."""

from importlib import import_module

from protectwork_celery._install import install_unless_installed

install_unless_installed(import_module("celery").current_app)
