"""What holds for the whole suite: external tests only when asked for, the same examples in every run, nothing left."""

from __future__ import annotations

import fcntl
import gc
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import hypothesis
import nursery
import pytest

# Where the environment forbids bytecode, as that of many container images does, each of the hundreds of interpreters
# that the tests start would compile anew all that it imports.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

_BEFORE = pytest.StashKey[set[Path]]()
_EXTERNAL = pytest.StashKey[int]()
_GRACE_S = 2.0
_LONGEST = {
    "test_celery_admission.py",
    "test_lab_command.py",
    "test_manager_against_faults.py",
    "test_matrix.py",
    "test_scenarios.py",
}
"""They wait for most of a minute: begun last, each would be waited for alone."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("protectwork's own suite")
    group.addoption("--external", action="store_true", help="run the external tests too; they need more than PyPI")
    group.addoption("--examples", type=int, default=60, metavar="N", help="examples per property (default: 60)")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's job in the background; children would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # by nohup
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    hypothesis.settings.register_profile(
        "protectwork",
        max_examples=config.getoption("--examples"),
        stateful_step_count=50,
        derandomize=True,  # the same examples in every run; a new failure comes of a change, never of luck
        deadline=None,  # how fast the machine is decides nothing
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("protectwork")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in _LONGEST)  # as they stand otherwise
    if config.getoption("--external"):
        return
    external = [item for item in items if item.get_closest_marker("external")]
    config.stash[_EXTERNAL] = len(external)
    if hasattr(config, "workeroutput"):  # this process collects for another, which tells of it
        config.workeroutput["external"] = len(external)
    config.hook.pytest_deselected(items=external)
    items[:] = [item for item in items if item not in external]


def pytest_collection_finish() -> None:
    gc.freeze()  # else thousands of tests that are never garbage are gone through again and again


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Each worker has collected everything, so any of them knows how many tests were left out."""
    node.config.stash[_EXTERNAL] = getattr(node, "workeroutput", {}).get("external", 0)  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if count := config.stash.get(_EXTERNAL, 0):
        terminalreporter.write_line(f"{count} external tests were not run; they need more than PyPI: pytest --external")


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Set up before every other fixture, so torn down after them: what still stands then, a test has forgotten."""
    before = _standing()
    yield
    nursery.close_all()
    deadline = time.monotonic() + _GRACE_S
    while (left := _standing() - before) and time.monotonic() < deadline:
        threading.Event().wait(0.05)  # what was told to end may need a moment to do so
    assert not left, f"left behind by the tests: {', '.join(sorted(left))}"


def _standing() -> set[str]:
    return {*_threads(), *_children()}


def _threads() -> Iterator[str]:
    return (f"thread {thread.name}" for thread in threading.enumerate() if not thread.daemon)


def _children() -> Iterator[str]:
    """Child processes, the unreaped included; none where there is no /proc."""
    multiprocessing.active_children()  # reaps what has ended
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            parent = (directory / "stat").read_text().rpartition(")")[2].split()[1]
            command = (directory / "cmdline").read_text().replace("\0", " ")
        except OSError:  # it has just ended
            continue
        # Python's own helper lives until the interpreter ends.
        if int(parent) == os.getpid() and "multiprocessing.resource_tracker" not in command:
            yield f"process {directory.name} ({command.strip() or 'ended, but not waited for'})"


def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.getoption("numprocesses", None):
        nursery.share()
    session.config.stash[_BEFORE] = _state_directories()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove what processes have left for their task's next one: those that tests have killed, or let down by ECS."""
    if not hasattr(session.config, "workerinput"):
        nursery.close_all()
        for directory in _state_directories() - session.config.stash[_BEFORE]:
            if not any(map(_is_locked, directory.glob("alive/*"))):
                shutil.rmtree(directory, ignore_errors=True)


def _state_directories() -> set[Path]:
    return set(Path("/dev/shm").glob("protectwork-*"))


def _is_locked(path: Path) -> bool:
    with suppress(FileNotFoundError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
