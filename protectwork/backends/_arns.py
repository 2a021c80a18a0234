"""What the parts of an ARN say: pure, and as much of a name that is none."""

from __future__ import annotations

import re

__all__ = ["id_of", "region_of"]

_REGION = re.compile(r"arn:aws[a-z-]*:ecs:(?P<region>[a-z0-9-]+):", re.ASCII)


def id_of(name: str) -> str:
    """What is its own of an ARN, which of a task may lack the cluster's segment; a name that is no ARN as it is."""
    return name.rpartition("/")[2]


def region_of(*names: str) -> str | None:
    """The Region of the first that is an ARN; None if none is."""
    return next((match["region"] for name in names if (match := _REGION.match(name))), None)
