"""The metadata endpoint (version 4) of an ECS task: who this task is, and whether ECS wants it to go."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from protectwork._errors import MetadataError, SettingsError
from protectwork.backends._endpoint import metadata_url
from protectwork.backends._http import request
from protectwork.backends._remote_text import JsonObject, arn_of, escaped, json_object

__all__ = ["VARIABLE", "TaskMetadata", "read_task_metadata"]

VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"

_DEADLINE_S = 3.0
_CONNECT_S = 1.5
_MOST_BYTES = 256 * 1024  # every container of the task is told of, with all its labels
_WORD_CHARS = 1024  # as long as an ARN may be
_TASK_ARN = re.compile(r"arn:aws[a-z-]*:ecs:(?P<region>[a-z0-9-]+):\d{12}:task/(?:[\w-]+/)?[\w-]+", re.ASCII)
_CLUSTER = re.compile(r"(?:arn:aws[a-z-]*:ecs:[a-z0-9-]+:\d{12}:cluster/)?[\w-]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMetadata:
    """What the metadata endpoint says of this task.

    It tells neither ``stopTimeout`` nor whether the capacity is Spot.

    Attributes:
        task_arn: The task's ARN; it may lack the cluster segment.
        cluster: The cluster's ARN or its short name, as the endpoint gives it.
        region: The Region, taken from the task's ARN.
        service_name: The service that the task belongs to. None of a standalone task, and of one on Fargate, where
            the endpoint may not tell.
        family: The family of the task definition.
        revision: Its revision, digits.
        desired_status: What ECS wants the task to be: ``RUNNING``, or ``STOPPED`` once it is to go; None if not told.
        known_status: What the task is; None if not told.
        launch_type: ``EC2``, ``FARGATE`` or ``EXTERNAL``; None if not told.
        availability_zone: None if not told.
    """

    task_arn: str
    cluster: str
    region: str
    service_name: str | None
    family: str
    revision: str
    desired_status: str | None
    known_status: str | None
    launch_type: str | None
    availability_zone: str | None

    @property
    def stopping(self) -> bool:
        """Whether ECS wants this task to go (contract §4)."""
        return self.desired_status == "STOPPED"


def read_task_metadata(
    environ: Mapping[str, str],
    *,
    allow_endpoint: Sequence[str] = (),
    deadline_s: float = _DEADLINE_S,
) -> TaskMetadata:
    """Ask the metadata endpoint once who this task is; it has no quota. Any thread may, and so may a forked child.

    Args:
        environ: Where ``ECS_CONTAINER_METADATA_URI_V4`` is looked up; empty counts as not set.
        allow_endpoint: Host names, addresses or networks that it may lead to, beside loopback, link-local and private.
        deadline_s: How long it may block in all, in seconds; 3 s by default.

    Raises:
        SettingsError: The variable is missing, or not one that may be called: no later call will do better.
        MetadataError: The endpoint could not be asked, or gave no usable answer: a later call may do better.
    """
    uri = environ.get(VARIABLE)
    if not uri:
        remedy = "ECS sets it from agent 1.39.0 and Fargate platform 1.4.0 on"
        raise SettingsError(setting=VARIABLE, rule="set to the metadata endpoint", value="nothing", remedy=remedy)
    url = metadata_url(uri, allow=allow_endpoint)
    connect_s = min(_CONNECT_S, deadline_s)
    exchange = request("GET", url, deadline_s=deadline_s, connect_s=connect_s, most_bytes=_MOST_BYTES)
    if exchange.status is None:
        raise MetadataError(
            reason="no usable answer", detail=escaped(f"{type(exchange.fault).__name__}: {exchange.fault}")
        )
    if exchange.status != HTTPStatus.OK:
        raise MetadataError(reason=f"HTTP {exchange.status}", detail=escaped(exchange.body.decode("ascii", "replace")))
    return _task(json_object(exchange.body))


def _task(content: JsonObject) -> TaskMetadata:
    task_arn, cluster = arn_of(content, "TaskARN"), _word(content, "Cluster")
    match = _TASK_ARN.fullmatch(task_arn or "")
    if task_arn is None or match is None:
        raise _unusable("TaskARN", "the ARN of a task", content)
    if cluster is None or not _CLUSTER.fullmatch(cluster):
        raise _unusable("Cluster", "the ARN or the name of a cluster", content)
    family, revision = _word(content, "Family"), _word(content, "Revision")
    if family is None or revision is None:
        raise _unusable("Family" if family is None else "Revision", "given", content)
    return TaskMetadata(
        task_arn=task_arn,
        cluster=cluster,
        region=match["region"],
        service_name=_word(content, "ServiceName"),
        family=family,
        revision=revision,
        desired_status=_word(content, "DesiredStatus"),
        known_status=_word(content, "KnownStatus"),
        launch_type=_word(content, "LaunchType"),
        availability_zone=_word(content, "AvailabilityZone"),
    )


def _word(content: JsonObject, key: str) -> str | None:
    """Give a text that may be shown as it is; None if it is empty or not there."""
    value = content.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.isprintable() or len(value) > _WORD_CHARS:
        raise _unusable(key, f"a printable string of {_WORD_CHARS} characters at most", content)
    return value


def _unusable(key: str, rule: str, content: JsonObject) -> MetadataError:
    return MetadataError(
        reason="unusable answer", detail=f"{key} must be {rule}, got {escaped(repr(content.get(key)))}"
    )
