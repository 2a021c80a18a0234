"""Throughput of `SQSConsumer` as a ratio to that of bare loops on as many threads, and what a plain loop pays.

    python benchmarks/sqs.py
    python benchmarks/sqs.py --fauxqs

All take turns in one run, there and back and so on, each time on a new queue of a server in a process of its own:
moto's, or fauxqs (npm), which is faster, so that more of the clients' own cost shows. The handlers do nothing, and the
task is protected all the time. A turn ends when SQS has said of so many messages that they are deleted; there are more
in the queue. What counts is the median of the rounds' ratios, with the interval that holds the true median with 96 %
(the second lowest to the second highest of nine).

The peers are what people write, on 8 threads each of which receives, handles and deletes: *one by one*, so that 8
messages are in hand at most, as with `SQSConsumer`; *ten by ten*, one handled and deleted after the other, so that 80
are in hand, of which 72 wait and are late if one takes long; and *ten at once*, which deletes them in one batch when
all are handled, so that ten come again if the thread does not get that far. That is the fastest bare loop there is; it
is compared with a consumer of 80, too, which has as many in hand. The plain loop is one by one on one thread, beside a
`for` loop over `protected_messages`.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from protectwork_sqs import SQSConsumer, protected_messages

from protectwork import get_manager, protect
from protectwork.testing import FakeAgent

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from integrations.sqs.servers import Server, fauxqs, moto

ROUNDS, WARM_UPS = 9, 1
THREADS, MOST_IN_HAND = 8, 80
JOBS, ALONE = 200, 50  # in a turn of many threads, and of one
LEAST = 0.95
BOUND_S = 120.0


class Turn:
    """One turn of one rival: a full queue, and a count of what SQS has deleted of it."""

    def __init__(self, server: Server, jobs: int) -> None:
        self.client = boto3.client(
            "sqs",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(max_pool_connections=2 * THREADS),
        )
        self.url = self.client.create_queue(QueueName=f"jobs-{time.monotonic_ns()}")["QueueUrl"]
        self._fill(jobs + MOST_IN_HAND)
        self._lock, self._left = threading.Lock(), jobs
        self.over = threading.Event()
        for operation in ("DeleteMessage", "DeleteMessageBatch"):
            self.client.meta.events.register(f"after-call.sqs.{operation}", self._deleted)

    def _fill(self, messages: int) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            for start in range(0, messages, 10):
                entries = [{"Id": str(number), "MessageBody": str(start + number)} for number in range(10)]
                pool.submit(self.client.send_message_batch, QueueUrl=self.url, Entries=entries)

    def _deleted(self, parsed: dict[str, Any], **_: object) -> None:
        with self._lock:
            self._left -= len(parsed.get("Successful", [0]))
            if self._left <= 0 and not self.over.is_set():
                self.ended = time.monotonic()
                self.over.set()

    def play(self, rival: Callable[[Turn], None]) -> float:
        """How long the rival takes, in seconds."""
        start = time.monotonic()
        rival(self)
        if not self.over.is_set():
            sys.exit(f"{rival.__name__} has stopped too early")
        self.client.delete_queue(QueueUrl=self.url)
        self.client.close()
        return self.ended - start


def handle(message: object) -> None:
    """Do nothing."""


def one_by_one(turn: Turn) -> None:
    def work() -> None:
        while not turn.over.is_set():
            reply = turn.client.receive_message(QueueUrl=turn.url, MaxNumberOfMessages=1, WaitTimeSeconds=5)
            for message in reply.get("Messages", []):
                handle(message)
                turn.client.delete_message(QueueUrl=turn.url, ReceiptHandle=message["ReceiptHandle"])

    on_threads(work)


def ten_by_ten(turn: Turn) -> None:
    def work() -> None:
        while not turn.over.is_set():
            reply = turn.client.receive_message(QueueUrl=turn.url, MaxNumberOfMessages=10, WaitTimeSeconds=5)
            for message in reply.get("Messages", []):
                handle(message)
                turn.client.delete_message(QueueUrl=turn.url, ReceiptHandle=message["ReceiptHandle"])

    on_threads(work)


def ten_at_once(turn: Turn) -> None:
    def work() -> None:
        while not turn.over.is_set():
            reply = turn.client.receive_message(QueueUrl=turn.url, MaxNumberOfMessages=10, WaitTimeSeconds=5)
            entries = []
            for message in reply.get("Messages", []):
                handle(message)
                entries.append({"Id": str(len(entries)), "ReceiptHandle": message["ReceiptHandle"]})
            if entries:
                turn.client.delete_message_batch(QueueUrl=turn.url, Entries=entries)

    on_threads(work)


def on_threads(work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def consumer(turn: Turn, concurrency: int = THREADS) -> None:
    consumer = SQSConsumer(turn.url, handle, concurrency=concurrency, client=turn.client)
    threading.Thread(target=lambda: (turn.over.wait(BOUND_S), consumer.stop())).start()
    consumer.run()


def consumer_of_80(turn: Turn) -> None:
    consumer(turn, MOST_IN_HAND)


def plain_loop(turn: Turn) -> None:
    while not turn.over.is_set():
        reply = turn.client.receive_message(QueueUrl=turn.url, MaxNumberOfMessages=1, WaitTimeSeconds=5)
        for message in reply.get("Messages", []):
            handle(message)
            turn.client.delete_message(QueueUrl=turn.url, ReceiptHandle=message["ReceiptHandle"])


def protected_loop(turn: Turn) -> None:
    for message in protected_messages(turn.client, turn.url):
        handle(message)
        if turn.over.is_set():
            break


CROWDS = (one_by_one, ten_by_ten, ten_at_once, consumer, consumer_of_80)
RIVALS = dict.fromkeys(CROWDS, JOBS) | {plain_loop: ALONE, protected_loop: ALONE}
PAIRS = (
    (consumer, one_by_one, True),
    (consumer, ten_by_ten, True),
    (consumer_of_80, ten_at_once, True),
    (consumer, ten_at_once, False),
    (protected_loop, plain_loop, False),
)
"""Ours, theirs, and whether it is to be at least `LEAST`."""


def played(server: Server) -> dict[Callable[[Turn], None], list[float]]:
    """The seconds for each message, of each rival in each round."""
    times: dict[Callable[[Turn], None], list[float]] = {rival: [] for rival in RIVALS}
    for number in range(WARM_UPS + ROUNDS):
        for rival in RIVALS if number % 2 else reversed(RIVALS):
            taken_s = Turn(server, RIVALS[rival]).play(rival)
            if number >= WARM_UPS:
                times[rival].append(taken_s / RIVALS[rival])
        print(".", end="", flush=True)
    print()
    return times


def ratio(theirs: list[float], ours: list[float]) -> tuple[float, float, float]:
    """The median of the rounds' ratios, and its interval."""
    _, low, *middle, high, _ = sorted(their / our for their, our in zip(theirs, ours, strict=True))
    return statistics.median([low, *middle, high]), low, high


def main() -> int:
    with tempfile.TemporaryDirectory() as directory, FakeAgent() as agent:
        os.environ.update(agent.environ())
        with (fauxqs if "--fauxqs" in sys.argv else moto)(Path(directory)) as server, get_manager(), protect("all"):
            start = agent.now()
            times = played(server)
            if not agent.was_protected(start, agent.now()):
                sys.exit("the task was not protected in all turns")
    for rival, values in times.items():
        print(f"{rival.__name__:16}{statistics.median(values) * 1e3:8.2f} ms a message")
    worst = LEAST
    for ours, theirs, matters in PAIRS:
        middle, low, high = ratio(times[theirs], times[ours])
        bar = f" (at least {LEAST})" if matters else ""
        print(f"{ours.__name__}: {middle:.2f} times the throughput of {theirs.__name__}, {low:.2f} to {high:.2f}{bar}")
        worst = min(worst, middle) if matters else worst
    return 0 if worst >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
