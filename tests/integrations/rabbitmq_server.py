"""A real RabbitMQ for the external tests: on free ports of loopback, in a directory of its own, gone at the end.

    with RabbitServer(directory) as server:
        worker = Worker(..., conf={"broker_url": server.url, "task_default_queue": "one of its own"})
        server.drop_connections()

It is the Debian package `rabbitmq-server`, whose programs are used, and whose system service is not.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from kombu import Connection

_PROGRAMS = Path("/usr/lib/rabbitmq/bin")  # those in /usr/sbin change to a user and a directory of the system's
_BOUND_S = 90.0
_OURS = "PROTECTWORK_TEST_BROKER"


class RabbitServer:
    """One broker.

    Args:
        directory: An empty one, or one that it may make.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._output = directory / "output"
        self._port, self._between_nodes, self._names = _free_ports(3)
        self._environ = os.environ | {
            _OURS: str(directory),
            "HOME": str(directory),  # where Erlang keeps its cookie
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._names),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(directory / "none"),
            "RABBITMQ_DIST_PORT": str(self._between_nodes),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(directory / "features"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_NODENAME": f"protectwork-{self._names}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.close)
            with self._output.open("wb") as output:
                self._process = subprocess.Popen(
                    [_PROGRAMS / "rabbitmq-server"],
                    env=self._environ,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            self._await_startup()
            stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """SIGKILL everything that it has started: the broker, its helpers and Erlang's own server of names."""
        deadline = time.monotonic() + _BOUND_S
        while pids := list(self._pids()):
            assert time.monotonic() < deadline, f"they live on: {pids}"
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        self._process.wait(_BOUND_S)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"amqp://guest:guest@127.0.0.1:{self._port}//"

    def drop_connections(self) -> None:
        """Close every connection, as a broken network would."""
        self._control("close_all_connections", "a test")

    def _await_startup(self) -> None:
        deadline = time.monotonic() + _BOUND_S
        with Connection(self.url) as connection:
            while True:
                up_and_in_time = self._process.poll() is None and time.monotonic() < deadline
                assert up_and_in_time, self._output.read_text()
                with suppress(OSError):
                    connection.connect()
                    return
                time.sleep(0.1)

    def _control(self, *arguments: str) -> None:
        command = [_PROGRAMS / "rabbitmqctl", "--quiet", *arguments]
        done = subprocess.run(command, env=self._environ, text=True, capture_output=True, timeout=_BOUND_S, check=False)
        assert done.returncode == 0, f"{arguments[0]}: {done.stdout}{done.stderr}"

    def _pids(self) -> Iterator[int]:
        """Every process with its directory in the environment; whoever has made himself a daemon as well."""
        ours = f"{_OURS}={self._directory}\0".encode()
        for directory in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if ours in (directory / "environ").read_bytes():
                    yield int(directory.name)


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [int(listener.getsockname()[1]) for listener in listeners]
