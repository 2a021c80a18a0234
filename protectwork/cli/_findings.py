"""What doctor has to say, one finding at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

__all__ = ["Finding", "Level", "statement", "worst"]


class Level(IntEnum):
    """How bad it is, the worst last."""

    OK = 0
    NOTE = 1
    """Worth knowing, and nothing to mend."""
    WARNING = 2
    """It works, but not as well as it could, or not always."""
    BROKEN = 3
    """Nothing is protected, or not what should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: What was looked at, in a word.
        level: How bad it is.
        text: What was found.
        remedy: What to do about it; None where there is nothing to do.
    """

    check: str
    level: Level
    text: str
    remedy: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The documented keys."""
        return {"check": self.check, "level": self.level.name.lower(), "text": self.text, "remedy": self.remedy}


def worst(findings: Iterable[Finding]) -> Level:
    """The level of the worst finding; a note is as good as nothing."""
    level = max((finding.level for finding in findings), default=Level.OK)
    return Level.OK if level is Level.NOTE else level


def statement(*actions: str, task_arn: str | None) -> str:
    """The IAM statement that allows these actions on this task, and on what belongs to it.

    Args:
        actions: The actions, ``ecs:…``.
        task_arn: The task's ARN, to be exact about the resources; where it names no cluster, all are meant.
    """
    named = ", ".join(f'"{action}"' for action in actions)
    return f'{{"Effect": "Allow", "Action": [{named}], "Resource": {_resources(task_arn, actions)}}}'


def _resources(task_arn: str | None, actions: Iterable[str]) -> str:
    prefix, slash, rest = (task_arn or "").partition(":task/")
    cluster, _, task = rest.partition("/")
    if not slash or not task:  # an old ARN, without the cluster's segment
        return '"*"'
    kinds = ["task", *(["service"] if "ecs:DescribeServices" in actions else [])]
    arns = [f'"{prefix}:{kind}/{cluster}/*"' for kind in kinds]
    return arns[0] if len(arns) == 1 else f"[{', '.join(arns)}]"
