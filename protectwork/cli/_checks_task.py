"""What doctor makes of what it has seen: the task around this process (PURE: facts in, findings out)."""

from __future__ import annotations

from collections.abc import Iterator

from protectwork import EcsAccessError, EcsError, Outcome
from protectwork._settings import printable
from protectwork.backends import remedy_for, sign_of_ecs
from protectwork.backends._ecs_faults import Fault
from protectwork.backends.metadata import TaskMetadata
from protectwork.cli._facts import Facts
from protectwork.cli._findings import Finding, Level, statement

__all__ = ["task_findings"]

_ROLE = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
_SHADOWS = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE")
"""Where boto3 looks before it comes to the task role, without its files."""
_PLACES = {
    "assume-role": "a role_arn in the AWS profile (AWS_PROFILE, AWS_CONFIG_FILE)",
    "assume-role-with-web-identity": "AWS_WEB_IDENTITY_TOKEN_FILE, or a web_identity_token_file in the AWS profile",
    "boto-config": "BOTO_CONFIG, /etc/boto.cfg or ~/.boto",
    "config-file": "AWS_CONFIG_FILE or ~/.aws/config",
    "custom-process": "a credential_process in the AWS profile (AWS_PROFILE, AWS_CONFIG_FILE)",
    "ec2-credentials-file": "AWS_CREDENTIAL_FILE",
    "env": "AWS_ACCESS_KEY_ID",
    "shared-credentials-file": "AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials",
}
"""Where credentials are that each method of boto3's finds."""
_DEPLOYMENT = ("ecs:DescribeServices", "ecs:DescribeTasks")


def task_findings(facts: Facts) -> Iterator[Finding]:
    """What there is to say of the task; nothing outside ECS."""
    if facts.is_off and not sign_of_ecs(facts.environ):
        return
    yield from _role(facts)
    yield from _shadows(facts)
    yield from _metadata(facts)
    yield from _service(facts)
    yield from _state(facts)
    yield from _init(facts)
    yield from _retire(facts)


def _role(facts: Facts) -> Iterator[Finding]:
    answered = facts.backend == "agent" and facts.answer is not None and facts.answer.outcome is Outcome.CONFIRMED
    if answered:  # the agent asks by it, and by nothing else
        yield Finding(check="role", level=Level.OK, text="the task has a role: the agent was answered by it")
    elif any(facts.environ.get(name) for name in _ROLE):
        yield Finding(check="role", level=Level.OK, text="the task has a role")
    else:
        text = f"the task seems to have no role: {_ROLE[0]} is not set"
        remedy = "name a taskRoleArn in the task definition; the execution role is another one"
        yield Finding(check="role", level=Level.WARNING, text=text, remedy=remedy)


def _shadows(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.credentials, Fault):
        fault = facts.credentials
        text = f"boto3 stumbles over its credentials, and does not come to the task role's: {fault.reason}"
        text = f"{text} ({fault.detail})" if fault.detail else text
        remedy = remedy_for(fault.reason) or "look at AWS_PROFILE, AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE"
        yield Finding(check="credentials", level=Level.WARNING, text=text, remedy=remedy)
        return
    found = [name for name in _SHADOWS if facts.environ.get(name)]
    names = _PLACES.get(facts.credentials, facts.credentials) if facts.credentials else " and ".join(found)
    if facts.credentials or (found and facts.boto3_missing and facts.needs_boto3):
        text = f"{names}: boto3 takes these credentials, and not the task role's"
        remedy = "keep them from the workers, or allow what protectwork needs to those credentials too"
        yield Finding(check="credentials", level=Level.WARNING, text=text, remedy=remedy)
    elif found and not facts.needs_boto3:
        text = f"{names}: boto3 takes these credentials, and not the task role's; the agent is not concerned"
        yield Finding(check="credentials", level=Level.NOTE, text=text)


def _metadata(facts: Facts) -> Iterator[Finding]:
    match facts.metadata:
        case None:
            return
        case TaskMetadata() as task:
            kind = f", {task.launch_type}" if task.launch_type else ""
            text = f"{task.family}:{task.revision} in cluster {task.cluster}{kind}: {task.task_arn}"
            yield Finding(check="task", level=Level.OK, text=text)
            yield from _stop(task)
        case error:
            level = Level.WARNING if facts.needs_boto3 else Level.NOTE
            remedy = "look at ECS_CONTAINER_METADATA_URI_V4, which must be as ECS set it"
            text = str(error).removesuffix(f"; {remedy}")
            yield Finding(check="task", level=level, text=text, remedy=remedy)


