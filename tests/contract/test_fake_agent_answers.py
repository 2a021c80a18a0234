"""FakeAgent gives the recorded answer to every recorded request, whichever server stands in front of it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from protectwork.testing import FakeAgent
from protectwork.testing._pytest_server import PytestServer
from protectwork.testing._server import StdlibServer

from .agent_cases import CASES, NOTHING, Asked, Case, Said


@pytest.fixture(scope="module", params=[StdlibServer, PytestServer])
def server(request: pytest.FixtureRequest) -> Iterator[FakeAgent]:
    with FakeAgent(delay_scale=0, server=request.param) as agent:
        yield agent


@pytest.fixture
def agent(server: FakeAgent) -> FakeAgent:
    """Nothing goes wrong, and nothing is protected: as when the cases were recorded."""
    server.heal()
    server.task.disable()
    return server


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fake_agent_gives_the_recorded_answer(agent: FakeAgent, case: Case):
    if case.fault:
        agent.fail(case.fault)

    said = _ask(agent, case.asked)

    other_task = agent.endpoints["nocreds"].task
    assert other_task
    assert (said.status, said.content_type) == (case.said.status, case.said.content_type)
    assert case.said.pattern(arn=agent.task.arn, other_arn=other_task.arn).fullmatch(said.body), said.body


def _ask(agent: FakeAgent, asked: Asked) -> Said:
    """Send a request exactly as it is; a client that is too clever would mend the odd ones."""
    connection = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=10)
    try:
        headers = {} if asked.content_type is None else {"Content-Type": asked.content_type}
        connection.request(asked.method, asked.path, body=asked.body, headers=headers)
        response = connection.getresponse()
        return Said(response.status, response.headers["Content-Type"], response.read().decode())
    except http.client.RemoteDisconnected:
        return NOTHING
    finally:
        connection.close()
