"""What several files of tests share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import botocore.session
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


@pytest.fixture(scope="session", autouse=True)
def one_loader() -> Iterator[None]:
    """All sessions of botocore's read its files once: a client costs 0.02 s then, and not 0.2."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        yield
