"""What replies and errors of the ECS API mean, each told by boto3's own classes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from botocore import exceptions

from protectwork import (
    EcsAccessError,
    EcsRequestError,
    EcsThrottledError,
    EcsUnavailableError,
    TaskFailure,
    TaskProtection,
    TaskProtections,
)
from protectwork._types import Answer, Outcome
from protectwork.backends._ecs_answers import classify_fault, classify_reply, read_protections
from protectwork.backends._ecs_faults import Fault, error_of, fault_of, remedy_for

ARN = "arn:aws:ecs:eu-west-1:111122223333:task/work/0123456789abcdef"
SHORT_ARN = "arn:aws:ecs:eu-west-1:111122223333:task/0123456789abcdef"
OTHER = "arn:aws:ecs:eu-west-1:111122223333:task/work/fedcba9876543210"
DATE = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def entry(**changes: object) -> dict[str, object]:
    return {"taskArn": ARN, "protectionEnabled": True, "expirationDate": DATE} | changes


def failure(**changes: object) -> dict[str, object]:
    return {"arn": ARN, "reason": "MISSING"} | changes


def reply(*entries: object, failures: object = ()) -> dict[str, object]:
    return {"protectedTasks": list(entries), "failures": failures if failures is None else list(failures)}


# --- replies


@pytest.mark.parametrize("asked", [True, None])
def test_an_entry_that_says_so_outright_confirms(asked):
    expected = Answer(outcome=Outcome.CONFIRMED, protected=True, expires_at=DATE, task_arn=ARN)
    assert classify_reply(reply(entry()), asked=asked, task=ARN) == expected


def test_an_unprotected_task_has_no_expiry():
    said = reply(entry(protectionEnabled=False))
    expected = Answer(outcome=Outcome.CONFIRMED, protected=False, task_arn=ARN)
    assert classify_reply(said, asked=False, task=ARN) == expected
    assert classify_reply(said, asked=None, task=ARN) == expected


@pytest.mark.parametrize("task", [ARN, SHORT_ARN, "0123456789abcdef"])
@pytest.mark.parametrize("told", [ARN, SHORT_ARN])
def test_the_task_is_known_by_any_of_its_names(task, told):
    assert classify_reply(reply(entry(taskArn=told)), asked=True, task=task).outcome is Outcome.CONFIRMED


@pytest.mark.parametrize("said", [{"protectedTasks": [entry()]}, reply(entry())])
def test_a_list_that_is_left_out_counts_as_empty(said):
    assert classify_reply(said, asked=True, task=ARN).outcome is Outcome.CONFIRMED


MISLEADING = {
    "nothing": {},
    "neither list": {"ResponseMetadata": {"HTTPStatusCode": 200}},
    "a message": {"message": "<html>It works!</html>"},
    "both lists empty": reply(),
    "both lists": reply(entry(), failures=[failure()]),
    "two tasks": reply(entry(), entry(taskArn=OTHER)),
    "the task twice": reply(entry(), entry()),
    "another task": reply(entry(taskArn=OTHER)),
    "two failures": reply(failures=[failure(), failure(arn=OTHER)]),
    "another task's failure": reply(failures=[failure(arn=OTHER)]),
    "the other boolean": reply(entry(protectionEnabled=False)),
    "1": reply(entry(protectionEnabled=1)),
    "a string": reply(entry(protectionEnabled="true")),
    "no boolean": reply({"taskArn": ARN}),
    "no task": reply({"protectionEnabled": True}),
    "an ARN that is none": reply(entry(taskArn="\n")),
    "an entry that is none": reply("entry"),
    "null lists": {"protectedTasks": None, "failures": None},
    "an object for a list": {"protectedTasks": {"0": entry()}},
    "a text for a list": {"protectedTasks": "entry", "failures": []},
    "a failure without a reason": reply(failures=[{"arn": ARN}]),
    "a failure with a number": reply(failures=[failure(reason=5)]),
    "a failure with an empty reason": reply(failures=[failure(reason="")]),
}


@pytest.mark.parametrize("said", MISLEADING.values(), ids=MISLEADING.keys())
def test_a_reply_that_does_not_say_so_outright_is_ambiguous(said):
    answer = classify_reply(said, asked=True, task=ARN)
    assert (answer.outcome, answer.protected, answer.reason) == (Outcome.AMBIGUOUS, None, "unusable answer")
    assert answer.detail


@pytest.mark.parametrize("date", [None, "2030-01-02", 1893553445, datetime(2030, 1, 2)])  # noqa: DTZ001 - that is it
def test_a_date_that_cannot_be_believed_is_left_out_and_a_get_needs_one(date):
    said = reply(entry(expirationDate=date))
    expected = Answer(outcome=Outcome.CONFIRMED, protected=True, task_arn=ARN)
    assert classify_reply(said, asked=True, task=ARN) == expected
    assert classify_reply(said, asked=None, task=ARN).outcome is Outcome.AMBIGUOUS


@pytest.mark.parametrize(
    ("date", "read"),
    [
        (DATE.astimezone(timezone(timedelta(hours=5))), DATE),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))), None),
    ],
)
def test_a_date_is_read_as_utc(date, read):
    answer = classify_reply(reply(entry(expirationDate=date)), asked=True, task=ARN)
    assert (answer.outcome, answer.expires_at) == (Outcome.CONFIRMED, read)
    assert read is None or (answer.expires_at and answer.expires_at.tzinfo is UTC)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("DEPLOYMENT_BLOCKED", Outcome.REFUSED),
        ("MISSING", Outcome.REFUSED),
        ("SOMETHING_NEW", Outcome.REFUSED),
        ("TASK_NOT_VALID", Outcome.NOT_A_SERVICE_TASK),
    ],
)
@pytest.mark.parametrize("asked", [True, False, None])
def test_a_failure_is_taken_for_what_it_says(reason, outcome, asked):
    said = reply(failures=[failure(reason=reason, detail="why")])
    expected = Answer(outcome=outcome, reason=reason, detail="why", task_arn=ARN)
    assert classify_reply(said, asked=asked, task=ARN) == expected


def test_a_failure_that_names_no_task_is_this_task_s():
    assert classify_reply(reply(failures=[{"reason": "MISSING"}]), asked=True, task=ARN).outcome is Outcome.REFUSED


@pytest.mark.parametrize("text", ["line\r\n2030-01-01 CRITICAL forged", "\x1b[2J", "x" * 10_000, "nul\x00"])
def test_remote_text_is_escaped_and_cut(text):
    answer = classify_reply(reply(failures=[failure(reason=text, detail=text)]), asked=True, task=ARN)
    for said in (answer.reason, answer.detail):
        assert said
        assert said.isprintable()
        assert len(said) <= 200


def test_a_page_is_read_as_frozen_values():
    said = reply(entry(), entry(taskArn=OTHER, protectionEnabled=False), failures=[failure(arn=SHORT_ARN)])
    assert read_protections(said) == TaskProtections(
        protected_tasks=(
            TaskProtection(task_arn=ARN, protected=True, expires_at=DATE),
            TaskProtection(task_arn=OTHER, protected=False),
        ),
        failures=(TaskFailure(task_arn=SHORT_ARN, reason="MISSING"),),
    )


# --- errors


def answered(code: str, status: int = 400, message: str = "why") -> exceptions.ClientError:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return exceptions.ClientError(response, "UpdateTaskProtection")


def said(error: Exception, *, sent: bool = True) -> Answer:
    return classify_fault(fault_of(error), sent=sent)


ANSWERED = [
    # the seven that are modelled
    ("AccessDeniedException", 400, Outcome.MISCONFIGURED, EcsAccessError),
    ("ClientException", 400, Outcome.MISCONFIGURED, EcsRequestError),
    ("ClusterNotFoundException", 400, Outcome.MISCONFIGURED, EcsRequestError),
    ("InvalidParameterException", 400, Outcome.MISCONFIGURED, EcsRequestError),
    ("ResourceNotFoundException", 400, Outcome.MISCONFIGURED, EcsRequestError),
    ("ServerException", 500, Outcome.AMBIGUOUS, EcsUnavailableError),
    ("UnsupportedFeatureException", 400, Outcome.MISCONFIGURED, EcsRequestError),
    # those that are not
    ("ThrottlingException", 400, Outcome.THROTTLED, EcsThrottledError),
    ("TooManyRequestsException", 400, Outcome.THROTTLED, EcsThrottledError),
    ("429", 429, Outcome.THROTTLED, EcsThrottledError),
    ("ExpiredTokenException", 400, Outcome.MISCONFIGURED, EcsAccessError),
    ("UnrecognizedClientException", 400, Outcome.MISCONFIGURED, EcsAccessError),
    ("InvalidSignatureException", 403, Outcome.MISCONFIGURED, EcsAccessError),
    ("SerializationException", 400, Outcome.MISCONFIGURED, EcsRequestError),
    ("SomethingNewException", 400, Outcome.MISCONFIGURED, EcsRequestError),
    ("ServiceNotFoundException", 400, Outcome.MISCONFIGURED, EcsRequestError),
    # a fault of ECS wherever it stands
    ("ServerException", 400, Outcome.AMBIGUOUS, EcsUnavailableError),
    ("ThrottlingException", 503, Outcome.AMBIGUOUS, EcsUnavailableError),
    ("ServiceUnavailableException", 503, Outcome.AMBIGUOUS, EcsUnavailableError),
    ("AccessDeniedException", 500, Outcome.AMBIGUOUS, EcsUnavailableError),
    ("504", 504, Outcome.AMBIGUOUS, EcsUnavailableError),
    # without a code boto3 puts the status there: whatever stands in between may have sent it
    ("400", 400, Outcome.AMBIGUOUS, EcsUnavailableError),
    ("407", 407, Outcome.AMBIGUOUS, EcsUnavailableError),
    ("408", 408, Outcome.AMBIGUOUS, EcsUnavailableError),
    ("401", 401, Outcome.MISCONFIGURED, EcsAccessError),
    ("403", 403, Outcome.MISCONFIGURED, EcsAccessError),
    ("404", 404, Outcome.MISCONFIGURED, EcsRequestError),
    ("405", 405, Outcome.MISCONFIGURED, EcsRequestError),
    ("301", 301, Outcome.MISCONFIGURED, EcsRequestError),
    ("307", 307, Outcome.MISCONFIGURED, EcsRequestError),
]


@pytest.mark.parametrize(("code", "status", "outcome", "kind"), ANSWERED)
def test_an_error_of_ecs_is_taken_for_what_it_is(code, status, outcome, kind):
    answer = said(answered(code, status))
    reason = f"HTTP {status}" if code.isdigit() else code
    assert answer == Answer(outcome=outcome, reason=reason, detail="why")
    error = error_of(fault_of(answered(code, status)), operation="GetTaskProtection")
    assert type(error) is kind
    assert (error.operation, error.reason, error.detail) == ("GetTaskProtection", reason, "why")
    assert error.remedy


RAISED = [
    (exceptions.NoCredentialsError(), Outcome.MISCONFIGURED, EcsAccessError),
    (exceptions.PartialCredentialsError(provider="env", cred_var="x"), Outcome.MISCONFIGURED, EcsAccessError),
    (exceptions.TokenRetrievalError(provider="sso", error_msg="expired"), Outcome.MISCONFIGURED, EcsAccessError),
    (exceptions.UnauthorizedSSOTokenError(), Outcome.MISCONFIGURED, EcsAccessError),
    (exceptions.ProfileNotFound(profile="x"), Outcome.MISCONFIGURED, EcsRequestError),
    (exceptions.NoRegionError(), Outcome.MISCONFIGURED, EcsRequestError),
    (exceptions.InvalidRegionError(region_name="!"), Outcome.MISCONFIGURED, EcsRequestError),
    (exceptions.ParamValidationError(report="x"), Outcome.MISCONFIGURED, EcsRequestError),
    (
        exceptions.CredentialRetrievalError(provider="container", error_msg="x"),
        Outcome.UNAVAILABLE,
        EcsUnavailableError,
    ),
    (exceptions.EndpointConnectionError(endpoint_url="x"), Outcome.UNAVAILABLE, EcsUnavailableError),
    (exceptions.ConnectTimeoutError(endpoint_url="x"), Outcome.UNAVAILABLE, EcsUnavailableError),
    (exceptions.ReadTimeoutError(endpoint_url="x"), Outcome.UNAVAILABLE, EcsUnavailableError),
    (exceptions.SSLError(endpoint_url="x", error="x"), Outcome.UNAVAILABLE, EcsUnavailableError),
    (AttributeError("a list has no attribute get"), Outcome.UNAVAILABLE, EcsUnavailableError),
    (RuntimeError("refreshed, and still expired"), Outcome.UNAVAILABLE, EcsUnavailableError),
]


@pytest.mark.parametrize(("error", "outcome", "kind"), RAISED)
def test_what_boto3_raises_by_itself_is_taken_for_what_it_is(error, outcome, kind):
    answer = said(error, sent=False)
    assert answer.outcome is outcome
    assert answer.reason in {type(error).__name__, "no usable answer"}
    assert str(error)[:20] in (answer.detail or "")
    assert type(error_of(fault_of(error), operation="ListTasks")) is kind


def test_what_was_sent_and_not_answered_is_ambiguous():
    for error, outcome, _ in RAISED:
        if outcome is Outcome.UNAVAILABLE:
            assert said(error, sent=True).outcome is Outcome.AMBIGUOUS


def test_missing_credentials_may_pass_for_the_agent_hands_them_out():
    assert said(exceptions.NoCredentialsError(), sent=False).may_pass
    assert not said(answered("ExpiredTokenException")).may_pass


@pytest.mark.parametrize(
    "response", [{}, {"Error": None}, {"Error": {}, "ResponseMetadata": 5}, {"Error": {"Code": 5}}]
)
def test_an_error_without_its_parts_is_no_answer(response):
    error = answered("x")
    error.response = response
    assert said(error).outcome is Outcome.AMBIGUOUS


def test_remote_text_of_an_error_is_escaped_and_cut():
    answer = said(answered("x\n" * 200, message="y\x1b" * 200))
    for text in (answer.reason, answer.detail):
        assert text
        assert text.isprintable()
        assert len(text) <= 200


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("ExpiredTokenException", "aws sso login"),
        ("NoCredentialsError", "AWS_PROFILE"),
        ("NoRegionError", "AWS_REGION or AWS_DEFAULT_REGION"),
        ("ClusterNotFoundException", "account and Region"),
        ("ProfileNotFound", "~/.aws/config"),
        ("UnrecognizedClientException", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_the_remedy_names_what_to_do(name, names):
    assert names in (remedy_for(name) or "")


def test_a_denied_call_s_remedy_names_the_permission():
    denied: Fault = fault_of(answered("AccessDeniedException"))
    assert "ecs:ListTasks" in error_of(denied, operation="ListTasks").remedy
    assert remedy_for("AccessDeniedException") is None
