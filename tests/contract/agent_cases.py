"""Every recorded case of the contract as a table: what is asked, what the agent answers, what that means to a client.

Recorded from the handlers of the ECS agent 1.105.1 with a scripted ECS behind them. In the answers, what differs from
one run to the next stands in angle brackets.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace

from protectwork._types import Outcome
from protectwork.testing import Fault
from protectwork.testing.faults import Delay, Digits, Ecs, EcsMode

JSON = "application/json"
STATE = "/task-protection/v1/state"
GOOD = "/api/good" + STATE


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request; `body` is sent as JSON unless `content_type` says otherwise."""

    method: str
    path: str = GOOD
    body: str | None = None
    content_type: str | None = None

    @property
    def enabled(self) -> bool | None:
        """The ``ProtectionEnabled`` that a client would have put: what it checks the answer against."""
        return None if self.method != "PUT" else '"ProtectionEnabled":false' not in (self.body or "")


@dataclass(frozen=True)
class Said:
    """An answer; with status None, none: the connection was closed."""

    status: int | None
    content_type: str | None
    body: str

    def pattern(self, *, arn: str, other_arn: str) -> re.Pattern[str]:
        """What the body has to match, where the task has this ARN, and the task without a role the other."""
        pattern = re.escape(self.body)
        for name, stands_for in {
            "<RFC3339 Z>": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
            "<RFC3339.mmm Z>": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
            "<ARN>": re.escape(arn),
            "<ARN-nocreds>": re.escape(other_arn),
            "<ECS endpoint>": r"https://ecs\.[a-z0-9-]+\.amazonaws\.com/",
            "<text of ECS>": r"[^\"]+",
        }.items():
            pattern = pattern.replace(re.escape(name), stands_for)
        return re.compile(pattern)

    def example(self) -> bytes:
        """One body that matches."""
        return (
            self.body.replace("<RFC3339 Z>", "2030-01-02T03:04:05Z")
            .replace("<RFC3339.mmm Z>", "2030-01-02T03:04:05.678Z")
            .replace("<ARN>", "arn:aws:ecs:us-west-2:111122223333:task/0123456789abcdef")
            .encode()
        )


@dataclass(frozen=True)
class Means:
    """What a client has to make of an answer; a reason of None is the client's own to word."""

    outcome: Outcome
    reason: str | None = None
    may_pass: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class Case:
    """One case; the fault is how ECS was scripted."""

    name: str
    asked: Asked
    said: Said
    means: Means
    fault: Fault | None = None

    def __str__(self) -> str:
        return f"{self.name}, {self.asked.method}"


# -- what is asked

GET = Asked(method="GET")


def put(body: str, *, path: str = GOOD, content_type: str | None = JSON) -> Asked:
    return Asked(method="PUT", path=path, body=body, content_type=content_type)


def enable_for(minutes: str) -> Asked:
    return put('{"ProtectionEnabled":true,"ExpiresInMinutes":' + minutes + "}")


ENABLE = put('{"ProtectionEnabled":true}')
ENABLE_60 = enable_for("60")

# -- what is said


def protection(*, enabled: bool, date: str = "null") -> Said:
    body = f'"ExpirationDate":{date},"ProtectionEnabled":{json.dumps(enabled)},"TaskArn":"<ARN>"'
    return Said(200, JSON, '{"protection":{' + body + "}}")


def failure(reason: str, *, detail: str | None = None) -> Said:
    body = f'"Arn":"<ARN>","Detail":{json.dumps(detail)},"Reason":"{reason}"'
    return Said(200, JSON, '{"failure":{' + body + "}}")


def agent_error(status: int, code: str, message: str, *, arn: str | None = "<ARN>", request_id: str = "") -> Said:
    named = f'"Arn":"{arn}",' if arn else ""
    return Said(status, JSON, f'{{{request_id}"error":{{{named}"Code":"{code}","Message":{json.dumps(message)}}}}}')


def ecs_error(
    status: int, code: str, message: str, *, request_id: str = "11111111-2222-3333-4444-555555555555"
) -> Said:
    return agent_error(status, code, message, request_id=f'"requestID":"{request_id}",')


def denied(action: str) -> Said:
    return ecs_error(
        400,
        "AccessDeniedException",
        f"User: arn:aws:sts::111122223333:assumed-role/role/x is not authorized to perform: {action} "
        f"on resource: <ARN> because no identity-based policy allows the {action} action",
    )


def connection_lost(operation: str) -> Said:
    return agent_error(
        500,
        "ServerException",
        f"operation error ECS: {operation}, exceeded maximum number of attempts, 3, https response error "
        'StatusCode: 0, RequestID: , request send failed, Post "<ECS endpoint>": EOF',
    )


