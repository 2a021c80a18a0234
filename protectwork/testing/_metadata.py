"""The task metadata endpoint, version 4: what a container may know of itself and of its task."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from protectwork.testing._api_ask import DescribeAsk
from protectwork.testing._exchange import Ask, Call, Reply, Request
from protectwork.testing._placement import Placement
from protectwork.testing._replies import in_json, in_text

__all__ = ["is_metadata", "read_metadata"]

_PATH = re.compile(r"/v4/([^/]+)(/task)?/?")


def is_metadata(request: Request) -> bool:
    """Whether a request is one for the metadata endpoint."""
    return request.path.startswith("/v4/")


def read_metadata(
    request: Request, *, containers: Mapping[str, tuple[Placement, str]], now: float, today: datetime
) -> Ask | Reply:
    """What one request asks of the metadata endpoint, or its no.

    Args:
        request: The request.
        containers: The task and the name of each container, by its id in the path.
        now: The time.
        today: The same moment as a date (aware, UTC).
    """
    match = _PATH.fullmatch(request.path.partition("?")[0])
    if not match:
        return in_text("404 page not found\n", status=404)
    if request.method != "GET":
        return Reply(status=405)
    if match[1] not in containers:
        return in_json(f"V4 metadata handler: unable to get task arn from request: unknown id {match[1]}", status=404)
    one, name = containers[match[1]]
    return DescribeAsk(
        call=Call.METADATA,
        operation="metadata",
        task=one.task.state(),
        now=now,
        today=today,
        document=_task(one) if match[2] else _container(one, name),
        key="Containers",
        arns=(one.arn,),
        content_type="application/json",
    )


def _task(one: Placement) -> dict[str, Any]:
    pulled = _date(one, one.created_at)
    fields = {
        "Cluster": one.cluster.arn,
        "TaskARN": one.arn,
        "Family": one.family,
        "Revision": str(one.revision),
        "ServiceName": one.service.name if one.service else None,
        "DesiredStatus": one.desired_status,
        "KnownStatus": one.last_status,
        "Limits": {"CPU": 0.25, "Memory": 512},
        "PullStartedAt": pulled,
        "PullStoppedAt": pulled,
        "AvailabilityZone": one.cluster.availability_zone,
        "LaunchType": one.launch_type,
        "Containers": [_container(one, name) for name in one.containers],
        "ClockDrift": {"ClockErrorBound": 0.5, "ClockSynchronizationStatus": "SYNCHRONIZED"},
        "FaultInjectionEnabled": False,
    }
    return {name: value for name, value in {**fields, **one.metadata}.items() if value is not None}


def _container(one: Placement, name: str) -> dict[str, Any]:
    fields = {
        "DockerId": f"{one.id}-{name}",
        "Name": name,
        "DockerName": name,
        "Image": f"{name}:latest",
        "ImageID": f"sha256:{one.id * 2}",
        "Labels": {
            "com.amazonaws.ecs.cluster": one.cluster.arn,
            "com.amazonaws.ecs.container-name": name,
            "com.amazonaws.ecs.task-arn": one.arn,
            "com.amazonaws.ecs.task-definition-family": one.family,
            "com.amazonaws.ecs.task-definition-version": str(one.revision),
        },
        "DesiredStatus": one.desired_status,
        "KnownStatus": one.last_status,
        "Limits": {"CPU": 2},
        "CreatedAt": _date(one, one.created_at),
        "StartedAt": _date(one, one.started_at),
        "Type": "NORMAL",
        "ContainerARN": one.cluster.arn_of("container", f"{one.cluster.name}/{one.id}/{name}"),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _date(one: Placement, at: float | None) -> str | None:
    return None if at is None else one.cluster.time.date(at).isoformat().replace("+00:00", "Z")
