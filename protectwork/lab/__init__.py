"""A small ECS service on this machine: tasks are processes, scale-in and deployments are real signals."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from protectwork.lab import journal

if TYPE_CHECKING:
    from protectwork.lab._container import Container
    from protectwork.lab._facts import Cause, DeploymentFacts, Event, EventKind, OutputLine, Snapshot, TaskRow
    from protectwork.lab._report import KilledJob, Report
    from protectwork.lab._service import Service

__all__ = [
    "Cause",
    "Container",
    "DeploymentFacts",
    "Event",
    "EventKind",
    "KilledJob",
    "OutputLine",
    "Report",
    "Service",
    "Snapshot",
    "TaskRow",
    "journal",
]

_ROOMS = {
    "_container": ("Container",),
    "_facts": ("Cause", "DeploymentFacts", "Event", "EventKind", "OutputLine", "Snapshot", "TaskRow"),
    "_report": ("KilledJob", "Report"),
    "_service": ("Service",),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load the lab when somebody asks for it: a worker, of which there are many, asks for the journal alone."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
