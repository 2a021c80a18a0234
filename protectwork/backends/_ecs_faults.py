"""What it means that a call to the ECS API failed: pure, and without boto3, whose errors are told by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import cast

from protectwork._errors import EcsAccessError, EcsError, EcsRequestError, EcsThrottledError, EcsUnavailableError
from protectwork.backends._remote_text import escaped

__all__ = ["NO_METADATA", "Fault", "Kind", "error_of", "fault_of", "remedy_for", "unusable"]

NO_METADATA = "no metadata"
"""Why nothing was sent, where it is not known which task this is."""
_NO_CREDENTIALS = "NoCredentialsError"
_NO_REGION = frozenset({"NoRegionError", "InvalidRegionError"})
_INVALID_ENDPOINT = "Invalid endpoint"  # a ValueError, of which only the text tells
_PROFILES = frozenset({"ProfileNotFound", "ConfigNotFound", "ConfigParseError", "InvalidConfigError"})
_EXPIRED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "SSOError",
        "TokenRetrievalError",
        "RefreshWithMFAUnsupportedError",
    }
)
_REJECTED = frozenset(
    {
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "PartialCredentialsError",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "OptInRequired", "UnauthorizedOperation"})
_NOT_FOUND = frozenset({"ClusterNotFoundException", "ServiceNotFoundException"})
_THROTTLED = frozenset(
    {
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# A fault of ECS whatever the status: the write may have been done, and may still be.
_UNKNOWN = frozenset({"InternalFailure", "InternalServerError", "RequestTimeoutException", "ServerException"})
# What boto3 raises before there is a call: somebody has to mend it.
_SET_UP = _PROFILES | _NO_REGION | {"InvalidEndpointConfigurationError", "ParamValidationError", "UnknownServiceError"}


class Kind(Enum):
    """What a failure is."""

    ACCESS = auto()
    """A no, because of permissions or credentials."""
    REQUEST = auto()
    """A no, because of what was asked, or of the set-up."""
    THROTTLED = auto()
    """A no, because of the rate of calls."""
    UNKNOWN = auto()
    """No answer; if anything was sent, nobody knows whether it was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a call to the ECS API has failed.

    Attributes:
        kind: What it is.
        reason: ECS's error code, or the name of what boto3 raised; at most 200 printable characters.
        detail: What was said about it; at most 200 printable characters.
        may_pass: It also comes for a while after a restart of the agent, which hands out the task role's credentials.
    """

    kind: Kind
    reason: str
    detail: str | None = None
    may_pass: bool = False


# Without a code of ECS only these are a plain no: whatever stands in between may have sent the others.
_PLAIN_NO: Mapping[int, Kind] = {
    HTTPStatus.UNAUTHORIZED: Kind.ACCESS,
    HTTPStatus.FORBIDDEN: Kind.ACCESS,
    HTTPStatus.NOT_FOUND: Kind.REQUEST,
    HTTPStatus.METHOD_NOT_ALLOWED: Kind.REQUEST,
}


def fault_of(error: BaseException) -> Fault:
    """Say what it means that boto3 raised this."""
    names = {cls.__name__ for cls in type(error).__mro__}
    if "ClientError" in names:
        return _answered(cast("Mapping[str, object]", getattr(error, "response", {})))
    name = type(error).__name__
    if str(error).startswith(_INVALID_ENDPOINT):
        return Fault(kind=Kind.REQUEST, reason=_INVALID_ENDPOINT, detail=escaped(str(error)))
    if "BotoCoreError" not in names:  # boto3 stumbled over what it was sent
        return Fault(kind=Kind.UNKNOWN, reason="no usable answer", detail=escaped(f"{name}: {error}"))
    return Fault(
        kind=_kind_of_names(names),
        reason=name,
        detail=escaped(str(error)) or None,
        may_pass=_NO_CREDENTIALS in names,
    )


def error_of(fault: Fault, *, operation: str) -> EcsError:
    """Give the error of ours that stands for it."""
    classes = {Kind.ACCESS: EcsAccessError, Kind.REQUEST: EcsRequestError, Kind.THROTTLED: EcsThrottledError}
    remedy = remedy_for(fault.reason) or _REMEDIES[fault.kind].format(operation=operation)
    error = classes.get(fault.kind, EcsUnavailableError)
    return error(operation=operation, reason=fault.reason, detail=fault.detail, remedy=remedy)


def unusable(operation: str, detail: str) -> EcsUnavailableError:
    """The error that says: there was an answer, and it cannot be read."""
    remedy = "ask again; if it stays so, look at what stands between here and the ECS API"
    return EcsUnavailableError(operation=operation, reason="unusable answer", detail=detail, remedy=remedy)


def remedy_for(reason: str | None) -> str | None:
    """Say what to do about an error of this name, where the name alone tells."""
    return next((remedy for names, remedy in _NAMED_REMEDIES if reason in names), None)


_REMEDIES = {
    Kind.ACCESS: "allow ecs:{operation} to whoever asks: in a task, to the task role",
    Kind.REQUEST: "look at what was asked, and in which account and Region",
    Kind.THROTTLED: "ask again in a minute: all calls of an account in a Region share one quota",
    Kind.UNKNOWN: "ask again; if it stays so, look at the Region, and at the network's way to the ECS API",
}
_NAMED_REMEDIES = (
    (
        frozenset({_NO_CREDENTIALS}),
        "give credentials: in ECS a task role; elsewhere AWS_PROFILE, or AWS_ACCESS_KEY_ID and its like",
    ),
    (
        _EXPIRED,
        "get new credentials (aws sso login); in ECS remove AWS_ACCESS_KEY_ID and its like: the task role has them",
    ),
    (
        _REJECTED,
        "look at the credentials and the machine's clock; in ECS remove AWS_ACCESS_KEY_ID and its like",
    ),
    (_PROFILES, "look at AWS_PROFILE, and at ~/.aws/config and ~/.aws/credentials"),
    (
        frozenset({_INVALID_ENDPOINT}),
        "look at AWS_ENDPOINT_URL_ECS and AWS_ENDPOINT_URL, which must be URLs, http:// or https://",
    ),
    (frozenset({NO_METADATA}), "look at ECS_CONTAINER_METADATA_URI_V4, which must be as ECS set it"),
    (_NO_REGION, "give the Region, or set AWS_REGION or AWS_DEFAULT_REGION"),
    (_NOT_FOUND, "look at the name, and at the account and Region that were asked"),
)


def _kind_of_names(names: set[str]) -> Kind:
    if names & (_REJECTED | _EXPIRED | {_NO_CREDENTIALS}):
        return Kind.ACCESS
    return Kind.REQUEST if names & _SET_UP else Kind.UNKNOWN


def _answered(response: Mapping[str, object]) -> Fault:
    error = _mapping(response.get("Error"))
    status = _mapping(response.get("ResponseMetadata")).get("HTTPStatusCode")
    code, message = error.get("Code"), error.get("Message")
    # Where the answer has no code, boto3 puts the status in its place.
    named = isinstance(code, str) and code != "" and not code.isdigit()
    reason = code if isinstance(code, str) and named else f"HTTP {status}"
    return Fault(
        kind=_kind_of_answer(status if isinstance(status, int) else 0, reason if named else None),
        reason=escaped(reason),
        detail=escaped(message) if isinstance(message, str) and message else None,
    )


def _kind_of_answer(status: int, code: str | None) -> Kind:
    if status // 100 == 3:  # noqa: PLR2004 - 3xx, which is never followed
        return Kind.REQUEST
    if status // 100 != 4 or code in _UNKNOWN:  # noqa: PLR2004 - 4xx
        return Kind.UNKNOWN
    if status == HTTPStatus.TOO_MANY_REQUESTS or code in _THROTTLED:
        return Kind.THROTTLED
    if code is None:
        return _PLAIN_NO.get(status, Kind.UNKNOWN)
    return Kind.ACCESS if code in _DENIED | _EXPIRED | _REJECTED else Kind.REQUEST


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}
