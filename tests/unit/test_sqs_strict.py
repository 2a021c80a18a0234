"""The strict order: protected as long as messages come, and away only when none do."""

from __future__ import annotations

import time

from protectwork_sqs import protected_messages

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
