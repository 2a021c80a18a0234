"""How the jobs of a run come to its workers: by a directory, by Redis and Celery, or by SQS."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

sys.path.append(str(Path(__file__).parents[2] / "tests"))

from lab.job_queue import Job, JobQueue

AWS = {"region_name": "us-west-2", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
SQS_BATCH = 10
ANSWERS_WITHIN_S = 30


@dataclass(frozen=True, kw_only=True)
class Servers:
    """What serves all runs.

    Attributes:
        redis_port: The port of a Redis.
        sqs_url: Where SQS is.
    """

    redis_port: int
    sqs_url: str


class Feed(Protocol):
    """One queue.

    Attributes:
        address: What a worker is told of it.
        environ: What else it finds in its environment.
    """

    address: str
    environ: Mapping[str, str]

    def put(self, jobs: Iterable[Job]) -> None:
        """Add jobs."""
        ...


class DirectoryFeed:
    """A queue in a directory."""

    def __init__(self, directory: Path, _servers: Servers, _number: int) -> None:
        self._queue = JobQueue(directory)
        self.address, self.environ = str(directory), {}

    def put(self, jobs: Iterable[Job]) -> None:
        """See `Feed.put`."""
        self._queue.put(jobs)


class CeleryFeed:
    """A database of a Redis, and the client of it."""

    def __init__(self, _directory: Path, servers: Servers, number: int) -> None:
        from celery import Celery  # noqa: PLC0415 - only where it is fed by

        self.address = f"redis://127.0.0.1:{servers.redis_port}/{number}"
        self.environ = {"LOST_BROKER": self.address}
        self._app = Celery("client", broker=self.address, set_as_current=False)

    def put(self, jobs: Iterable[Job]) -> None:
        """See `Feed.put`."""
        for job in jobs:
            self._app.send_task("job", [job.name], ignore_result=True)


class SqsFeed:
    """A queue of an SQS."""

    def __init__(self, _directory: Path, servers: Servers, number: int) -> None:
        import boto3  # noqa: PLC0415 - only where it is fed by
        from botocore.config import Config  # noqa: PLC0415

        config = Config(read_timeout=ANSWERS_WITHIN_S, retries={"total_max_attempts": 3})
        self._client: Any = boto3.client("sqs", endpoint_url=servers.sqs_url, config=config, **AWS)
        self.address = self._client.create_queue(QueueName=f"lost-{number}")["QueueUrl"]
        self.environ = {"AWS_ENDPOINT_URL_SQS": servers.sqs_url}

    def put(self, jobs: Iterable[Job]) -> None:
        """See `Feed.put`."""
        entries = [{"Id": str(job.number), "MessageBody": job.name} for job in jobs]
        for start in range(0, len(entries), SQS_BATCH):
            self._client.send_message_batch(QueueUrl=self.address, Entries=entries[start : start + SQS_BATCH])
