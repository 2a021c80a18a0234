"""What to do about an answer that is of no use."""

from __future__ import annotations

from protectwork import Answer, Outcome
from protectwork.backends import remedy_for

__all__ = ["remedy_of"]

_REMEDIES = {
    Outcome.REFUSED: "ask again later; what was granted before stays until it expires",
    Outcome.THROTTLED: "too many calls in this account and Region: ask again in a minute",
    Outcome.AMBIGUOUS: "ask again: ECS or its agent had a fault",
    Outcome.UNAVAILABLE: "run this inside the task, where the container agent (1.65.0 or later) listens",
    Outcome.MISCONFIGURED: "give the task role ecs:GetTaskProtection and ecs:UpdateTaskProtection, and leave"
    " ECS_AGENT_URI as ECS set it",
    Outcome.NOT_A_SERVICE_TASK: "only tasks of services can be protected, and only they need it: set"
    " PROTECTWORK_BACKEND=off",
}
_API_REMEDIES = {
    Outcome.UNAVAILABLE: "run this inside the task, with a way to the ECS API: a NAT gateway, or a VPC endpoint",
    Outcome.MISCONFIGURED: "give the task role ecs:GetTaskProtection and ecs:UpdateTaskProtection, and leave"
    " ECS_CONTAINER_METADATA_URI_V4 as ECS set it",
}
_NO_ROLE = "right after a restart of the agent ask again in 3 minutes; otherwise the task needs a task role"


def remedy_of(answer: Answer, *, backend: str) -> str:
    """What to do about an answer that is no yes.

    Args:
        answer: The answer, not a confirmed one.
        backend: The name of the backend that gave it.
    """
    if answer.may_pass:
        return _NO_ROLE
    remedies = _REMEDIES | _API_REMEDIES if backend == "ecs" else _REMEDIES
    return remedy_for(answer.reason) or remedies[answer.outcome]