ON = protection(enabled=True, date='"<RFC3339 Z>"')
ON_WITH_MILLIS = protection(enabled=True, date='"<RFC3339.mmm Z>"')
OFF = protection(enabled=False)
INVALID = "InvalidParameterException"
UNDECODED = agent_error(400, INVALID, "UpdateTaskProtection: failed to decode request", arn=None)
NO_FIELD = agent_error(400, INVALID, "Invalid request: does not contain 'ProtectionEnabled' field")
OUT_OF_RANGE = ecs_error(400, INVALID, "<text of ECS>")
UNKNOWN = agent_error(404, "ResourceNotFoundException", "Failed to find a task for the request", arn=None)
ORPHAN = agent_error(500, "ServerException", "Failed to find a task for the request", arn=None)
NO_ROLE = agent_error(
    403,
    "AccessDeniedException",
    "Invalid Request: no task IAM role credentials available for task",
    arn="<ARN-nocreds>",
)
NO_PAGE = Said(404, "text/plain; charset=utf-8", "404 page not found\n")
MOVED = Said(301, None, "")
WRONG_METHOD = Said(405, None, "")
NOTHING = Said(None, None, "RemoteDisconnected")
SERVER_ERROR = ecs_error(500, "ServerException", "Service Unavailable. Please try again later.")
UNAVAILABLE = ecs_error(503, "UnknownError", "UnknownError", request_id="")
UNSUPPORTED = ecs_error(400, "UnsupportedFeatureException", "unsupported")
UNRECOGNIZED = ecs_error(400, "UnrecognizedClientException", "The security token included in the request is invalid.")
OUT_OF_TIME = agent_error(504, "RequestCanceled", "Timed out calling ECS Task Protection API")

# -- what it means

CONFIRMED = Means(Outcome.CONFIRMED)
AMBIGUOUS = Means(Outcome.AMBIGUOUS)
MISCONFIGURED = Means(Outcome.MISCONFIGURED)


def misconfigured(code: str, *, may_pass: bool = False) -> Means:
    return Means(Outcome.MISCONFIGURED, code, may_pass=may_pass)


def ambiguous(code: str) -> Means:
    return Means(Outcome.AMBIGUOUS, code)


INVALID_ARGUMENT = misconfigured(INVALID)
NO_SUCH_TASK = misconfigured("ResourceNotFoundException")
DENIED = misconfigured("AccessDeniedException")
DENIED_FOR_NOW = misconfigured("AccessDeniedException", may_pass=True)
FAILED = ambiguous("ServerException")
CANCELED = ambiguous("RequestCanceled")
BLOCKED = Means(Outcome.REFUSED, "DEPLOYMENT_BLOCKED")
MISSING = Means(Outcome.REFUSED, "MISSING")
NOT_A_SERVICE_TASK = Means(Outcome.NOT_A_SERVICE_TASK, "TASK_NOT_VALID")

# -- the cases


def both(mode: EcsMode, said: Said, means: Means) -> tuple[Case, Case]:
    """A GET and a PUT that end in the same way."""
    cases = [Case(f"ecs:{mode}", asked, said, means, Ecs(mode)) for asked in (GET, ENABLE_60)]
    return cases[0], cases[1]