def _stop(task: TaskMetadata) -> Iterator[Finding]:
    if task.stopping:
        text = "ECS is stopping this task: SIGTERM has been sent, and SIGKILL follows"
        yield Finding(check="stop", level=Level.WARNING, text=text, remedy="let its work end; it cannot be kept")
    else:
        most = ", 120 s at most" if task.launch_type == "FARGATE" else ""
        text = (
            f"from SIGTERM to SIGKILL it takes stopTimeout, which the metadata does not tell: 30 s unless the task"
            f" definition says otherwise{most}; nor does it tell of Spot, which protection does not hold off"
        )
        yield Finding(check="stop", level=Level.NOTE, text=text)


def _service(facts: Facts) -> Iterator[Finding]:
    answer = facts.answer
    if answer and answer.outcome is Outcome.NOT_A_SERVICE_TASK:
        text = "the task belongs to no service: only tasks of services can be protected, and only they need it"
        yield Finding(check="service", level=Level.WARNING, text=text, remedy="set PROTECTWORK_BACKEND=off")
    elif isinstance(facts.metadata, TaskMetadata) and facts.metadata.service_name:
        yield Finding(check="service", level=Level.OK, text=f"a task of the service {facts.metadata.service_name}")
    elif answer and answer.outcome is Outcome.CONFIRMED:
        yield Finding(check="service", level=Level.OK, text="a task of a service, as ECS answers for its protection")


def _state(facts: Facts) -> Iterator[Finding]:
    view = facts.view
    if view is None:
        return
    where = printable(view.directory) if view.directory else None
    if view.available is False:
        text = f"the processes of the task cannot share their state with this one: {view.reason}"
        remedy = "run this as the workers' user; or set PROTECTWORK_STATE_DIR to a directory that all may use"
        yield Finding(check="state", level=Level.WARNING, text=text, remedy=remedy)
    elif view.directory is None:
        yield Finding(check="state", level=Level.NOTE, text="no process of the task has shared its state here yet")
    else:
        number = len(view.told or ())
        text = f"{where}, shared by {number} process{'' if number == 1 else 'es'} at the moment"
        yield Finding(check="state", level=Level.OK, text=text)


def _init(facts: Facts) -> Iterator[Finding]:
    init = facts.init
    if init is None:
        return
    name = printable(init.name)
    if init.forwards:
        yield Finding(check="init", level=Level.OK, text=f"the first process, {name}, passes SIGTERM on")
        return
    if init.catches_sigterm:
        yield Finding(check="init", level=Level.OK, text=f"the first process, {name}, handles SIGTERM")
        return
    if init.is_shell:
        kind, remedy = "is a shell, which", "start the worker with exec, or in the JSON form of CMD"
    else:
        kind, remedy = "has no handler for it, and so", "let it handle SIGTERM"
    text = f"SIGTERM reaches no worker: the first process, {name}, {kind} swallows it until SIGKILL comes"
    remedy = f"{remedy}; or set initProcessEnabled in the task definition"
    yield Finding(check="init", level=Level.WARNING, text=text, remedy=remedy)


def _retire(facts: Facts) -> Iterator[Finding]:
    if not facts.settings.retire_when_superseded or facts.is_off:
        return
    if facts.boto3_missing:
        text = "without boto3 retire_when_superseded sees that ECS stops the task, but no newer deployment"
        yield Finding(check="retire", level=Level.WARNING, text=text, remedy=facts.boto3_missing)
    elif facts.metadata is None:
        text = "retire_when_superseded is off: ECS_CONTAINER_METADATA_URI_V4 is not set"
        yield Finding(check="retire", level=Level.WARNING, text=text, remedy="let it reach this process, as ECS set it")
    match facts.superseded:
        case EcsError() as error:
            denied = isinstance(error, EcsAccessError)
            allow = f"allow it on the task role: {statement(*_DEPLOYMENT, task_arn=facts.task_arn)}"
            yield Finding(
                check="retire",
                level=Level.WARNING,
                text=f"{error.operation} failed: {error.reason}",
                remedy=allow if denied and "AccessDenied" in error.reason else error.remedy,
            )
        case True:
            text = "a newer deployment is primary: once a refusal has shown it, workers take no new work"
            yield Finding(check="retire", level=Level.NOTE, text=text)
        case False:
            yield Finding(check="retire", level=Level.OK, text="the task's deployment is the primary one")
        case None:
            return
