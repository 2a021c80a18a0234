"""An interpreter that has loaded what workers need, and forks one for each line that it is told: see `nursery.py`.

It never starts a thread, opens no connection and has no manager, so that a worker begins as a new interpreter would,
and ends as one: `atexit` and all.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import select
import signal
from contextlib import suppress
from typing import Any

from integrations.sqs import program


def tell(**what: object) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def warm_up() -> None:
    """Have both libraries load their model of SQS, and ours what calls ECS, which it loads when it is needed."""
    importlib.import_module("protectwork.backends.agent")
    importlib.import_module("httpx")
    program.client("http://127.0.0.1:1").close()

    async def likewise() -> None:
        async with program.async_client("http://127.0.0.1:1"):
            pass

    asyncio.run(likewise())
    gc.freeze()  # else each worker goes through all of it once more when it ends


def serve() -> dict[str, Any] | None:
    """Fork workers and tell how they end, until the end of the input; in a worker, what it has to do."""
    children: dict[int, int] = {}  # by the descriptor that tells of their end
    poll = select.poll()
    poll.register(0, select.POLLIN)
    rest = b""
    while True:
        for descriptor, _ in poll.poll():
            if descriptor:
                poll.unregister(descriptor)
                pid = children.pop(descriptor)
                os.close(descriptor)
                tell(pid=pid, code=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                continue
            if not (read := os.read(0, 65536)):
                end(children)
                return None
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                order = json.loads(line)
                if not (pid := os.fork()):
                    begin(order, children)
                    return {"plan": order["plan"], "hears": order["hears"]}
                tell(token=order["token"], pid=pid)
                children[watching := os.pidfd_open(pid)] = pid
                poll.register(watching, select.POLLIN)


def begin(order: dict[str, Any], others: dict[int, int]) -> None:
    """Become a worker of one's own."""
    for descriptor in others:
        os.close(descriptor)
    os.setsid()
    os.chdir(order["directory"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.update(order["environ"])


def end(children: dict[int, int]) -> None:
    for pid in children.values():
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    warm_up()
    tell(ready=True)
    if given := serve():
        program.main(**given)
