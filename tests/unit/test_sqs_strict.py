"""The strict order: protected as long as messages come, and away only when none do."""

from __future__ import annotations

import time

import pytest
from protectwork_sqs import protected_messages
from protectwork_sqs._vigil import Vigil

from protectwork import ProtectionManager, Settings
from protectwork.testing import RecordingBackend

from .sqs_client import URL, MemoryClient, options

LINGER_S = 0.2
MESSAGES = 6


def test_a_loop_for_which_messages_come_does_not_stay_away_however_long_its_bodies_take() -> None:
    client, backend = MemoryClient(messages=MESSAGES), RecordingBackend()
    with ProtectionManager(backend, settings=Settings(linger=LINGER_S)) as manager:
        messages = protected_messages(client, URL, strict=True, **options(manager))
        for message in messages:
            time.sleep(LINGER_S / 2 if message.id == "m0" else LINGER_S * 1.5)
            assert "disable" not in [call.name for call in backend.calls]
            if message.id == f"m{MESSAGES - 1}":
                messages.stop()
    assert not client.left()


class Waiting:
    """Vigils that wait for messages which never come, side by side, an hour in steps of a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = 0.0
        monkeypatch.setattr("protectwork_sqs._vigil.steady_now", lambda: self._now)

    def an_hour_of(self, *vigils: Vigil) -> list[list[bool]]:
        """Whether each might receive, each second."""
        hour = [self.step(*vigils) for _ in range(3600)]
        for each in vigils:
            each.end()
        return hour

    def step(self, *vigils: Vigil) -> list[bool]:
        """The same of one second."""
        self._now += 1.0
        return [self._may_receive(each) for each in vigils]

    @staticmethod
    def _may_receive(vigil: Vigil) -> bool:
        flow = vigil.keep(busy=False)
        try:
            while True:
                flow.send(None)
        except StopIteration as end:
            return bool(end.value)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    return Waiting(monkeypatch)


def vigil(manager: ProtectionManager) -> Vigil:
    return Vigil(manager, linger_s=30, name="jobs")


def test_it_does_not_stay_away_while_other_work_of_the_process_keeps_the_task_protected(
    manager: ProtectionManager, waiting: Waiting
) -> None:
    with manager.protect("other work"):
        hour = waiting.an_hour_of(vigil(manager))
    assert all(may for (may,) in hour)


def test_it_stays_away_for_no_longer_than_others_wait_where_what_holds_is_not_known_to_be_work(
    manager: ProtectionManager, waiting: Waiting
) -> None:
    with manager.protect("others: waits for messages"):
        hour = waiting.an_hour_of(vigil(manager))
    assert 0.3 < sum(may for (may,) in hour) / len(hour) < 0.5


def test_two_that_only_wait_do_not_keep_the_task_protected_between_them(
    manager: ProtectionManager, waiting: Waiting
) -> None:
    hour = waiting.an_hour_of(vigil(manager), vigil(manager))
    assert sum(not any(both) for both in hour) / len(hour) > 0.5


def test_time_for_which_others_worked_is_not_made_up_for(manager: ProtectionManager, waiting: Waiting) -> None:
    waits = vigil(manager)
    with manager.protect("other work"):
        for _ in range(3000):
            waiting.step(waits)
    after = [waiting.step(waits) for _ in range(1100)]
    waits.end()
    away = after.index([False])
    assert [True] in after[away:]
