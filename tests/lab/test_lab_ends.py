"""However a lab ends, it leaves no process, no port, no thread and no file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from protectwork import SettingsError
from protectwork.lab import Cause

from .services import DEAF, deaf, gone, is_removed, looks, mark_of, marked, names, service, settle, until

ROUNDS = 50
LAB = """
import sys, time
from protectwork import lab

with lab.Service(["sh", "-c", sys.argv[1]], 2, stop_timeout=60) as service:
    service.wait_until(lambda: sum(line.text == "ready" for line in service.output()) == 2, timeout_s=30)
    print(f"PROTECTWORK_LAB_ID={service._engine.environ['PROTECTWORK_LAB_ID']}", flush=True)
    print(service._directory, flush=True)
    time.sleep(60)
"""
STUBBORN = "trap '' TERM; setsid sleep 1000 & sleep 1000 & echo ready; while :; do sleep 1; done"
"""Ignores SIGTERM, and has two processes more, of which one has left its group."""


def here() -> Counter[str]:
    """What this process has open, ports among it, and its threads; by kind, for their numbers change."""
    links = (str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
    return Counter([*(link.partition(":")[0] for link in links), *(thread.name for thread in threading.enumerate())])


def test_nothing_is_left_after_fifty_rounds():
    before: Counter[str] | None = None
    marks: list[str] = []
    for _ in range(ROUNDS):
        with service(desired=1) as one:
            settle(one)
            marks.append(mark_of(one))
            directory = one._directory
        before = before or here()  # what is loaded once, is loaded in the first
        assert not directory.exists()

    assert before is not None
    assert not here() - before  # what an earlier test left to the collector of garbage may have gone meanwhile
    assert not any(map(marked, marks))


def test_the_end_gives_every_task_its_grace_and_then_kills():
    with service(DEAF, desired=2) as one:
        deaf(one)
        one.close(0.2)
        told = one.report()

        assert (told.stops, told.sigkills) == ({Cause.CLOSE: 2}, 2)
        assert names(one) == []


def test_what_is_known_stays_after_the_end():
    with service(desired=1) as one:
        settle(one)
        one.deploy(DEAF)
        one.task("worker-1").enable()
        until(one, lambda: len(names(one)) == 2)
        looks(one)
        one.close(0)
    at = one.now()

    assert one.report() == one.report()
    assert one.now() == at
    why_not = one.report().deployments[-1].why_not
    assert why_not
    assert "protected: worker-1" in why_not
    assert len(one.events) >= 4
    with pytest.raises(SettingsError, match="scale must be called before close"):
        one.scale(3)
    one.close()


def test_a_lab_that_cannot_begin_leaves_nothing(monkeypatch: pytest.MonkeyPatch):
    before = here()

    def fails(*_args: object, **_options: object) -> None:
        raise OSError("no port is free")

    monkeypatch.setattr("protectwork.lab._control.FakeAgent", fails)
    one = service()
    with pytest.raises(OSError, match="no port is free"):
        one.start()

    assert not here() - before
    assert not one._directory.exists()


def test_what_a_task_leaves_behind_ends_with_it():
    with service(["sh", "-c", "setsid sleep 1000 & sleep 1000 & echo ready; wait"], desired=1) as one:
        until(one, lambda: len(one.output()) == 1)
        left = marked(f"PROTECTWORK_LAB_TASK={one.task('worker-1').arn.rpartition('/')[2]}")
        assert len(left) == 3
        one.scale(0)
        settle(one)

        assert gone(left)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=str)
def test_a_lab_that_is_interrupted_or_killed_takes_every_process_with_it(number: int):
    process = subprocess.Popen([sys.executable, "-c", LAB, STUBBORN], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout
        mark, directory = (process.stdout.readline().decode().strip() for _ in range(2))
        ours = marked(mark)
        assert len(ours) >= 6
        assert Path(directory).is_dir()
        os.kill(process.pid, number)

        process.wait(30)
        assert gone(ours)
        assert is_removed(directory)
    finally:
        process.kill()
        process.communicate()


def test_a_lab_goes_on_without_its_watchdog():
    with service(desired=1) as one:
        (task,) = settle(one)
        os.kill(one._engine.watchdog._process.pid, signal.SIGKILL)  # type: ignore[union-attr] - it runs
        one.scale(2)

        assert len(settle(one)) == 2
        assert task in names(one)
