"""The SQS examples are run as their READMEs say, on moto's server, in a task and outside ECS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from examples.example import EXAMPLES, Example
from integrations.sqs.servers import Server, moto
from nursery import SQS

from protectwork.testing import FakeAgent

AWS = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
WORKERS = {
    "loop": ("sqs_own_loop", r"python worker\.py"),
    "async loop": ("sqs_own_loop", r"python worker_async\.py"),
    "consumer": ("sqs_consumer", r"python worker\.py"),
}
SENT = {"metropolis", "nosferatu", "the general"}
LAST = {"faust", "sunrise", "pandora", "intolerance"}
"""As many as are handled at once at most: so that it is told to stop while it works."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """What became of a worker that was given work, and ended while it had more.

    Attributes:
        log: What it said.
        code: Its exit code.
        left: How many messages were left in the queue, visible or not.
        jobs: When each of its jobs was in work.
        agent: The agent of its task; that of nobody, which tells the time, outside ECS.
    """

    log: str
    code: int
    left: int
    jobs: dict[str, tuple[float, float]]
    agent: FakeAgent


class Queue:
    """The queue of one example."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self.url = client.create_queue(QueueName=name)["QueueUrl"]

    def send(self, text: str) -> None:
        self._client.send_message(QueueUrl=self.url, MessageBody=text)

    def left(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


class SqsExample(Example):
    """One of SQS."""

    loaded = SQS


class Play:
    """One worker in its place.

    Args:
        worker: Its key in `WORKERS`.
        server: Where its queue is.
        queue: Its queue.
        agent: An agent, which tells the time.
        inside: Whether it runs in the task of that.
        directory: Where its state is.
    """

    def __init__(
        self, worker: str, *, server: Server, queue: Queue, agent: FakeAgent, inside: bool, directory: Path
    ) -> None:
        name, command = WORKERS[worker]
        self._queue, self._agent = queue, agent
        self.example = SqsExample(
            name,
            worker=command,
            directory=directory,
            agent=agent if inside else None,
            AWS_ENDPOINT_URL_SQS=server.url,
            PROTECTWORK_LINGER="600",  # until its exit: how long it waits for the others matters to nobody
            QUEUE_URL=queue.url,
            **AWS,
        )

    def give_work(self) -> None:
        assert {*self.example.run(r"python send\.py").splitlines()} == SENT

    def end(self) -> Played:
        """Wait until that is done, give it more, and end it as soon as it has begun."""
        self.example.until_said(" ends", times=len(SENT))
        for film in LAST:
            self._queue.send(film)
        self.example.until_said(" begins", times=len(SENT) + 1)
        code = self.example.terminate()
        return Played(
            log=self.example.log(),
            code=code,
            left=self._queue.left(),
            jobs=self.example.jobs(self._agent),
            agent=self._agent,
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with moto(tmp_path_factory.mktemp("sqs")) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Any]:
    session = boto3.Session(
        aws_access_key_id=AWS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=AWS["AWS_SECRET_ACCESS_KEY"],
        region_name=AWS["AWS_DEFAULT_REGION"],
    )
    client = session.client("sqs", endpoint_url=server.url)
    yield client
    client.close()


@pytest.fixture(scope="module")
def played(
    server: Server, client: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, bool], Played]]:
    """Every worker, inside a task and outside ECS; all at once, for they mostly wait."""
    with ExitStack() as stack:
        plays = {
            (worker, inside): Play(
                worker,
                server=server,
                queue=Queue(client, f"films-{number}-{inside}"),
                agent=stack.enter_context(FakeAgent()),
                inside=inside,
                directory=tmp_path_factory.mktemp("example"),
            )
            for number, worker in enumerate(WORKERS)
            for inside in (True, False)
        }
        for play in plays.values():
            stack.enter_context(play.example)
        for play in plays.values():
            play.give_work()
        yield {key: play.end() for key, play in plays.items()}


@pytest.mark.parametrize("worker", WORKERS)
def test_every_message_of_an_example_is_protected_from_its_start_to_its_end(
    worker: str, played: dict[tuple[str, bool], Played]
) -> None:
    found = played[worker, True]
    assert {f"transcoding of {film}" for film in SENT} <= found.jobs.keys()
    assert all(found.agent.was_protected(begins, ends) for begins, ends in found.jobs.values())


@pytest.mark.parametrize("worker", WORKERS)
def test_an_example_needs_three_calls(worker: str, played: dict[tuple[str, bool], Played]) -> None:
    assert [call.call for call in played[worker, True].agent.calls] == ["get", "enable", "disable"]


@pytest.mark.parametrize("worker", WORKERS)
def test_outside_ecs_an_example_does_the_same_work(worker: str, played: dict[tuple[str, bool], Played]) -> None:
    found = played[worker, False]
    assert {f"transcoding of {film}" for film in SENT} <= found.jobs.keys()
    assert found.agent.calls == ()


@pytest.mark.parametrize("inside", [True, False], ids=["inside a task", "outside ECS"])
@pytest.mark.parametrize("worker", WORKERS)
def test_sigterm_ends_an_example_after_what_it_has_begun_and_leaves_the_rest_in_the_queue(
    worker: str, inside: bool, played: dict[tuple[str, bool], Played]
) -> None:
    found = played[worker, inside]
    assert found.code == 0, found.log
    assert found.log.count(" begins") == found.log.count(" ends") == len(found.jobs) > len(SENT)
    assert found.left == len(SENT | LAST) - len(found.jobs)
    assert not found.agent.protected


@pytest.mark.parametrize("name", ["sqs_own_loop", "sqs_consumer"])
def test_the_queue_that_a_readme_makes_is_the_one_that_it_names(
    name: str, server: Server, tmp_path: Path, client: Any
) -> None:
    example = SqsExample(
        name, worker=r"python worker\.py", directory=tmp_path, agent=None, AWS_ENDPOINT_URL_SQS=server.url, **AWS
    )
    example.run(r"python -c .*")
    (named,) = re.findall(r"^export QUEUE_URL=http://127.0.0.1:5000(/\d+/(.+))$", example.readme, re.MULTILINE)
    assert client.get_queue_url(QueueName=named[1])["QueueUrl"] == server.url + named[0]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("sqs_*/*.*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_of_the_examples_fits_on_a_page(path: Path) -> None:
    assert path.suffix == ".pyc" or len(path.read_text().splitlines()) < 60
