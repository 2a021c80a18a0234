"""The hot path, counted: with a confirmed lease a hold costs no system call, no thread, no call and no memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from protectwork import Outcome, ProtectionManager, Settings
from protectwork._lease import Lease
from protectwork.testing import RecordingBackend


def test_a_hold_under_a_confirmed_lease_wakes_nobody_and_asks_nobody(monkeypatch) -> None:
    backend = RecordingBackend()
    with ProtectionManager(backend, settings=Settings()) as manager, manager.protect():
        steps: list[object] = []
        step = Lease.step
        monkeypatch.setattr(Lease, "step", lambda *arguments: steps.append(arguments) or step(*arguments))
        for _ in range(10_000):
            with manager.protect("job"):
                pass
        assert len(steps) <= 1, "the machine is stepped by its own clock at most"
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("protectwork-keeper") == 1
        assert [call.name for call in backend.calls] == ["get", "enable"]


@pytest.mark.parametrize("linger", [1, 20, 30, 900])
def test_short_jobs_one_after_the_other_wake_the_keeper_once_a_linger_at_most(linger: int) -> None:
    backend = RecordingBackend()
    with ProtectionManager(backend, settings=Settings(linger=linger)) as manager:
        with manager.protect():
            pass
        rings: list[None] = []
        began = time.monotonic()
        ring = manager._keeper._alarm.ring
        manager._keeper._alarm.ring = lambda: (rings.append(None), ring())  # type: ignore[attr-defined]
        for _ in range(10_000):
            with manager.protect("job"):
                pass
        assert len(rings) <= 1 + (time.monotonic() - began) / linger


def test_a_hundred_thousand_holds_leave_nothing_behind() -> None:
    backend = RecordingBackend()
    with ProtectionManager(backend, settings=Settings()) as manager, manager.protect():

        def holds(count: int) -> None:
            for number in range(count):
                with manager.protect(str(number)):
                    pass

        holds(1000)
        tracemalloc.start()
        before = tracemalloc.take_snapshot()
        holds(100_000)
        after = tracemalloc.take_snapshot()
        tracemalloc.stop()
        grown = sum(entry.size_diff for entry in after.compare_to(before, "filename"))
        assert grown < 20_000, f"{grown} bytes for 100,000 holds"
        assert manager.status().in_flight == 1


def test_refused_holds_leave_nothing_behind_either() -> None:
    backend = RecordingBackend()
    backend.answer_next(Outcome.REFUSED, times=1000)
    with ProtectionManager(backend, settings=Settings()) as manager, manager.protect():
        keeper = manager._keeper
        for _ in range(5000):
            with manager.protect():
                pass
        assert not keeper._waiters
        assert len(keeper.holds) == 1


PROGRAM = """
import os, sys, threading
from protectwork import Answer, Outcome, ProtectionManager, Settings

class Confirms:
    name = "confirms"
    def enable(self, minutes): return Answer(outcome=Outcome.CONFIRMED, protected=True)
    def disable(self): return Answer(outcome=Outcome.CONFIRMED, protected=False)
    def get(self): return Answer(outcome=Outcome.CONFIRMED, protected=False)

manager = ProtectionManager(Confirms(), settings=Settings())
@manager.protected
def job(): pass
with manager.protect():
    job()
    os.write(2, b"the holds begin")
    for _ in range(5000):
        with manager.protect("label"): pass
        job()
    os.write(2, b"the holds have ended")
"""


@pytest.mark.external
def test_ten_thousand_holds_make_no_system_call(tmp_path: Path) -> None:
    """Counted by strace, in the thread that holds: memory management and the keeper's own wait are not its doing."""
    trace = tmp_path / "trace"
    command = ["strace", "-o", str(trace), sys.executable, "-c", PROGRAM]
    subprocess.run(command, check=True, timeout=120, env={**os.environ, "PROTECTWORK_BACKEND": "off"})
    calls = trace.read_text().partition("the holds begin")[2].partition("the holds have ended")[0].splitlines()[1:-1]
    counted = [call for call in calls if not call.startswith(("mmap", "munmap", "brk", "futex", "madvise"))]
    assert len(counted) <= 5, counted[:20]
    assert len(calls) <= 60, "a futex for a ring of the keeper at most, never one for a hold"
