"""What several files of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from protectwork import ProtectionManager, Settings
from protectwork.testing import RecordingBackend

from .sqs_client import held


@pytest.fixture(scope="module")
def protecting() -> Iterator[ProtectionManager]:
    """A manager whose task is protected already, and stays so: no test has to wait for that."""
    with ProtectionManager(RecordingBackend(), settings=Settings(linger=600)) as manager:
        with manager.protect("the first"):
            pass
        yield manager


@pytest.fixture
def manager(protecting: ProtectionManager) -> Iterator[ProtectionManager]:
    """The same, for tests that leave no hold behind."""
    yield protecting
    assert held(protecting) == []
