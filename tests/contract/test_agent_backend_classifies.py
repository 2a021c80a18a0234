"""The agent backend makes of every recorded answer what the contract says it means."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from protectwork._types import Answer, Outcome
from protectwork.backends.agent import AgentBackend, classify
from protectwork.testing import FakeAgent

from .agent_cases import CASES, STATE, Asked, Case

ANSWERED = [case for case in CASES if case.said.status is not None]


def _asks_in_its_way(asked: Asked) -> bool:
    """Whether the backend itself makes such a request; it never does to an odd path, or with a bad body."""
    if not re.fullmatch(r"/api/\w+" + STATE, asked.path):
        return False
    if asked.method == "GET":
        return True
    return bool(re.fullmatch(r'\{"ProtectionEnabled":(false|true,"ExpiresInMinutes":(60|2880))\}', asked.body or ""))


ASKED_IN_ITS_WAY = [case for case in CASES if _asks_in_its_way(case.asked)]


@pytest.fixture(scope="module")
def agent() -> Iterator[FakeAgent]:
    with FakeAgent(delay_scale=0) as agent:
        yield agent


@pytest.mark.parametrize("case", ANSWERED, ids=str)
def test_agent_backend_classifies_the_recorded_answer(case: Case):
    assert case.said.status

    _assert_means(classify(case.said.status, case.said.example(), asked=case.asked.enabled), case)


@pytest.mark.parametrize("case", ASKED_IN_ITS_WAY, ids=str)
def test_agent_backend_classifies_what_it_gets_over_the_wire(agent: FakeAgent, case: Case):
    agent.heal()
    agent.task.disable()
    if case.fault:
        agent.fail(case.fault)
    made = len(agent.calls)

    answer = _call(AgentBackend(f"http://127.0.0.1:{agent.port}{case.asked.path.removesuffix(STATE)}"), case.asked)

    _assert_means(answer, case)
    assert [call.method for call in agent.calls[made:]] == [case.asked.method]


def test_every_case_is_classified_at_least_once():
    assert {*map(str, ANSWERED), *map(str, ASKED_IN_ITS_WAY)} == set(map(str, CASES))


def _call(backend: AgentBackend, asked: Asked) -> Answer:
    if asked.method == "GET":
        return backend.get()
    put = json.loads(asked.body or "")
    return backend.enable(put["ExpiresInMinutes"]) if put["ProtectionEnabled"] else backend.disable()


def _assert_means(answer: Answer, case: Case) -> None:
    assert answer.outcome is case.means.outcome
    assert answer.may_pass is case.means.may_pass
    assert case.means.reason in {None, answer.reason}
    if answer.outcome is Outcome.CONFIRMED:
        assert answer.protected is ('"ProtectionEnabled":true' in case.said.body)
        assert (answer.expires_at is not None) is answer.protected
