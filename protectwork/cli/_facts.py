"""What doctor looks at, and what it sees there: gathered once, judged elsewhere (EFFECTS)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from protectwork import Answer, EcsError, MetadataError, Outcome, Settings, SettingsError
from protectwork._backend import Backend
from protectwork._ledger import View, look_in
from protectwork._settings import BackendName, Origin, origins, unknown_variables
from protectwork._waiting import SystemClock
from protectwork.backends import boto3_missing, choose_backend
from protectwork.backends._deployments import Deployments
from protectwork.backends._ecs_faults import Fault
from protectwork.backends.ecs import EcsApi, own_credentials
from protectwork.backends.metadata import VARIABLE, TaskMetadata, read_task_metadata
from protectwork.backends.null import NullBackend
from protectwork.cli._init_process import Init, look_at_init
from protectwork.cli._trial import Trial, hindrance, leased, probed

__all__ = ["Facts", "gather"]

_OFF = NullBackend()
_MAY_PASS = frozenset({Outcome.AMBIGUOUS, Outcome.UNAVAILABLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What there is to be seen from here.

    Attributes:
        environ: The environment; values of it are not for showing.
        settings: What is in force; the defaults, where `bad_settings` says that the environment holds a bad value.
        bad_settings: The bad value.
        origins: Where each setting comes from.
        unknown: What there is to say of each variable that is no setting.
        backend: The name of the chosen backend; None where `bad_backend` says why there is none.
        bad_backend: Why the chosen backend cannot be used.
        answer: What a GET came to; None where nobody was asked.
        answer_s: How long that took, in seconds.
        metadata: The task, or why it is not known; None where the variable is not set.
        superseded: Whether a newer deployment is primary, or why that is not known; None where nobody was asked.
        view: The state that the processes of the task share; None where it was not looked for.
        trial: What came of asking for a change; None where it was not tried.
        tried: A change was asked for by ``--try``.
        init: The first process of the container; None where it is not known.
        credentials: By which method boto3 finds credentials that hide the task role, or what it stumbles over; None
            where there are none, and where boto3 is not needed.
        boto3_missing: How to install boto3; None where it is installed.
    """

    environ: Mapping[str, str]
    settings: Settings
    bad_settings: SettingsError | None = None
    origins: Mapping[str, Origin]
    unknown: tuple[str, ...] = ()
    backend: str | None = None
    bad_backend: SettingsError | None = None
    answer: Answer | None = None
    answer_s: float = 0.0
    metadata: TaskMetadata | MetadataError | SettingsError | None = None
    superseded: bool | EcsError | None = None
    view: View | None = None
    trial: Trial | None = None
    tried: bool = False
    init: Init | None = None
    credentials: str | Fault | None = None
    boto3_missing: str | None = None

    @property
    def needs_boto3(self) -> bool:
        """Whether boto3 has questions to ask here: by the task role."""
        return self.backend == "ecs" or self.settings.retire_when_superseded

    @property
    def is_off(self) -> bool:
        """Whether nothing is protected from here."""
        return self.backend == _OFF.name

    @property
    def task_arn(self) -> str | None:
        """The task, as the metadata or else ECS names it."""
        if isinstance(self.metadata, TaskMetadata):
            return self.metadata.task_arn
        return self.answer.task_arn if self.answer else None


def gather(environ: Mapping[str, str], *, backend: BackendName | None, tries: bool) -> Facts:
    """Look at everything, one thing after the other. Blocks for half a minute at most, usually for a second.

    Args:
        environ: The environment.
        backend: Whom to ask; what the settings choose when not given.
        tries: Whether protection may be changed, to see whether it can be.
    """
    facts = _settings_facts(environ, backend)
    try:
        chosen = choose_backend(
            facts.settings.backend,
            environ=environ,
            allow_endpoint=facts.settings.allow_endpoint,
            clock=SystemClock(),
        )
    except SettingsError as error:
        facts = replace(facts, bad_backend=error)
    else:
        facts = _with_answers(replace(facts, backend=chosen.name), chosen, tries=tries)
    facts = replace(facts, init=look_at_init(), boto3_missing=boto3_missing())
    if facts.needs_boto3 and not facts.is_off and not facts.boto3_missing:
        facts = replace(facts, credentials=own_credentials())
    return _with_task(facts)


def _settings_facts(environ: Mapping[str, str], backend: BackendName | None) -> Facts:
    bad = None
    try:
        settings = Settings.from_env(environ, backend=backend)
    except SettingsError as error:
        settings, bad = Settings(backend=backend or "auto"), error
    return Facts(
        environ=environ,
        settings=settings,
        bad_settings=bad,
        origins=origins({} if bad else environ, arguments=() if backend is None else ("backend",)),
        unknown=unknown_variables(environ),
    )


def _with_answers(facts: Facts, backend: Backend, *, tries: bool) -> Facts:
    """What ECS says of the task's protection, and lets be done with it."""
    if facts.is_off:
        return facts
    answer, took_s = _timed(backend)
    if answer.outcome in _MAY_PASS:  # or it took too long to load what the call takes
        answer, took_s = _timed(backend)
    scope = str(getattr(backend, "scope", ""))
    state_dir = None if facts.settings.state_dir is None else os.fspath(facts.settings.state_dir)
    facts = replace(facts, answer=answer, answer_s=took_s, view=look_in(state_dir, endpoint=scope), tried=tries)
    if answer.outcome is not Outcome.CONFIRMED or (answer.protected and not tries):
        return facts
    if why_not := hindrance(facts.view or View()):
        return replace(facts, trial=Trial(why_not=why_not))
    if tries:
        trial = leased(backend, settings=facts.settings, state_dir=state_dir, scope=scope)
    else:
        trial = probed(backend, state_dir=state_dir, scope=scope)
    return replace(facts, trial=trial)


def _timed(backend: Backend) -> tuple[Answer, float]:
    began = time.monotonic()
    return backend.get(), time.monotonic() - began


def _with_task(facts: Facts) -> Facts:
    """What the metadata says of the task, and, if retiring asks for it, the ECS API of its deployment."""
    if not facts.environ.get(VARIABLE):
        return facts
    try:
        task = read_task_metadata(facts.environ, allow_endpoint=facts.settings.allow_endpoint)
    except (SettingsError, MetadataError) as error:
        return replace(facts, metadata=error)
    facts = replace(facts, metadata=task)
    if facts.is_off or not facts.settings.retire_when_superseded or facts.boto3_missing:
        return facts
    try:
        return replace(facts, superseded=Deployments(EcsApi(region=task.region), task).superseded())
    except EcsError as error:
        return replace(facts, superseded=error)
