"""Gives the worker some work, and waits for it."""

from celery import group
from media import make_thumbnail, transcode

films = ["metropolis", "nosferatu", "the general"]
jobs = group([task.s(film) for film in films for task in (make_thumbnail, transcode)])

for made in jobs.apply_async().get(timeout=60):
    print(made)
