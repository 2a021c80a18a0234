"""What docs/sqs.md and the README say of SQS: the blocks run on a real server, and the lists are complete."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from integrations.sqs.servers import moto
from nursery import SQS
from programs import Done, run
from protectwork_sqs import (
    AsyncSQSConsumer,
    ConsumingOptions,
    Message,
    SQSConsumer,
    protected_batches,
    protected_messages,
)
from protectwork_sqs._options import Options

from protectwork.testing import FakeAgent

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/sqs.md").read_text()
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [
    *(block for block in BLOCK.findall((ROOT / "README.md").read_text()) if "_sqs" in block),
    *BLOCK.findall(PAGE),
]
HANDLES = [bool(re.search(r"\b(handle\w*|transcode)\(", block)) for block in BLOCKS]
AWS = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}

PROGRAM = f"""
import json, os, signal, boto3
from protectwork._clock import steady_now

client = boto3.client("sqs")
queue_url = client.create_queue(QueueName="jobs")["QueueUrl"]
bodies, spans = [], []

def send():
    client.send_message(QueueUrl=queue_url, MessageBody=f"message {{len(bodies)}}")

def handle(body):
    began = steady_now()
    bodies.append(body)
    os.kill(os.getpid(), signal.SIGTERM)
    send()  # what waits for a message has one to give back, and the next block has one to handle
    spans.append((began, steady_now()))

async def handle_async(body):
    handle(body)

def handle_in_steps(body):
    yield handle(body)

transcode = handle
send()
for block, handles in {[*zip(BLOCKS, HANDLES, strict=True)]!r}:
    before = len(bodies)
    exec(block)
    assert len(bodies) == before + handles, block

counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
left = client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=counts)["Attributes"]
print(json.dumps([bodies, spans, [left[name] for name in counts]]))
"""


@pytest.fixture(scope="module")
def agent():
    with FakeAgent() as agent:
        yield agent


@pytest.fixture(scope="module")
def done(agent: FakeAgent, tmp_path_factory: pytest.TempPathFactory) -> Done:
    with moto(tmp_path_factory.mktemp("sqs")) as server:
        environ = {"AWS_ENDPOINT_URL_SQS": server.url, "PROTECTWORK_LINGER": "600", **agent.environ(), **AWS}
        return run(PROGRAM, loaded=SQS, **environ)


def test_every_loop_and_consumer_of_the_pages_handles_its_message_and_ends_by_sigterm(done: Done) -> None:
    assert done.code == 0, done.err
    bodies, _, left = json.loads(done.out)
    assert bodies == [f"message {number}" for number in range(len(bodies))]
    assert len(bodies) == sum(HANDLES) > 5
    assert left == ["1", "0"]


def test_the_work_of_every_block_is_protected(done: Done, agent: FakeAgent) -> None:
    assert all(agent.was_protected(begins, ends) for begins, ends in json.loads(done.out)[1])
    assert not agent.protected


def test_the_page_knows_every_option_and_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE.partition("## Options")[2], re.MULTILINE))
    assert set(rows) == {"batch_size", *ConsumingOptions.__annotations__}
    defaults = {name: each.default for name, each in inspect.signature(Options.of).parameters.items()}
    for name in ("wait_time", "visibility_timeout", "give_up_after"):
        assert rows[name] == f"{defaults[name]} s"
    assert rows["on_failure"] == f"`{defaults['on_failure']}`"
    assert rows["strict"] == ("on" if defaults["strict"] else "off")
    sizes = [
        inspect.signature(each).parameters["batch_size"].default for each in (protected_messages, protected_batches)
    ]
    assert rows["batch_size"] == "{}; {} in batches".format(*sizes)


@pytest.mark.parametrize("consumer", [SQSConsumer, AsyncSQSConsumer])
def test_the_page_knows_the_other_arguments_of_the_consumers(consumer: Any) -> None:
    parameters = inspect.signature(consumer).parameters
    assert set(parameters) == {"queue_url", "handler", "concurrency", "client", "options"}
    assert f"have `concurrency` ({parameters['concurrency'].default}; 1 to 1000) and `client` besides" in PAGE


def test_the_page_knows_all_that_a_message_has() -> None:
    (sentence,) = re.findall(r"^A message has (.+?)\. `message\.lost`", PAGE, re.MULTILINE | re.DOTALL)
    said = {*re.findall(r"`(\w+)`", sentence), *re.findall(r"`message\.(\w+)\(\)`", PAGE), "lost"}
    ours = {"is_done", "has_failed", *dir(Mapping)}  # for those who settle it, and what every mapping has
    assert said == {name for name in dir(Message) if not name.startswith("_")} - ours
