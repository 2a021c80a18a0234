"""The Celery examples are run as their READMEs say, on a real Redis; the agent saw each job protected all the time."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from celery import Celery
from integrations.celery_worker.redis_server import RedisServer
from integrations.celery_worker.workers import BOUND_S

from protectwork.testing import FakeAgent

EXAMPLES = Path(__file__).parents[2] / "examples"
LINE = re.compile(r"\[(?P<date>\S+ \S+): \w+/\S+\] \S+: (?P<job>.+) (?P<what>begins|ends)$", re.MULTILINE)
TICK_S = 0.001  # a log's date has no more than milliseconds
ENDLESS_S = 600.0
OURS = ("PROTECTWORK_", "ECS_", "AWS_", "CELERY_", "DJANGO_")


class Example:
    """One example in an ECS task: its worker runs while its `with` does, and is dead with all its children after it."""

    def __init__(self, name: str, *, directory: Path, broker: str, agent: FakeAgent, **environ: str) -> None:
        (directory / "state").mkdir(mode=0o700, parents=True)
        self.folder, self.agent, self.broker = EXAMPLES / name, agent, broker
        self.readme = (self.folder / "README.md").read_text()
        self._log = directory / "log"
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(OURS)},
            **agent.environ(),
            "REDIS_URL": broker,
            "PROTECTWORK_STATE_DIR": str(directory / "state"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TZ": "UTC",
            **environ,
        }

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._worker = subprocess.Popen(
                self._command(r"celery -A \w+ worker .*"),
                cwd=self.folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self.until_said(" ready.")
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._kill()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._worker.pid, signal.SIGKILL)
        self._worker.wait(BOUND_S)

    def run(self, pattern: str, *more: str) -> str:
        """Run the command of the README that the pattern describes; what it prints."""
        done = subprocess.run(
            [*self._command(pattern), *more],
            cwd=self.folder,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _command(self, pattern: str) -> list[str]:
        (line,) = re.findall(f"^{pattern}$", self.readme, re.MULTILINE)
        program, *arguments = shlex.split(line)
        return [sys.executable, *([] if program == "python" else ["-m", program]), *arguments]

    @property
    def node(self) -> tuple[str, ...]:
        """What tells `celery inspect` whose answer to wait for, rather than for the whole time."""
        return "--destination", f"celery@{socket.gethostname()}"

    def send(self, name: str, *args: object) -> None:
        with Celery("client", broker=self.broker, set_as_current=False) as client:
            client.send_task(name, args)

    def jobs(self) -> dict[str, tuple[float, float]]:
        """When each job was in work, in the agent's time; those that have ended."""
        epoch = self.agent.time.date(0).timestamp()
        begun, done = {}, {}
        for line in LINE.finditer(self.log()):
            at = datetime.strptime(line["date"], "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=UTC).timestamp() - epoch
            (begun if line["what"] == "begins" else done)[line["job"]] = at
        return {job: (begun[job] + TICK_S, ended) for job, ended in done.items()}

    def log(self) -> str:
        return self._log.read_text()

    def until_said(self, text: str) -> None:
        self.until(lambda: text in self.log(), what=f"it has said {text!r}")

    def until_released(self) -> None:
        assert self.agent.wait_until(lambda: bool(self.agent.changes) and not self.agent.protected, timeout_s=BOUND_S)

    def until(self, fact: Callable[[], bool], *, what: str) -> None:
        deadline = time.monotonic() + BOUND_S
        while not fact():
            running = self._worker.poll() is None and time.monotonic() < deadline
            assert running or fact(), f"waited in vain until {what}:\n{self.log()}"
            time.sleep(0.02)

    def terminate(self) -> int:
        """End the worker as ECS does; its exit code."""
        self._worker.send_signal(signal.SIGTERM)
        return self._worker.wait(BOUND_S)


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
        Example(
            "celery_app", directory=directory, broker=server.database(), agent=agent, PROTECTWORK_LINGER="0.5"
        ) as example,
    ):
        printed = {"send": example.run(r"python send\.py")}
        example.until_released()
        jobs, minutes = example.jobs(), [call.minutes for call in agent.enables]
        example.send("media.transcode", "faust", ENDLESS_S)
        example.until_said("transcoding of faust begins")
        printed["status"] = example.run("protectwork status")
        printed["inspect"] = example.run(
            "celery -A media inspect protection", "--json", "--timeout", "30", *example.node
        )
        yield Played(agent=agent, jobs=jobs, printed=printed, minutes=minutes)


@pytest.fixture(scope="module")
def celery_django(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    directory = tmp_path_factory.mktemp("celery_django")
    with (
        FakeAgent() as agent,
        Example("celery_django", directory=directory, broker=server.database(), agent=agent) as example,
    ):
        example.run("python manage.py shell -c .*")
        example.until_released()
        example.send("shop.tasks.count_visits")
        example.until_said("counting the visits")
        code, minutes = example.terminate(), [call.minutes for call in agent.enables]
        yield Played(agent=agent, jobs=example.jobs(), printed={}, minutes=minutes, code=code)


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
