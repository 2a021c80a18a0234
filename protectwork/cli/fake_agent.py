"""``protectwork fake-agent``: an ECS agent for work on a machine that is not in ECS."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence

import click

from protectwork.cli._agent_log import AgentLog
from protectwork.cli._faults import Armed, arm, fault_option
from protectwork.testing import FakeAgent

__all__ = ["command"]

_LOOK_S = 0.2  # how often it looks for what happens without a request: a signal, protection that runs out, a late write


@click.command("fake-agent")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port on 127.0.0.1; a free one by default.")
@fault_option
def command(*, port: int, faults: Sequence[Armed]) -> None:
    """Play the ECS agent on this machine, until Ctrl-C or SIGTERM.

    Prints the line that tells a shell where it is, alone on the standard output; then each request, and each change of
    the task's protection, on the standard error.

    \b
      protectwork fake-agent --port 8099 &
      export ECS_AGENT_URI=http://127.0.0.1:8099/api/good
      python my_worker.py
    """  # noqa: D301 - what \b means to click
    with _agent_on(port) as agent:
        arm(agent, faults)
        signals: list[int] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda signum, _frame: signals.append(signum))
        click.echo(f"export ECS_AGENT_URI={agent.uri}")
        _report(agent, until=lambda: bool(signals))


def _agent_on(port: int) -> FakeAgent:
    try:
        return FakeAgent(port=port)
    except OSError as error:
        raise click.BadParameter(f"127.0.0.1:{port} cannot be used: {error.strerror}", param_hint="--port") from None


def _report(agent: FakeAgent, *, until: Callable[[], bool]) -> None:
    log = AgentLog(agent)
    over = False
    while not over:
        agent.wait_until(lambda: until() or log.has_news(), timeout_s=_LOOK_S)
        over = until()  # looked at first, so that what came before the end is told
        for line in log.news():
            at = agent.time.date(line.time).isoformat(timespec="milliseconds")
            click.echo(f"{at}  {line.text}", err=True)
