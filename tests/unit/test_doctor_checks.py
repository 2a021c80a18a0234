"""What doctor makes of facts that no fake can bring about, or only slowly: facts in, findings out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from protectwork import Answer, MetadataError, Outcome, Settings
from protectwork._ledger import View
from protectwork._settings import origins
from protectwork.cli._checks import findings_of
from protectwork.cli._facts import Facts
from protectwork.cli._findings import Finding, Level, statement, worst
from protectwork.cli._init_process import init_of
from protectwork.cli._trial import Trial

NOW = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
UNPROTECTED = Answer(outcome=Outcome.CONFIRMED, protected=False)
AGENT = {"ECS_AGENT_URI": "http://169.254.170.2/api/x", "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}


def found(**facts: Any) -> dict[str, Finding]:
    given = {"environ": AGENT, "settings": Settings(), "origins": origins({}), "backend": "agent"} | facts
    return {finding.check: finding for finding in findings_of(Facts(**given), wall_s=NOW)}


def test_an_agent_that_is_slow_is_worth_a_warning() -> None:
    get = found(answer=UNPROTECTED, answer_s=2.5)["get"]
    assert (get.level, get.text) == (Level.WARNING, "the agent answered in 2500 ms: the task is not protected")
    assert "given up after 6 s" in (get.remedy or "")


def test_a_lease_that_was_not_given_back_is_worth_a_warning() -> None:
    trial = Trial(answer=Answer(outcome=Outcome.CONFIRMED, protected=True), released=False)
    put = found(answer=UNPROTECTED, trial=trial, tried=True)["put"]
    assert put.level is Level.WARNING


def test_work_is_told_of_only_where_it_is_known() -> None:
    assert "work" not in found(answer=UNPROTECTED, view=View())
    told = ('{"pid": 7, "in_flight": 2, "holds": []}', '{"pid": 8, "in_flight": 1, "holds": []}')
    work = found(answer=UNPROTECTED, view=View(directory="/state", available=True, told=told))["work"]
    assert work.text == "3 in flight, and the task is not protected"


@pytest.mark.parametrize(
    ("environ", "level"),
    [({}, Level.WARNING), ({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x"}, Level.OK)],
)
def test_a_task_role_shows_in_the_environment(environ: dict[str, str], level: Level) -> None:
    assert found(environ=AGENT | environ, backend="ecs")["role"].level is level


def test_a_service_shows_in_the_answer_where_the_metadata_does_not_tell_it() -> None:
    assert found(answer=UNPROTECTED)["service"].level is Level.OK
    assert "service" not in found(answer=Answer(outcome=Outcome.UNAVAILABLE))


def test_retiring_without_metadata_is_off() -> None:
    on = Settings(retire_when_superseded=True)
    assert "ECS_CONTAINER_METADATA_URI_V4 is not set" in found(settings=on)["retire"].text
    assert "retire" not in found(settings=on, metadata=MetadataError(reason="HTTP 500"))


def test_notes_are_no_warnings() -> None:
    levels = [Level.OK, Level.NOTE, Level.WARNING, Level.BROKEN]
    findings = [Finding(check="x", level=level, text="") for level in levels]
    assert [worst(findings[:number]) for number in range(5)] == [
        Level.OK,
        Level.OK,
        Level.OK,
        Level.WARNING,
        Level.BROKEN,
    ]


def test_the_statement_names_the_tasks_of_the_cluster_where_the_arn_does() -> None:
    arn = "arn:aws-cn:ecs:cn-north-1:111122223333:task"
    assert statement("ecs:A", task_arn=f"{arn}/jobs/0123") == (
        f'{{"Effect": "Allow", "Action": ["ecs:A"], "Resource": "{arn}/jobs/*"}}'
    )
    for unknown in (f"{arn}/0123", None, "no ARN"):
        assert statement("ecs:A", task_arn=unknown).endswith('"Resource": "*"}')


@pytest.mark.parametrize(
    ("status", "catches"), [("SigCgt:\t0000000000004000", True), ("SigCgt:\tffffffffffffbfff", False)]
)
def test_whether_a_process_catches_sigterm_is_one_bit(status: str, catches: bool) -> None:
    init = init_of(name="sh\n", status=f"Name:\tsh\nSigIgn:\t0000000000004000\n{status}\nCapInh:\t0\n")
    assert init is not None
    assert (init.name, init.is_shell, init.catches_sigterm) == ("sh", True, catches)


def test_a_status_that_cannot_be_read_says_nothing() -> None:
    assert init_of(name="sh", status="SigCgt:\tsoon\n") is None
    assert "init" not in found(init=None)
