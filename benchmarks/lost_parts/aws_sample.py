"""What AWS's sample does: queue-consumer of https://github.com/aws-containers/ecs-task-protection-examples, told anew.

`index.js` there: protection is acquired before the queue is polled for one message, for up to 20 s; the message is
handled, and protection released; then all over again. After SIGTERM, or when a request has failed, it quits as soon as
it has released. `lib/protection-manager.js`: protection lasts for 1 min; every 10 s, and whenever something is wanted,
it looks at what there is to do: a lease is refreshed at 80 % of it, and not released before 10 % of it are over. A
request was good if its status was; the client, got, makes it twice more, 1 s and 2 s later, where there was no answer
or one of a few statuses.

All of these times are policy here and pass as fast as the lab's, those between two tries included. As there, all runs
on one event loop, and a look at what there is to do does not wait for one that is under way.
"""

import asyncio
import logging
import os
import signal
import sys
import urllib.error
from collections import defaultdict
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tests"))

from lab.job_queue import JobQueue, seconds_of
from lost_parts.put import put

from protectwork.lab import journal

SCALE = float(os.environ["PROTECTWORK_LAB_TIME_SCALE"])
LEASE_MIN = 1
LEASE_S = LEASE_MIN * 60 / SCALE
MAINTAIN, REFRESH = 0.1, 0.8
ADJUST_EVERY_S = 10 / SCALE
POLL_S = 20 / SCALE
RETRY_AFTER_S = (1 / SCALE, 2 / SCALE)
RETRIED = frozenset({408, 413, 429, 500, 502, 503, 504, 521, 522, 524})
LOOK_S = 0.05
logger = logging.getLogger("aws_sample")


class Manager:
    """Brings the state that the agent last took nearer to the wanted one, and tells of it."""

    def __init__(self) -> None:
        self.rejected = False
        self._wanted = self._is_now = False
        self._changed_at = now()
        self._waiting: defaultdict[bool, list[asyncio.Future[None]]] = defaultdict(list)
        self._tasks = {asyncio.create_task(self._tick())}

    async def reach(self, *, protected: bool) -> None:
        """Want it, look at once what to do, and wait until it is told of."""
        self._wanted = protected
        told = asyncio.get_running_loop().create_future()
        self._waiting[protected].append(told)
        self._look()
        await told

    def _look(self) -> None:
        task = asyncio.create_task(self._adjust())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(ADJUST_EVERY_S)
            self._look()

    async def _adjust(self) -> None:
        if not self._is_now and not self._wanted:
            return
        if self._is_now and now() - self._changed_at < LEASE_S * (REFRESH if self._wanted else MAINTAIN):
            self._tell()
            return
        try:
            await ask(protected=self._wanted)
        except OSError as error:
            logger.warning("rejected: %s", error)
            self.rejected = True
            return
        self._changed_at, self._is_now = now(), self._wanted
        self._tell()

    def _tell(self) -> None:
        for told in self._waiting.pop(self._is_now, []):
            told.set_result(None)


async def ask(*, protected: bool) -> None:
    """Make the request, and again where `got` would.

    Raises:
        OSError: It failed for good.
    """
    body = {"ProtectionEnabled": True, "ExpiresInMinutes": LEASE_MIN} if protected else {"ProtectionEnabled": False}
    for pause_s in RETRY_AFTER_S:
        try:
            return await asyncio.to_thread(put, **body)
        except urllib.error.HTTPError as error:
            if error.code not in RETRIED:
                raise
        except OSError:
            pass  # no answer
        await asyncio.sleep(pause_s)
    return await asyncio.to_thread(put, **body)


async def poll(queue: JobQueue) -> str | None:
    """One message, if one comes within the time of a long poll."""
    ends = now() + POLL_S
    while (job := queue.take()) is None and now() < ends:  # noqa: ASYNC110 - other processes fill the queue
        await asyncio.sleep(LOOK_S)
    return job


def now() -> float:
    """The time of the loop."""
    return asyncio.get_running_loop().time()


async def main() -> None:
    """Poll until told to quit."""
    queue, manager, terminated = JobQueue(Path(sys.argv[1])), Manager(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    while not terminated.is_set() and not manager.rejected:
        await manager.reach(protected=True)
        if job := await poll(queue):
            with journal.job(job):
                await asyncio.sleep(seconds_of(job))
        await manager.reach(protected=False)
    os._exit(0)  # as there: whatever a look is just asking for


if __name__ == "__main__":
    asyncio.run(main())
