"""``celery inspect protection``: the status of every worker's task, over the broker."""

from __future__ import annotations

from typing import Any

from protectwork import ProtectionManager, get_manager
from protectwork_celery._celery import inspect_command

__all__ = ["protection"]


@inspect_command()
def protection(state: Any, **_: Any) -> dict[str, Any]:
    """Show whether ECS protects the worker's task, and for which jobs."""
    step = next((step for step in state.consumer.steps if step.name == "protectwork"), None)
    manager: ProtectionManager = step.manager if step else get_manager()
    status = manager.status()
    return {
        "state": status.state.value,
        "confirmed": status.confirmed,
        "expires_at": status.expires_at and status.expires_at.isoformat(),
        "admission": status.admission,
        "in_flight": status.in_flight,
        "in_flight_all": status.in_flight_all,
        "holds": [{"label": hold.label, "age_s": round(hold.age_s, 3)} for hold in status.holds],
        "last_outcome": status.last_outcome and status.last_outcome.value,
        "calls": status.calls,
    }
