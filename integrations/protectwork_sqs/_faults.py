"""What a failed call means: what to say of it, how long to wait, and when trying on makes no sense."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from random import Random
from typing import Any

from protectwork.adapters import printable, steady_now
from protectwork_sqs._errors import QueueError

__all__ = ["NO_CREDENTIALS", "Receipts", "Trouble"]

logger = logging.getLogger("protectwork")

_BASE_S, _MOST_S = 0.5, 20.0
_DEFINITE_S = 60.0

NO_CREDENTIALS = "give the task a task role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_HOPELESS = {
    "NoCredentialsError": NO_CREDENTIALS,
    "PartialCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, both or neither",
    "NoRegionError": "set AWS_DEFAULT_REGION, or give the client a region_name",
    "ParamValidationError": "upgrade boto3",
    "UnknownServiceError": "upgrade boto3",
}
"""Errors of botocore's own that nothing but a change of the set-up mends, by the names of their classes."""

_QUEUE = "look at the queue's name, account and Region"
_ROLE = "allow sqs:ReceiveMessage, sqs:DeleteMessage and sqs:ChangeMessageVisibility on the task role"
_CREDENTIALS = "renew the credentials; those of a task role renew themselves, those in AWS_* variables do not"
_DEFINITE = {
    "QueueDoesNotExist": _QUEUE,
    "NonExistentQueue": _QUEUE,
    "InvalidAddress": _QUEUE,
    "AccessDenied": _ROLE,
    "AccessDeniedException": _ROLE,
    "AccessDeniedError": _ROLE,
    "ExpiredToken": _CREDENTIALS,
    "ExpiredTokenException": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "UnrecognizedClientException": _CREDENTIALS,
    "InvalidSecurity": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "OptInRequired": _CREDENTIALS,
}
"""Codes of SQS that say what is wrong; it may be mended meanwhile, or be a role that has just been changed."""


class Receipts:
    """The failed receipts since the last good one.

    Args:
        queue_url: The queue, for the error.
        give_up_after_s: For how long they may fail; less where SQS says what is wrong.
        random: Where jitter comes from.
    """

    def __init__(self, queue_url: str, *, give_up_after_s: float, random: Random) -> None:
        self._queue_url, self._give_up_after_s, self._random = queue_url, give_up_after_s, random
        self._failures = 0
        self._since = 0.0

    def succeeded(self) -> None:
        """A receipt was answered."""
        self._failures = 0

    @property
    def is_first(self) -> bool:
        """Whether there was one failure since the last good one."""
        return self._failures == 1

    def failed(self, error: Exception) -> float:
        """Note an error of the client; return how many seconds to wait.

        Raises:
            QueueError: Trying on makes no sense, or has gone on for too long.
        """
        now = steady_now()
        if not self._failures:
            self._since = now
        self._failures += 1
        code = _code(error)
        remedy = _remedy(code)
        most_s = min(self._give_up_after_s, _DEFINITE_S) if code in _DEFINITE else self._give_up_after_s
        if code in _HOPELESS or now - self._since >= most_s:
            raise QueueError(queue_url=self._queue_url, reason=code, detail=_detail(error), remedy=remedy) from error
        grown_s = min(_BASE_S * 2.0 ** min(self._failures - 1, 10), _MOST_S)
        return min(grown_s * self._random.uniform(0.5, 1.0), max(self._since + most_s - now, 0.0))


class Trouble:
    """What is wrong with one kind of call: told when it begins and when it changes, not each time.

    Args:
        means: What cannot be done.

    Attributes:
        said: What SQS, or the client, said of it the last time, and what to do about it; None: nothing is wrong.
    """

    def __init__(self, means: str) -> None:
        self.said: str | None = None
        self._means = means
        self._code: str | None = None

    def failed(self, error: Exception) -> None:
        """It was tried in vain, and is tried again."""
        before, self._code = self._code, _code(error)
        remedy = _remedy(self._code)
        self.said = f"{self._code} ({_detail(error)})" + (f"; {remedy}" if remedy else "")
        if self._code != before:
            logger.warning("%s, trying on: %s", self._means, self.said)

    def passed(self) -> None:
        """It was done."""
        self.said = self._code = None


def _remedy(code: str) -> str | None:
    return _HOPELESS.get(code) or _DEFINITE.get(code)


def _code(error: Exception) -> str:
    """SQS's code, or the name of the error's class; botocore is not imported for it."""
    said: Mapping[str, Any] | None = getattr(error, "response", None)
    told: Mapping[str, Any] = said.get("Error", {}) if said else {}
    return printable(str(told.get("Code") or type(error).__name__)).rpartition(".")[2]


def _detail(error: Exception) -> str:
    return printable(str(error))
