"""A consumer on a thread of the test's own process, of any shape."""

from __future__ import annotations

import threading
from typing import Any

from integrations.sqs.program import Plan
from integrations.sqs.wire import BOUND_S


class Consuming:
    """One that has begun.

    Args:
        plan: What it does.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._made: Any = None
        self._begun = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._begun.wait(BOUND_S)

    def stop(self) -> None:
        """Stop it, as a user would."""
        if self._made:
            self._made.stop()

    def over(self) -> BaseException | None:
        """Wait until it has ended; what it ended with."""
        self._thread.join(BOUND_S)
        assert not self._thread.is_alive(), f"it has not ended within {BOUND_S:g} s"
        return self.error

    def _run(self) -> None:
        try:
            self._plan.carry_out(self._note)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error
        finally:
            self._begun.set()

    def _note(self, made: Any) -> None:
        self._made = made
        self._begun.set()
