"""The ways to ECS, each loaded only when it is chosen: ``import protectwork`` loads no HTTP and no AWS library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec

from protectwork._backend import Backend
from protectwork._clock import Clock
from protectwork._errors import SettingsError
from protectwork.backends._ecs_faults import remedy_for
from protectwork.backends.null import NullBackend

__all__ = ["boto3_missing", "choose_backend", "remedy_for", "require_boto3", "sign_of_ecs", "why_off"]

_AGENT_VARIABLE = "ECS_AGENT_URI"
_METADATA_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"
_INSTALL = 'pip install "protectwork[ecs]"'


def choose_backend(name: str, *, environ: Mapping[str, str], allow_endpoint: Sequence[str], clock: Clock) -> Backend:
    """Build the backend that ``name`` stands for; makes no call.

    Args:
        name: ``agent``, ``ecs``, ``off``, or ``auto``: the agent where ``ECS_AGENT_URI`` is set; else the ECS API where
            ``ECS_CONTAINER_METADATA_URI_V4`` is set and boto3 is installed; else off.
        environ: Where these are looked up; empty counts as not set.
        allow_endpoint: Host names, addresses or networks that they may lead to, beside loopback, link-local and
            private.
        clock: What the backend tells the time of sending by.

    Raises:
        SettingsError: What is asked for lacks its variable, or boto3; or the variable is not one that may be called.
    """
    if name not in {"auto", "agent", "ecs", "off"}:
        raise SettingsError(setting="backend", rule="auto, agent, ecs or off", value=repr(name))
    if name == "auto":
        name = "agent" if environ.get(_AGENT_VARIABLE) else "off" if why_off(environ) else "ecs"
    if name == "off":
        return NullBackend()
    make = _agent if name == "agent" else _ecs
    return make(environ, allow_endpoint, clock)


def why_off(environ: Mapping[str, str]) -> str | None:
    """Say what is missing, and what to do about it, where ``auto`` finds nothing to protect by; None where it does."""
    if environ.get(_AGENT_VARIABLE):
        return None
    if not environ.get(_METADATA_VARIABLE):
        return f"{_AGENT_VARIABLE} is missing: it takes container agent 1.65.0 or later, and has to reach this process"
    if missing := boto3_missing():
        return f"{_AGENT_VARIABLE} is missing, and for the ECS API so is boto3: {missing}"
    return None


def sign_of_ecs(environ: Mapping[str, str]) -> str | None:
    """What tells that this is ECS, agent or not; None where nothing does."""
    execution = environ.get("AWS_EXECUTION_ENV", "")
    if execution.startswith("AWS_ECS"):
        return f"AWS_EXECUTION_ENV is {execution[:40]!r}"
    return f"{_METADATA_VARIABLE} is set" if environ.get(_METADATA_VARIABLE) else None


def boto3_missing() -> str | None:
    """How to install boto3, where it cannot be found; it is not loaded."""
    return None if find_spec("boto3") else _INSTALL


def require_boto3(purpose: str) -> None:
    """See to it that boto3 is installed.

    Raises:
        SettingsError: It is not; `purpose` is what it would be needed for.
    """
    if missing := boto3_missing():
        raise SettingsError(setting="boto3", rule=f"installed for {purpose}", value="nothing", remedy=missing)


def _agent(environ: Mapping[str, str], allow_endpoint: Sequence[str], clock: Clock) -> Backend:
    uri = environ.get(_AGENT_VARIABLE)
    if not uri:
        remedy = "ECS sets it from agent 1.65.0 on; elsewhere leave backend at auto"
        raise SettingsError(setting=_AGENT_VARIABLE, rule="set for the backend agent", value="nothing", remedy=remedy)
    from protectwork.backends.agent import AgentBackend  # noqa: PLC0415 - httpx is loaded only inside ECS

    return AgentBackend(uri, allow_endpoint=allow_endpoint, clock=clock)


def _ecs(environ: Mapping[str, str], allow_endpoint: Sequence[str], clock: Clock) -> Backend:
    require_boto3("the backend ecs")
    from protectwork.backends.ecs import EcsBackend  # noqa: PLC0415 - httpx is loaded only inside ECS

    return EcsBackend(environ.get(_METADATA_VARIABLE), allow_endpoint=allow_endpoint, clock=clock)