CASES = (
    # what is asked
    Case("put enable default", ENABLE, ON, CONFIRMED),
    Case("put enable 60", ENABLE_60, ON, CONFIRMED),
    Case("put enable millis", ENABLE_60, ON_WITH_MILLIS, CONFIRMED, Digits(3)),
    Case("put disable", put('{"ProtectionEnabled":false}'), OFF, CONFIRMED),
    Case("put disable with Expires", put('{"ProtectionEnabled":false,"ExpiresInMinutes":60}'), OFF, CONFIRMED),
    Case("get not protected", GET, OFF, CONFIRMED),
    Case("camelCase fields", put('{"protectionEnabled":true,"expiresInMinutes":5}'), ON, CONFIRMED),
    Case("UPPER fields", put('{"PROTECTIONENABLED":true,"EXPIRESINMINUTES":5}'), ON, CONFIRMED),
    Case("snake case", put('{"protection_enabled":true}'), UNDECODED, INVALID_ARGUMENT),
    Case("unknown field", put('{"ProtectionEnabled":true,"Foo":1}'), UNDECODED, INVALID_ARGUMENT),
    Case("missing ProtectionEnabled", put('{"ExpiresInMinutes":5}'), NO_FIELD, INVALID_ARGUMENT),
    Case("ProtectionEnabled null", put('{"ProtectionEnabled":null}'), NO_FIELD, INVALID_ARGUMENT),
    Case("Expires string", enable_for('"5"'), UNDECODED, INVALID_ARGUMENT),
    Case("Expires 5.0", enable_for("5.0"), UNDECODED, INVALID_ARGUMENT),
    Case("Expires 5.5", enable_for("5.5"), UNDECODED, INVALID_ARGUMENT),
    Case("Expires 0", enable_for("0"), OUT_OF_RANGE, INVALID_ARGUMENT),
    Case("Expires -1", enable_for("-1"), OUT_OF_RANGE, INVALID_ARGUMENT),
    Case("Expires 2880", enable_for("2880"), ON, CONFIRMED),
    Case("Expires 2881", enable_for("2881"), OUT_OF_RANGE, INVALID_ARGUMENT),
    Case("Enabled string", put('{"ProtectionEnabled":"true"}'), UNDECODED, INVALID_ARGUMENT),
    Case("Enabled 1", put('{"ProtectionEnabled":1}'), UNDECODED, INVALID_ARGUMENT),
    Case("empty body", put(""), UNDECODED, INVALID_ARGUMENT),
    Case("body null", put("null"), NO_FIELD, INVALID_ARGUMENT),
    Case("body {}", put("{}"), NO_FIELD, INVALID_ARGUMENT),
    Case("bad json", put('{"ProtectionEnabled":tru'), UNDECODED, INVALID_ARGUMENT),
    Case("no content-type", replace(ENABLE, content_type=None), ON, CONFIRMED),
    # where, and how
    Case("unknown endpoint id PUT", replace(ENABLE, path="/api/nope" + STATE), UNKNOWN, NO_SUCH_TASK),
    Case("unknown endpoint id GET", replace(GET, path="/api/nope" + STATE), UNKNOWN, NO_SUCH_TASK),
    Case("orphan PUT", replace(ENABLE, path="/api/orphan" + STATE), ORPHAN, FAILED),
    Case("no creds GET", replace(GET, path="/api/nocreds" + STATE), NO_ROLE, DENIED_FOR_NOW),
    Case("no creds PUT", replace(ENABLE, path="/api/nocreds" + STATE), NO_ROLE, DENIED_FOR_NOW),
    Case("trailing slash GET", replace(GET, path=GOOD + "/"), NO_PAGE, MISCONFIGURED),
    Case("double slash GET", replace(GET, path="/api/good/" + STATE), MOVED, MISCONFIGURED),
    Case("double slash PUT", replace(ENABLE, path="/api/good/" + STATE), MOVED, MISCONFIGURED),
    Case("POST", Asked(method="POST"), WRONG_METHOD, MISCONFIGURED),
    Case("query string", replace(GET, path=GOOD + "?x=1"), OFF, CONFIRMED),
    # what ECS does
    Case("delay 3.9s GET", GET, OFF, CONFIRMED, Delay(3.9)),
    Case("throttle once then ok PUT", ENABLE, ON, CONFIRMED, Ecs("throttle", tries=1)),
    Case("throttle twice then ok PUT", ENABLE, OUT_OF_TIME, CANCELED, Ecs("throttle", tries=2)),
    Case("500 once then ok PUT", ENABLE, ON, CONFIRMED, Ecs("server_error", tries=1)),
    Case("ecs:access_denied", GET, denied("ecs:GetTaskProtection"), DENIED, Ecs("access_denied")),
    Case("ecs:access_denied", ENABLE_60, denied("ecs:UpdateTaskProtection"), DENIED, Ecs("access_denied")),
    *both("client_exception", ecs_error(400, "ClientException", "client"), misconfigured("ClientException")),
    *both("invalid_parameter", ecs_error(400, INVALID, "invalid"), INVALID_ARGUMENT),
    *both("resource_not_found", ecs_error(400, "ResourceNotFoundException", "not found"), NO_SUCH_TASK),
    *both("unsupported_feature", UNSUPPORTED, misconfigured("UnsupportedFeatureException")),
    *both("unrecognized_client", UNRECOGNIZED, misconfigured("UnrecognizedClientException")),
    *both("server_error", SERVER_ERROR, FAILED),
    Case("ecs:unavailable", GET, UNAVAILABLE, ambiguous("UnknownError"), Ecs("unavailable")),
    Case("ecs:unavailable", ENABLE_60, OUT_OF_TIME, CANCELED, Ecs("unavailable")),
    *both("throttle", OUT_OF_TIME, CANCELED),
    Case("ecs:drop", GET, connection_lost("GetTaskProtection"), FAILED, Ecs("drop")),
    Case("ecs:drop", ENABLE_60, connection_lost("UpdateTaskProtection"), FAILED, Ecs("drop")),
    *both("empty", NOTHING, AMBIGUOUS),
    *both("two_tasks", agent_error(500, "ServerException", "Unexpected error occurred"), FAILED),
    *both("task_not_valid", failure("TASK_NOT_VALID"), NOT_A_SERVICE_TASK),
    *both("deployment_blocked", failure("DEPLOYMENT_BLOCKED", detail="deployment detail"), BLOCKED),
    *both("missing", failure("MISSING"), MISSING),
    *both("hang", OUT_OF_TIME, CANCELED),
)
