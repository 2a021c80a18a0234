"""The agent endpoint of an ECS task: one HTTP request per call, over within 6 s whatever the other side does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from protectwork._clock import Clock, steady_now
from protectwork._types import Answer, Outcome
from protectwork.backends._answers import classify
from protectwork.backends._endpoint import agent_url
from protectwork.backends._http import HttpExchange, request
from protectwork.backends._minutes import whole_minutes
from protectwork.backends._remote_text import escaped

__all__ = ["AgentBackend", "classify"]


class AgentBackend:
    """Calls ``$ECS_AGENT_URI/task-protection/v1/state``, and says what the answer means.

    Each call makes a connection of its own, for the agent closes idle ones; follows no redirect, takes nothing from
    the environment (no proxy, no netrc) and reads at most 64 KiB of body. It keeps nothing between calls: any thread
    may call it, and so may a forked child.

    Args:
        uri: The value of ``ECS_AGENT_URI``.
        allow_endpoint: Host names, addresses or networks that it may lead to, beside loopback, link-local and private.
        clock: What ``sent_at`` is told by; the machine's steady clock by default. Time-outs are always real time.
        deadline_s: How long one call may take in all, in seconds. The agent gives ECS 4 s.
        connect_s: How much of it may pass until the connection stands, in seconds.

    Raises:
        SettingsError: The URI is not one that may be called.
    """

    name = "agent"

    def __init__(
        self,
        uri: str,
        *,
        allow_endpoint: Sequence[str] = (),
        clock: Clock | None = None,
        deadline_s: float = 6.0,
        connect_s: float = 1.5,
    ) -> None:
        self.scope = agent_url(uri, allow=allow_endpoint)
        self._now = steady_now if clock is None else clock.now
        self._deadline_s = deadline_s
        self._connect_s = connect_s

    def enable(self, minutes: int) -> Answer:
        """Protect the task for ``minutes`` from now.

        Raises:
            SettingsError: ``minutes`` is not a whole number from 1 to 2880; the agent would pass on any other.
        """
        content = b'{"ProtectionEnabled":true,"ExpiresInMinutes":%d}' % whole_minutes(minutes)
        return self._call("PUT", content, asked=True)

    def disable(self) -> Answer:
        """End the protection of the task."""
        return self._call("PUT", b'{"ProtectionEnabled":false}', asked=False)

    def get(self) -> Answer:
        """Ask whether the task is protected, and until when."""
        return self._call("GET", None, asked=None)

    def _call(self, method: str, content: bytes | None, *, asked: bool | None) -> Answer:
        exchange = request(
            method,
            self.scope,
            content=content,
            deadline_s=self._deadline_s,
            connect_s=self._connect_s,
            now=self._now,
        )
        return replace(_answer(exchange, asked=asked), sent_at=exchange.sent_at)


def _answer(exchange: HttpExchange, *, asked: bool | None) -> Answer:
    """Say what came of one call, an answer or none."""
    if exchange.status is not None:
        return classify(exchange.status, exchange.body, asked=asked)
    nothing_sent = exchange.sent_at is None
    return Answer(
        outcome=Outcome.UNAVAILABLE if nothing_sent else Outcome.AMBIGUOUS,
        reason="no connection" if nothing_sent else "no usable answer",
        detail=escaped(f"{type(exchange.fault).__name__}: {exchange.fault}"),
    )
