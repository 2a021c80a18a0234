"""A whole consumer on four threads, each message protected and settled; README.md says how to run it."""

import logging
import os
import time
from datetime import timedelta

from protectwork_sqs import Message, MessageReturned, SQSConsumer

from protectwork import Event, get_manager

log = logging.getLogger("worker")


def transcode(message: Message) -> None:
    film = message.body
    log.info("transcoding of %s begins", film)
    for _ in range(5):
        if message.lost.is_set():  # SQS may have given it to another worker
            return
        time.sleep(0.1)  # the work
    log.info("transcoding of %s ends", film)


class Failures:
    """Tells of the messages that come again."""

    def on_event(self, event: Event) -> None:
        """Called for each event, on a thread of its own."""
        if isinstance(event, MessageReturned):
            log.warning("%s comes again in %.0f s", event.message_id, event.visible_in_s)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    get_manager().subscribe(Failures())

    # SIGTERM ends it: no more is received, and what is in work is finished.
    SQSConsumer(os.environ["QUEUE_URL"], transcode, concurrency=4, max_duration=timedelta(hours=6)).run()


if __name__ == "__main__":
    main()
