"""What happens in a lab, in lines for people: its events, and what its containers write."""

from __future__ import annotations

from collections.abc import Container

from protectwork.cli._agent_log import Line
from protectwork.lab import Event, EventKind, OutputLine, Service

__all__ = ["Story"]

_MOST_CHARS = 200


class Story:
    """Tells of one service, each time from where it was left; times are seconds since the first event.

    Args:
        service: The service; it has been started.
        kinds: Which events are told; all by default.
        output: Whether to tell what the containers write, too.
    """

    def __init__(
        self, service: Service, *, kinds: Container[EventKind] = frozenset(EventKind), output: bool = True
    ) -> None:
        self._service = service
        self._kinds, self._output = kinds, output
        self._began = service.now()
        self._events = self._lines = 0

    def news(self) -> list[Line]:
        """What happened since it was last asked, oldest first."""
        events = self._service.events[self._events :]
        self._events += len(events)
        written = self._service.output(self._lines) if self._output else []
        self._lines = written[-1].number + 1 if written else self._lines
        told = [self._event(event) for event in events if event.kind in self._kinds]
        told += map(self._written, written)
        return sorted(told, key=lambda line: line.time)

    def _event(self, event: Event) -> Line:
        words = (f"{event.task}: " if event.task else "", event.kind, f", {event.detail}" if event.detail else "")
        return self._line(event.time, "".join(words))

    def _written(self, line: OutputLine) -> Line:
        return self._line(
            line.time, "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(line))
        )

    def _line(self, time: float, text: str) -> Line:
        return Line(max(time - self._began, 0.0), text[:_MOST_CHARS])
