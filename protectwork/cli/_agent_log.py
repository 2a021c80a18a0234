"""What a fake agent has to tell, in lines for people: each request, and each change of the task's protection."""

from __future__ import annotations

from dataclasses import dataclass

from protectwork.testing import Call, Cause, Change, Exchange, FakeAgent

__all__ = ["AgentLog", "Line"]


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One thing that happened, and when, on the agent's time."""

    time: float
    text: str


class AgentLog:
    """Reads the timeline of one agent, each time from where it was left."""

    def __init__(self, agent: FakeAgent) -> None:
        self._agent = agent
        self._calls = 0
        self._changes = 0

    def news(self) -> list[Line]:
        """What happened since it was last asked, oldest first."""
        # The changes first: the agent enters a request together with what it changed, so no change is told without.
        changes, calls = self._agent.changes[self._changes :], self._agent.calls[self._calls :]
        self._changes += len(changes)
        self._calls += len(calls)
        lines = [*map(_request, calls), *map(_change, changes)]
        return sorted(lines, key=lambda line: line.time)

    def has_news(self) -> bool:
        """Whether there is something that was not told yet."""
        return len(self._agent.calls) > self._calls or len(self._agent.changes) > self._changes


def _request(exchange: Exchange) -> Line:
    asked = exchange.call or f"{exchange.method} {exchange.path!r}"
    minutes = f" {exchange.minutes or 120} min" if exchange.call is Call.ENABLE else ""
    answered = "no answer" if exchange.status is None else f"HTTP {exchange.status}"
    fault = f", by the fault {exchange.fault}" if exchange.fault else ""
    return Line(exchange.time, f"{asked}{minutes}: {answered}{fault}")


def _change(change: Change) -> Line:
    by = "" if change.cause is Cause.CALL else f", by {change.cause}"
    if change.expires is None:
        return Line(change.time, f"the task is no longer protected{by}")
    return Line(change.time, f"the task is protected for {(change.expires - change.time) / 60:g} min{by}")
