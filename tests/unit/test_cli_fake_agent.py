"""protectwork fake-agent: what it prints, and how it ends."""

import re
import signal
import socket
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from commands import Command

from protectwork import Outcome
from protectwork.backends.agent import AgentBackend
from protectwork.cli import cli

FAKE_AGENT = ("-m", "protectwork", "fake-agent")


@contextmanager
def running(*options):
    """A fake agent, and the backend that its first line leads to."""
    with Command(*FAKE_AGENT, *options) as process:
        export = re.fullmatch(r"export ECS_AGENT_URI=(http://127\.0\.0\.1:\d+/api/\w+)\n", process.stdout.readline())
        assert export
        yield process, AgentBackend(export[1])


def lines_of(process):
    """What it has said on the standard error, without the times."""
    process.terminate()
    out, err = process.communicate(timeout=10)
    assert out == "", "the standard output is for the shell alone"
    return [line.split("  ", 1)[1] for line in err.splitlines()]


def test_it_tells_each_request_and_each_change():
    with running() as (process, backend):
        assert backend.get().protected is False
        assert backend.enable(30).outcome is Outcome.CONFIRMED
        assert backend.disable().outcome is Outcome.CONFIRMED
        assert lines_of(process) == [
            "get: HTTP 200",
            "enable 30 min: HTTP 200",
            "the task is protected for 30 min",
            "disable: HTTP 200",
            "the task is no longer protected",
        ]


def test_faults_go_wrong_so_often_and_in_that_order():
    with running("--fault", "throttle*2", "--fault", "refuse:MISSING") as (_, backend):
        outcomes = [backend.enable(1).outcome for _ in range(5)]
    assert outcomes == [Outcome.THROTTLED, Outcome.THROTTLED, Outcome.REFUSED, Outcome.REFUSED, Outcome.REFUSED]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_it_ends_with_0_and_no_word(number):
    with running() as (process, _):
        process.send_signal(number)
        assert process.communicate(timeout=10) == ("", "")
        assert process.returncode == 0


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(cli, ["fake-agent", "--port", str(port)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"127.0.0.1:{port} cannot be used: Address already in use" in result.stderr


def test_it_listens_where_it_is_told_to():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with running("--port", str(port)) as (_, backend):
        assert backend.get().outcome is Outcome.CONFIRMED
        assert AgentBackend(f"http://127.0.0.1:{port}/api/good").get().outcome is Outcome.CONFIRMED


@pytest.mark.parametrize("fault", ["gremlins", "throttle*0", "throttle*x", "error:418", "*3", ""])
def test_an_unknown_fault_is_wrong_usage(fault):
    result = CliRunner().invoke(cli, ["fake-agent", "--fault", fault])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--fault" in result.stderr
