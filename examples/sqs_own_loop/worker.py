"""A loop over a queue as people write it, each message protected and settled; README.md says how to run it."""

import logging
import os
import time

import boto3
from protectwork_sqs import protected_messages

log = logging.getLogger("worker")


def transcode(film: str) -> None:
    log.info("transcoding of %s begins", film)
    time.sleep(0.5)  # the work
    log.info("transcoding of %s ends", film)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")

    # A message is deleted when the loop goes on. SIGTERM ends the loop, after the message that is in work.
    for message in protected_messages(boto3.client("sqs"), os.environ["QUEUE_URL"]):
        transcode(message.body)


if __name__ == "__main__":
    main()
