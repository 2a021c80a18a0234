"""``protectwork fleet``: which tasks of a cluster are protected, and which deployments wait for them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from protectwork import EcsError
from protectwork._fleet import Fleet
from protectwork._settings import printable
from protectwork.cli._fleet_reading import Held, Reading, Task, read_fleet
from protectwork.cli._holders import in_words

__all__ = ["Code", "command"]

_PIPE_COLUMNS = 240  # a pipe gets whole lines
_MOST_NAMED = 3
_REASONS = {"MISSING": "MISSING: it has ended", "TASK_NOT_VALID": "of no service"}


class Code(IntEnum):
    """The exit codes."""

    ANSWERED = 0
    UNKNOWN = 3


@click.command("fleet")
@click.option("--cluster", required=True, metavar="C", help="The cluster, by its name or ARN.")
@click.option("--service", metavar="S", help="Only this service's tasks; all of the cluster's by default.")
@click.option(
    "--region",
    metavar="R",
    help="The Region; by default that of the cluster's ARN, else AWS_REGION, AWS_DEFAULT_REGION or the AWS"
    " configuration's.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
@click.pass_context
def command(ctx: click.Context, *, cluster: str, service: str | None, region: str | None, as_json: bool) -> None:
    """Show which tasks are protected, and which deployments wait for them.

    Changes nothing. It asks the ECS API with the credentials of whoever runs it, which have to allow ecs:ListTasks,
    ecs:DescribeTasks, ecs:DescribeServices and ecs:GetTaskProtection; a thousand tasks take 10 calls of each of the
    first two and of the last. Takes boto3: pip install "protectwork[ecs]".

    \b
    Exit status:
      0  ECS has answered, whatever it says of single tasks
      2  wrong usage, or boto3 is missing
      3  no usable answer: no or expired credentials, permissions, a wrong
         cluster, service or Region, throttled, unreachable

    \b
    The keys of --json, null where nothing is known:
      cluster    as asked
      service    as asked
      tasks      each with task_arn, service, deployment, primary, revision,
                 started_at, protected, expires_at, seconds_left, failure
                 (reason and detail: MISSING is a task that has ended)
      held_back  each deployment that waits: service, deployment, revision,
                 tasks (their ARNs), until, seconds_left
    """  # noqa: D301 - what \b means to click
    fleet = Fleet(cluster, region=region)
    try:
        reading = read_fleet(fleet, service=service)
    except EcsError as error:
        click.echo(f"protectwork: {error}", err=True)
        ctx.exit(Code.UNKNOWN)
    if as_json:
        click.echo(json.dumps({"cluster": cluster, "service": service} | _as_json(reading), indent=2))
    else:
        _show(reading, where=printable(f"{service} in {cluster}" if service else cluster))
    ctx.exit(Code.ANSWERED)


# --- for machines


def _as_json(reading: Reading) -> dict[str, Any]:
    return {
        "tasks": [_task_as_json(task) for task in reading.tasks],
        "held_back": [_held_as_json(held) for held in reading.held],
    }


def _task_as_json(task: Task) -> dict[str, Any]:
    failure = task.failure
    return {
        "task_arn": task.arn,
        "service": task.service,
        "deployment": task.deployment,
        "primary": task.primary,
        "revision": task.revision,
        "started_at": _rfc3339(task.started_at),
        "protected": task.protected,
        "expires_at": _rfc3339(task.expires_at),
        "seconds_left": _left_s(task.expires_at),
        "failure": {"reason": failure.reason, "detail": failure.detail} if failure else None,
    }


def _held_as_json(held: Held) -> dict[str, Any]:
    return {
        "service": held.deployment.service,
        "deployment": held.deployment.id,
        "revision": held.deployment.revision,
        "tasks": [task.arn for task in held.tasks],
        "until": _rfc3339(held.until),
        "seconds_left": _left_s(held.until),
    }


def _rfc3339(date: datetime | None) -> str | None:
    return date.isoformat().replace("+00:00", "Z") if date else None


def _left_s(date: datetime | None) -> float | None:
    return None if date is None else round(max((date - datetime.now(UTC)).total_seconds(), 0.0), 3)


# --- for people


def _show(reading: Reading, *, where: str) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PIPE_COLUMNS)
    if reading.tasks:
        console.print(_table(reading.tasks))
    console.print(_summary(reading, where), soft_wrap=True)
    nobody = Text("no deployment waits for a protected task")
    for line in [_held_line(held) for held in reading.held] or [nobody]:
        console.print(line, soft_wrap=True)


def _table(tasks: tuple[Task, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("task", "service", "deployment", "started", "protected", "expires in"):
        table.add_column(column, overflow="fold", no_wrap=column in {"started", "expires in"})
    for task in tasks:
        table.add_row(*(Text(cell) for cell in _cells(task)[:4]), _protected(task), Text(_cells(task)[4]))
    return table


def _cells(task: Task) -> tuple[str, str, str, str, str]:
    age = {True: "primary", False: "old"}.get(task.primary) if task.primary is not None else None
    deployment = ", ".join(word for word in (age, task.revision) if word)
    started = f"{task.started_at:%Y-%m-%d %H:%M} UTC" if task.started_at else "-"
    left_s = _left_s(task.expires_at)
    return task.id, task.service or "-", deployment or "-", started, "-" if left_s is None else in_words(left_s)


def _protected(task: Task) -> Text:
    if task.failure:
        return Text(_REASONS.get(task.failure.reason, task.failure.reason), style="yellow")
    match task.protected:
        case True:
            return Text("yes", style="bold green")
        case False:
            return Text("no")
        case None:
            return Text("unknown", style="yellow")


def _summary(reading: Reading, where: str) -> Text:
    tasks = reading.tasks
    protected = sum(bool(task.protected) for task in tasks)
    missing = sum(task.failure is not None and task.failure.reason == "MISSING" for task in tasks)
    parts = [f"{len(tasks)} running in {where}", f"{protected} protected", *([f"{missing} MISSING"] if missing else [])]
    return Text(", ".join(parts))


def _held_line(held: Held) -> Text:
    names = [task.id for task in held.tasks[:_MOST_NAMED]]
    if more := len(held.tasks) - len(names):
        names.append(f"{more} more")
    who = "1 protected task" if len(held.tasks) == 1 else f"{len(held.tasks)} protected tasks"
    left_s = _left_s(held.until)
    how_long = (
        "ECS does not say for how long" if left_s is None else f"for {in_words(left_s)} more at most, if not renewed"
    )
    verb = "holds" if len(held.tasks) == 1 else "hold"
    return Text.assemble(
        (f"{held.deployment.service}: {who}", "bold"),
        f" of older deployments ({', '.join(names)}) {verb} back {held.deployment.revision or '?'}"
        f" ({held.deployment.id}), {how_long}",
    )
