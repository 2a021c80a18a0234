"""The words that faults are told by: how ECS behaves, and what an answer that confirms nothing looks like."""

from __future__ import annotations

from typing import Literal

__all__ = ["EcsMode", "ErrorStatus", "GarbageKind"]

EcsMode = Literal[
    "access_denied",
    "client_exception",
    "cluster_not_found",
    "deployment_blocked",
    "drop",
    "empty",
    "expired_token",
    "hang",
    "invalid_parameter",
    "missing",
    "resource_not_found",
    "server_error",
    "task_not_valid",
    "throttle",
    "two_tasks",
    "unavailable",
    "unrecognized_client",
    "unsupported_feature",
]
GarbageKind = Literal["text", "empty", "shape", "strings", "both", "neither", "opposite"]
ErrorStatus = Literal[500, 503, 504]
