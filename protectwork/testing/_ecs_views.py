"""What ECS tells of tasks and services, in the JSON of its API; what is not asked for in practice is left out."""

from __future__ import annotations

from typing import Any

from protectwork.testing._cluster import FakeDeployment, FakeService
from protectwork.testing._placement import Placement

__all__ = ["service_view", "task_view"]


def task_view(one: Placement) -> dict[str, Any]:
    """One task, as DescribeTasks tells it."""
    cluster = one.cluster
    date = cluster.time.timestamp
    return _said(
        {
            "attachments": [],
            "availabilityZone": cluster.availability_zone,
            "clusterArn": cluster.arn,
            "connectivity": "CONNECTED",
            "containers": [
                {"containerArn": cluster.arn_of("container", f"{cluster.name}/{one.id}/{name}"), "name": name}
                | {"taskArn": one.arn, "lastStatus": one.last_status}
                for name in one.containers
            ],
            "cpu": "256",
            "createdAt": date(one.created_at),
            "desiredStatus": one.desired_status,
            "group": one.group,
            "lastStatus": one.last_status,
            "launchType": one.launch_type,
            "memory": "512",
            "startedAt": date(one.started_at),
            "startedBy": one.started_by or None,
            "stopCode": one.stop_code,
            "stoppedAt": date(one.stopped_at),
            "stoppedReason": one.stopped_reason,
            "stoppingAt": date(one.stopping_at),
            "taskArn": one.arn,
            "taskDefinitionArn": cluster.arn_of("task-definition", f"{one.family}:{one.revision}"),
            "version": 3,
        }
    )


def service_view(service: FakeService) -> dict[str, Any]:
    """One service, as DescribeServices tells it."""
    tasks = service.tasks
    return {
        "clusterArn": service.cluster.arn,
        "createdAt": service.cluster.time.timestamp(service.created_at),
        "deploymentConfiguration": {
            "maximumPercent": service.maximum_percent,
            "minimumHealthyPercent": service.minimum_healthy_percent,
        },
        "deploymentController": {"type": "ECS"},
        "deployments": [_deployment_view(one) for one in service.deployments],
        "desiredCount": service.desired,
        "events": [],
        "launchType": service.launch_type,
        "pendingCount": sum(one.last_status == "PENDING" for one in tasks),
        "runningCount": sum(one.last_status == "RUNNING" for one in tasks),
        "schedulingStrategy": "REPLICA",
        "serviceArn": service.arn,
        "serviceName": service.name,
        "status": "ACTIVE",
        "taskDefinition": _definition(service.primary),
    }


def _deployment_view(one: FakeDeployment) -> dict[str, Any]:
    tasks = one.tasks
    created = one.service.cluster.time.timestamp(one.created_at)
    return {
        "createdAt": created,
        "desiredCount": one.service.desired if one is one.service.primary else len(tasks),
        "failedTasks": 0,
        "id": one.id,
        "launchType": one.service.launch_type,
        "pendingCount": sum(task.last_status == "PENDING" for task in tasks),
        "rolloutState": one.rollout_state,
        "rolloutStateReason": one.failed or f"ECS deployment {one.id} {one.rollout_state.lower().replace('_', ' ')}.",
        "runningCount": sum(task.last_status == "RUNNING" for task in tasks),
        "status": one.status,
        "taskDefinition": _definition(one),
        "updatedAt": created,
    }


def _definition(one: FakeDeployment) -> str:
    service = one.service
    return service.cluster.arn_of("task-definition", f"{service.name}:{one.revision}")


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that there is something to say of."""
    return {name: value for name, value in fields.items() if value is not None}
