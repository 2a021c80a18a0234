"""The ways to ECS, each loaded only when it is chosen: ``import protectwork`` loads no HTTP library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from protectwork._backend import Backend
from protectwork._clock import Clock
from protectwork._errors import SettingsError
from protectwork.backends.null import NullBackend

__all__ = ["choose_backend"]

_AGENT_VARIABLE = "ECS_AGENT_URI"


def choose_backend(name: str, *, environ: Mapping[str, str], allow_endpoint: Sequence[str], clock: Clock) -> Backend:
    """Build the backend that ``name`` stands for; makes no call.

    Args:
        name: ``agent``, ``off``, or ``auto``: the agent where ``ECS_AGENT_URI`` is set, off where it is not.
        environ: Where ``ECS_AGENT_URI`` is looked up; empty counts as not set.
        allow_endpoint: Host names, addresses or networks that it may lead to, beside loopback, link-local and private.
        clock: What the backend tells the time of sending by.

    Raises:
        SettingsError: The agent is asked for and ``ECS_AGENT_URI`` is missing, or not one that may be called.
    """
    uri = environ.get(_AGENT_VARIABLE)
    if name == "off" or (name == "auto" and not uri):
        return NullBackend()
    if name not in {"auto", "agent"}:
        raise SettingsError(setting="backend", rule="auto, agent or off", value=repr(name))
    if not uri:
        remedy = "ECS sets it from agent 1.65.0 on; elsewhere leave backend at auto"
        raise SettingsError(setting=_AGENT_VARIABLE, rule="set for the backend agent", value="nothing", remedy=remedy)
    from protectwork.backends.agent import AgentBackend  # noqa: PLC0415 - httpx is loaded only inside ECS

    return AgentBackend(uri, allow_endpoint=allow_endpoint, clock=clock)
