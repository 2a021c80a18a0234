"""The same loop in asyncio; README.md says how to run it."""

import asyncio
import logging
import os

from aiobotocore.session import get_session
from protectwork_sqs import protected_messages

log = logging.getLogger("worker")


async def transcode(film: str) -> None:
    log.info("transcoding of %s begins", film)
    await asyncio.sleep(0.5)  # the work
    log.info("transcoding of %s ends", film)


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    async with (
        get_session().create_client("sqs") as client,
        # Whatever ends the loop, this gives back what is in hand while there is a client to do so.
        protected_messages(client, os.environ["QUEUE_URL"]) as messages,
    ):
        async for message in messages:
            await transcode(message.body)


if __name__ == "__main__":
    asyncio.run(main())
