"""The Celery examples are run as their READMEs say, on a real Redis; the agent saw each job protected all the time."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import pytest
from celery import Celery
from examples.example import BOUND_S, EXAMPLES, Example
from integrations.celery_worker.redis_server import RedisServer
from nursery import CELERY

from protectwork.testing import FakeAgent

LINE = re.compile(r"\[(?P<date>\S+ \S+): \w+/\S+\] \S+: (?P<job>.+) (?P<what>begins|ends)$", re.MULTILINE)
ENDLESS_S = 600.0


class CeleryExample(Example):
    """One of Celery in an ECS task; it is ready when its `with` begins."""

    line = LINE
    loaded = CELERY

    def __init__(self, name: str, *, directory: Path, broker: str, agent: FakeAgent, **environ: str) -> None:
        super().__init__(
            name,
            worker=r"celery -A \w+ worker .*",
            directory=directory,
            agent=agent,
            REDIS_URL=broker,
            **environ,
        )
        self.agent, self.broker = agent, broker

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.until_said(" ready.")
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    @property
    def node(self) -> tuple[str, ...]:
        """What tells `celery inspect` whose answer to wait for, rather than for the whole time."""
        return "--destination", f"celery@{socket.gethostname()}"

    def send(self, name: str, *args: object) -> None:
        with Celery("client", broker=self.broker, set_as_current=False) as client:
            client.send_task(name, args)

    def status_of(self, job: str) -> str:
        """What `protectwork status` prints once the worker has told of the job: it tells once a second."""
        told = [""]

        def names_it() -> bool:
            told[0] = self.run("protectwork status")
            return job in told[0]

        self.until(names_it, what=f"status names {job}")
        return told[0]

    def until_released(self) -> None:
        assert self.agent.wait_until(lambda: bool(self.agent.changes) and not self.agent.protected, timeout_s=BOUND_S)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@dataclass(frozen=True, kw_only=True)
class Played:
    """What became of an example.

    Attributes:
        agent: Its agent, with all that it remembers.
        jobs: When each of its jobs was in work.
        printed: What its commands printed, by name.
        minutes: For how long protection was asked for, each time.
        code: The worker's exit code; None if it was killed.
    """

    agent: FakeAgent
    jobs: dict[str, tuple[float, float]]
    printed: dict[str, str]
    minutes: list[int | None]
    code: int | None = None


@pytest.fixture(scope="module")
def celery_app(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    directory = tmp_path_factory.mktemp("celery_app")
    with (
        FakeAgent() as agent,
        CeleryExample(
            "celery_app", directory=directory, broker=server.database(), agent=agent, PROTECTWORK_LINGER="0.5"
        ) as example,
    ):
        printed = {"send": example.run(r"python send\.py")}
        example.until_released()
        jobs, minutes = example.jobs(agent), [call.minutes for call in agent.enables]
        example.send("media.transcode", "faust", ENDLESS_S)
        example.until_said("transcoding of faust begins")
        printed["status"] = example.status_of("media.transcode")
        printed["inspect"] = example.run(
            "celery -A media inspect protection", "--json", "--timeout", "30", *example.node
        )
        yield Played(agent=agent, jobs=jobs, printed=printed, minutes=minutes)


@pytest.fixture(scope="module")
def celery_django(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    directory = tmp_path_factory.mktemp("celery_django")
    with (
        FakeAgent() as agent,
        CeleryExample("celery_django", directory=directory, broker=server.database(), agent=agent) as example,
    ):
        example.run("python manage.py shell -c .*")
        example.until_released()
        example.send("shop.tasks.count_visits")
        example.until_said("counting the visits")
        code, minutes = example.terminate(), [call.minutes for call in agent.enables]
        yield Played(agent=agent, jobs=example.jobs(agent), printed={}, minutes=minutes, code=code)


def test_every_job_of_the_celery_project_is_protected_from_its_start_to_its_end(celery_app: Played) -> None:
    films = ("metropolis", "nosferatu", "the general")
    assert {*celery_app.printed["send"].split("\n")} >= {f"{film}.{kind}" for film in films for kind in ("jpg", "mp4")}
    assert set(celery_app.jobs) == {f"{work} of {film}" for film in films for work in ("thumbnail", "transcoding")}
    assert all(celery_app.agent.was_protected(begins, ends) for begins, ends in celery_app.jobs.values())


def test_protection_is_asked_for_as_long_as_the_time_limit_at_least(celery_app: Played) -> None:
    assert max(filter(None, celery_app.minutes)) >= 6 * 60


def test_status_names_the_job_that_is_in_work(celery_app: Played) -> None:
    assert re.search(r"media\.transcode\[[0-9a-f-]{36}\]", celery_app.printed["status"])


def test_celery_inspect_protection_returns_the_status_of_the_worker(celery_app: Played) -> None:
    (reply,) = json.loads(celery_app.printed["inspect"]).values()
    assert (reply["state"], reply["confirmed"], reply["admission"]) == ("PROTECTED", True, "open")
    (hold,) = reply["holds"]
    assert re.fullmatch(r"media\.transcode\[[0-9a-f-]{36}\]", hold["label"])
    assert reply["in_flight"] == 1
    assert datetime.fromisoformat(reply["expires_at"]).tzinfo


def test_every_job_of_the_django_project_is_protected_from_its_start_to_its_end(celery_django: Played) -> None:
    assert set(celery_django.jobs) == {"invoice 17"}
    assert celery_django.agent.was_protected(*celery_django.jobs["invoice 17"])


def test_the_settings_of_django_are_in_force(celery_django: Played) -> None:
    assert celery_django.minutes == [90]  # once: what is excluded has not been protected
    (_, ended), (*_, released) = celery_django.jobs["invoice 17"], celery_django.agent.changes
    default_s = 30.0
    assert 0.75 * 2 <= released.time - ended < 0.75 * default_s


def test_sigterm_ends_the_worker_of_the_django_project_well(celery_django: Played) -> None:
    assert celery_django.code == 0
    assert not celery_django.agent.protected


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("celery_*/**/*.*")), ids=lambda path: path.name)
def test_a_file_of_the_examples_fits_on_a_page(path: Path) -> None:
    assert path.suffix == ".pyc" or len(path.read_text().splitlines()) < 60
