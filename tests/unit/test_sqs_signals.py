"""SIGTERM ends what consumes, in whatever order that comes and goes, and afterwards does what it did before."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import programs
import pytest
from protectwork_sqs import protected_messages

from protectwork import ProtectionManager

from .sqs_client import URL, MemoryClient, options

TESTS = str(Path(__file__).parents[1])


@pytest.fixture
def begin(manager: ProtectionManager) -> Callable[[], Any]:
    messages = protected_messages(MemoryClient(messages=3), URL, **options(manager))

    def begin() -> Any:
        iteration = iter(messages)
        next(iteration)
        return iteration

    return begin


def test_loops_that_end_in_any_order_leave_sigterm_as_it_was(begin: Callable[[], Any]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    first, second = begin(), begin()
    first.close()
    os.kill(os.getpid(), signal.SIGTERM)
    assert list(second) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_ends_all_loops_and_calls_what_it_called_before_once(begin: Callable[[], Any]) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    try:
        first, second = begin(), begin()
        os.kill(os.getpid(), signal.SIGTERM)
        assert [*first, *second] == []
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


_CLOSED_ELSEWHERE = """
import os, signal, threading
from unit.sqs_client import URL, MemoryClient
from protectwork import ProtectionManager, Settings
from protectwork_sqs import protected_messages

manager = ProtectionManager(settings=Settings(backend="off"))
iteration = iter(protected_messages(MemoryClient(messages=1), URL, manager=manager))
next(iteration)
closing = threading.Thread(target=iteration.close)
closing.start()
closing.join()
os.kill(os.getpid(), signal.SIGTERM)
print("still alive")
"""


def test_a_loop_that_another_thread_has_closed_does_not_keep_sigterm_from_ending_the_process() -> None:
    done = programs.run(_CLOSED_ELSEWHERE, PYTHONPATH=TESTS)
    assert (done.code, done.out) == (-signal.SIGTERM, ""), done.err


_CHILD = """
import os, signal
from unit.sqs_client import URL, MemoryClient
from protectwork import ProtectionManager, Settings
from protectwork_sqs import protected_messages

def consume(inside):
    manager = ProtectionManager(settings=Settings(backend="off"))
    for message in protected_messages(MemoryClient(messages=3), URL, manager=manager):
        inside()

def fork():
    if child := os.fork():
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        os.kill(os.getpid(), signal.SIGTERM)
    else:
        consume(lambda: (os.kill(os.getpid(), signal.SIGTERM), print("child", flush=True)))
        os._exit(0)

consume(lambda: (fork(), print("parent", flush=True)))
"""


def test_sigterm_ends_what_a_forked_child_consumes_as_well_as_in_its_parent() -> None:
    done = programs.run(_CHILD, PYTHONPATH=TESTS)
    assert (done.code, done.lines) == (0, ["child", "parent"]), done.err
