"""Whether the worker takes messages: not while admission is closed."""

from __future__ import annotations

from protectwork import ProtectionManager
from protectwork_celery._celery import Consumer, is_closing

__all__ = ["Intake"]


class Intake:
    """Stops and resumes the consumption of a worker, as admission says.

    What was taken before runs on; ``worker_prefetch_multiplier=1`` keeps that little. Celery's own ways do not do:
    a prefetch count of 0 means no limit, and the remote command to cancel forgets the queues.
    """

    def __init__(self, consumer: Consumer, manager: ProtectionManager) -> None:
        self._consumer, self._manager = consumer, manager
        self._stopped = False  # changed on the consumer's thread only

    def look(self) -> None:
        """Have the consumer do as admission says; any thread may call it. Never blocks."""
        if self._stopped == self._manager.admission.is_open:
            self._consumer.call_soon(self.apply)

    def begin_anew(self) -> None:
        """The consumer has connected again, and is about to consume."""
        self._stopped = False
        self.apply()

    def apply(self) -> None:
        """Do as admission says, on the consumer's own thread."""
        tap = self._consumer.task_consumer
        if tap is None or is_closing(self._consumer) or self._stopped != self._manager.admission.is_open:
            return
        self._stopped = not self._stopped
        if self._stopped:
            tap.cancel()
            tap.consume = _not_now
        else:
            del tap.consume
            tap.consume()


def _not_now(*_: object, **__: object) -> None:
    """What Celery does whenever it begins its loop, or is told to consume from one more queue."""
