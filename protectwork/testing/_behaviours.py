"""How ECS behaves where that comes out alike, whoever asks it: through the agent or at the API itself (PURE)."""

from __future__ import annotations

from protectwork.testing._exchange import Ask, Reply
from protectwork.testing._kinds import EcsMode

__all__ = ["plain"]

_REFUSALS: dict[EcsMode, tuple[str, str | None]] = {
    "deployment_blocked": ("DEPLOYMENT_BLOCKED", "deployment detail"),
    "missing": ("MISSING", None),
    "task_not_valid": ("TASK_NOT_VALID", None),
}
_ERRORS: dict[EcsMode, tuple[str, str]] = {
    "client_exception": ("ClientException", "client"),
    "cluster_not_found": ("ClusterNotFoundException", "Cluster not found."),
    "expired_token": ("ExpiredTokenException", "The security token included in the request is expired"),
    "invalid_parameter": ("InvalidParameterException", "invalid"),
    "resource_not_found": ("ResourceNotFoundException", "not found"),
    "unrecognized_client": (
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    ),
    "unsupported_feature": ("UnsupportedFeatureException", "unsupported"),
}


def plain(ask: Ask, mode: EcsMode) -> Reply | None:
    """The answer to `ask`; None where it depends on who was asked."""
    if mode in _REFUSALS:
        reason, detail = _REFUSALS[mode]
        return ask.refused(reason, detail=detail)
    if mode in _ERRORS:
        return ask.error(400, *_ERRORS[mode])
    return _access_denied(ask) if mode == "access_denied" else None


def _access_denied(ask: Ask) -> Reply:
    action = f"ecs:{ask.operation}"
    message = (
        f"User: arn:aws:sts::111122223333:assumed-role/role/x is not authorized to perform: {action} on resource: "
        f"{ask.task.arn} because no identity-based policy allows the {action} action"
    )
    return ask.error(400, "AccessDeniedException", message)
