"""Ours as a consumer of an SQS queue: `sqs_worker.py QUEUE_URL THREADS`."""

import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tests"))

from lab.job_queue import seconds_of
from protectwork_sqs import Message, SQSConsumer

from protectwork.lab import journal


def handle(message: Message) -> None:
    with journal.job(message.body):
        time.sleep(seconds_of(message.body))


if __name__ == "__main__":
    SQSConsumer(sys.argv[1], handle, concurrency=int(sys.argv[2]), wait_time=1).run()
