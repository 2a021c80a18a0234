"""An asyncio worker: the task is protected while messages are being handled; SIGTERM lets it finish those.

Run it anywhere: ``python examples/asyncio_worker.py``. Outside ECS it does the same work, unprotected.
"""

import asyncio
import logging
import signal

from protectwork import protect

log = logging.getLogger("worker")


async def handle(message: str) -> None:
    async with protect(label=message, max_duration=60):  # waits for ECS without blocking the loop
        log.info("%s begins", message)
        await asyncio.sleep(0.4)  # the work
        log.info("%s ends", message)


async def work(messages: asyncio.Queue[str], stop: asyncio.Event) -> None:
    while not stop.is_set() and not messages.empty():
        await handle(messages.get_nowait())


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")

    # A task that is to go is told by SIGTERM: take no more, finish what is in flight, and leave.
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    messages: asyncio.Queue[str] = asyncio.Queue()
    for number in range(1, 7):
        messages.put_nowait(f"message {number}")
    async with asyncio.TaskGroup() as workers:
        for _ in range(3):
            workers.create_task(work(messages, stop))


if __name__ == "__main__":
    asyncio.run(main())
