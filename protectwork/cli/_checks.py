"""What doctor makes of what it has seen: the way to ECS, and what ECS says (PURE: facts in, findings out)."""

from __future__ import annotations

from collections.abc import Iterator

from protectwork import Answer, Outcome
from protectwork._observers import said
from protectwork.backends import sign_of_ecs, why_off
from protectwork.cli._checks_task import task_findings
from protectwork.cli._facts import Facts
from protectwork.cli._findings import Finding, Level, statement
from protectwork.cli._holders import Holders, in_words
from protectwork.cli._remedies import remedy_of

__all__ = ["findings_of"]

_ALLOWED = ("ecs:GetTaskProtection", "ecs:UpdateTaskProtection")
_SLOW_S = 2.0
_MILD = frozenset({Outcome.THROTTLED, Outcome.REFUSED})
"""What passes by itself."""


def findings_of(facts: Facts, *, wall_s: float) -> list[Finding]:
    """Everything there is to say, in the order in which one would look.

    Args:
        facts: What was seen.
        wall_s: The time, in seconds since the epoch.
    """
    calls = [] if facts.answer is None else [*_get(facts, facts.answer, wall_s), *_put(facts), *_idle(facts, wall_s)]
    return [*_settings(facts), *_where(facts), *calls, *task_findings(facts)]


def _settings(facts: Facts) -> Iterator[Finding]:
    if bad := facts.bad_settings:
        text = f"{bad}: nothing is protected"
        yield Finding(check="settings", level=Level.BROKEN, text=text, remedy=f"mend or unset {bad.setting}")
    for unknown in facts.unknown:
        yield Finding(check="settings", level=Level.WARNING, text=unknown, remedy="rename or unset it")
    if not (facts.bad_settings or facts.unknown):
        yield Finding(check="settings", level=Level.OK, text="every setting is within its rule")


def _where(facts: Facts) -> Iterator[Finding]:
    """Whether this is ECS, and which way to it was chosen."""
    sign = sign_of_ecs(facts.environ)
    if facts.bad_backend:
        error = facts.bad_backend
        text = f"{error.setting} must be {error.rule}, got {error.value}"
        yield Finding(check="backend", level=Level.BROKEN, text=text, remedy=error.remedy or f"mend {error.setting}")
    elif not facts.is_off:
        yield Finding(check="backend", level=Level.OK, text=f"{facts.backend}: {_why(facts)}")
    elif facts.settings.backend == "off":
        level = Level.WARNING if sign or facts.environ.get("ECS_AGENT_URI") else Level.NOTE
        text = f"turned off by {facts.origins['backend']}: nothing is protected"
        yield Finding(check="backend", level=level, text=text, remedy="unset PROTECTWORK_BACKEND to turn it on")
    elif sign:
        text = f"{sign}, so this is ECS, but nothing can be protected"
        yield Finding(check="backend", level=Level.BROKEN, text=text, remedy=why_off(facts.environ))
    else:
        text = "this is not an ECS task (ECS_AGENT_URI is not set): everything works, and nothing is protected"
        yield Finding(check="backend", level=Level.NOTE, text=text)


def _why(facts: Facts) -> str:
    if facts.settings.backend != "auto":
        return f"chosen by {facts.origins['backend']}"
    return "ECS_AGENT_URI is set" if facts.backend == "agent" else "there is no ECS_AGENT_URI, but metadata and boto3"


def _get(facts: Facts, answer: Answer, wall_s: float) -> Iterator[Finding]:
    took = f"{facts.answer_s * 1000:.0f} ms"
    match answer.outcome:
        case Outcome.CONFIRMED:
            state = f"is protected{_left(answer, wall_s)}" if answer.protected else "is not protected"
        case Outcome.NOT_A_SERVICE_TASK:
            state = "belongs to no service"
        case _:
            yield _bad("get", f"asked whether the task is protected: {said(answer)}, after {took}", answer, facts)
            return
    slow = facts.answer_s > _SLOW_S
    yield Finding(
        check="get",
        level=Level.WARNING if slow else Level.OK,
        text=f"{'the ECS API' if facts.backend == 'ecs' else 'the agent'} answered in {took}: the task {state}",
        remedy="a call is given up after 6 s: look at the load of the host, and at the way to ECS" if slow else None,
    )


def _left(answer: Answer, wall_s: float) -> str:
    if answer.expires_at is None:
        return ""
    return f" for {in_words(max(answer.expires_at.timestamp() - wall_s, 0.0))} more"


def _put(facts: Facts) -> Iterator[Finding]:
    """Whether protection may be changed from here."""
    if facts.answer is None or facts.answer.outcome is not Outcome.CONFIRMED:
        return
    trial = facts.trial
    if trial is None:
        text = "not tried: an enable would replace the expiry of the protection that stands"
        yield Finding(check="put", level=Level.NOTE, text=text, remedy="--try joins or extends it, and gives it back")
    elif trial.answer is None:
        remedy = "run it as the user of the workers, when nobody works"
        yield Finding(check="put", level=Level.NOTE, text=f"not tried: {trial.why_not}", remedy=remedy)
    elif trial.answer.outcome is not Outcome.CONFIRMED:
        yield _bad("put", f"asked for a change: {said(trial.answer)}", trial.answer, facts)
    elif not facts.tried:
        yield Finding(check="put", level=Level.OK, text="allowed: ECS took the state that the task was in already")
    elif trial.released:
        text = "allowed: the task was protected by a lease, which was given back unless others work"
        yield Finding(check="put", level=Level.OK, text=text)
    else:
        text = "the task was protected, and could not be released at once: that ends with its lease"
        yield Finding(check="put", level=Level.WARNING, text=text, remedy="look again with protectwork status")


def _bad(check: str, text: str, answer: Answer, facts: Facts) -> Finding:
    level = Level.WARNING if answer.outcome in _MILD else Level.BROKEN
    remedy = remedy_of(answer, backend=facts.backend or "")
    if answer.outcome is Outcome.MISCONFIGURED and "AccessDenied" in (answer.reason or "") and not answer.may_pass:
        remedy = f"allow it on the task role: {statement(*_ALLOWED, task_arn=facts.task_arn)}"
    return Finding(check=check, level=level, text=text, remedy=remedy)


def _idle(facts: Facts, wall_s: float) -> Iterator[Finding]:
    """Whether work runs without protection."""
    if facts.answer is None or facts.answer.protected is not False:
        return
    count = Holders(facts.view, wall_s=wall_s).in_flight
    if count:
        text = f"{count} in flight, and the task is not protected"
        remedy = "look for what the workers log of protectwork; a refusal is asked again for within 5 min"
        yield Finding(check="work", level=Level.WARNING, text=text, remedy=remedy)
