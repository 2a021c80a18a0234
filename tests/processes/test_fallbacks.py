"""Where the state cannot be shared, each process is told so once, counts alone, and its work goes on, protected."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from processes.actors import Actor, wait_until
from processes.fast_clock import FastClock
from processes.workers import Stretch, Task

from protectwork._ledger import directory as ledger_directory
from protectwork.backends.agent import AgentBackend
from protectwork.testing import FakeAgent

NOBODY = 65534
LINGER_S = 0.3
SOON_ENOUGH_S = 1.25 * LINGER_S + 3.0
LONG_ENOUGH_S = 1.25 * LINGER_S + 1.2  # a second after the last call, the next one is sent
REPAIRED_S = 31.0  # a look every 30 s whether the record can be written again

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as a second user")

# What an actor is told first: a manager of its own, one who listens, and what can be made to fail.
MANAGED = f"""
import errno, sys
sys.path.append({str(Path(__file__).parents[1])!r})
from processes.fast_clock import FastClock
from protectwork import ProtectionManager, Settings, SharedStateUnavailable

class Notes:
    def on_event(self, event):
        if isinstance(event, SharedStateUnavailable):
            heard.append([event.reason, event.releases])

def failing(number, name):
    def hook(called):
        if called == name:
            raise OSError(number, os.strerror(number))
    kernel.hook = hook

def healed():
    kernel.hook = None

def manage(clock, uri, directory):
    global manager, heard, holds, now
    from protectwork.backends.agent import AgentBackend
    heard, holds = [], []
    settings = Settings(state_dir=directory, linger={LINGER_S}, acquire_timeout=5 * clock.speed, lease=60)
    manager = ProtectionManager(AgentBackend(uri, clock=clock), settings=settings, clock=clock)
    manager.subscribe(Notes())
    now = clock.now

def begin(**options):
    holds.append(manager.acquire(**options))
    return now() if holds[-1].confirmed else None

def end():
    at = now()
    while holds:
        holds.pop().release()
    return at
"""


@contextmanager
def pair(
    tmp_path: Path, agent: FakeAgent, directory: Path | None, *, clock: FastClock, broken: str = ""
) -> Iterator[list[Actor]]:
    """Two processes of one task, in which something is `broken` before they look for their state."""
    (tmp_path / "of-the-actors").mkdir(mode=0o700)
    with ExitStack() as stack:
        actors = [stack.enter_context(Actor(tmp_path / "of-the-actors")) for _ in range(2)]
        assert len({os.getpid(), *(actor.pid for actor in actors)}) == 3
        for actor in actors:
            actor.ask(f"exec({MANAGED!r}, globals())")
            if broken:
                actor.ask(broken)
            actor.ask(f"manage({clock!r}, {agent.uri!r}, {directory and str(directory)!r})")
        yield actors


def heard(actor: Actor) -> list[tuple[str, bool]]:
    """What it was told of its state: why, and whether it ends protection."""
    wait_until(lambda: bool(actor.ask("heard")))
    return [tuple(one) for one in actor.ask("heard")]


def fresh(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name.replace(" ", "-")
    path.mkdir()
    return path


def real() -> FastClock:
    return FastClock(speed=1.0)


def readable(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


def for_everybody(tmp_path: Path) -> Path:
    path = readable(tmp_path)
    path.chmod(0o777)
    return path


def missing(tmp_path: Path) -> Path:
    return tmp_path / "missing"


BROKEN: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "everybody may write": (for_everybody, "", "mode 0777"),
    "it is missing": (missing, "", "a directory that exists"),
    "read-only": (readable, "failing(errno.EROFS, 'mkdir')", "EROFS"),
    "no flock": (readable, "failing(errno.ENOLCK, 'flock')", "ENOLCK"),
    "full": (readable, "failing(errno.ENOSPC, 'symlink')", "ENOSPC"),
    "too many open files": (readable, "failing(errno.EMFILE, 'open')", "EMFILE"),
}


def test_without_a_directory_each_process_counts_alone_and_is_told_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(len(BROKEN)) as threads:  # each cause in a task of its own: most of the time, they wait
        list(threads.map(lambda cause: counts_alone(cause, fresh(tmp_path, cause)), BROKEN))


def counts_alone(cause: str, tmp_path: Path) -> None:
    make, broken, reason = BROKEN[cause]
    with FakeAgent() as agent, pair(tmp_path, agent, make(tmp_path), clock=real(), broken=broken) as (one, other):
        begun = [one.ask("begin()"), other.ask("begin()")]
        assert None not in begun
        one.ask("begin()")
        ended = one.ask("end()")
        assert agent.was_protected(begun[0], ended)
        assert agent.was_protected(begun[1], ended)
        assert agent.wait_until(lambda: not agent.protected), "it knows of nobody else"
        assert 0 < agent.changes[-1].time - ended < SOON_ENOUGH_S
        other.ask("end()")
        assert agent.wait_until(lambda: len(agent.disables) == 2)
        for actor in (one, other):
            [(told, releases)] = heard(actor)
            assert reason in told, cause
            assert releases
        assert len(agent.enables) == 2, "each for itself"


@as_root
def test_where_the_state_is_another_users_a_process_protects_its_work_and_never_ends_protection(tmp_path: Path) -> None:
    with FakeAgent() as agent, ExitStack() as stack:
        scope = AgentBackend(agent.uri).scope
        path = Path(ledger_directory.private_path("/dev/shm", endpoint=scope))
        path.mkdir(mode=0o700)
        stack.callback(shutil.rmtree, path)
        os.chown(path, NOBODY, NOBODY)
        with pair(tmp_path, agent, None, clock=real()) as actors:
            begun = [actor.ask("begin()") for actor in actors]
            ended = [actor.ask("end()") for actor in actors]
            for start, end in zip(begun, ended, strict=True):
                assert agent.was_protected(start, end)
            assert not agent.wait_until(lambda: bool(agent.disables), timeout_s=LONG_ENOUGH_S)
            for actor in actors:
                [(told, releases)] = heard(actor)
                assert f"belongs to user {NOBODY}" in told
                assert not releases
        assert list(path.iterdir()) == []
        assert len(agent.enables) == 2
        assert not agent.disables


@pytest.mark.parametrize(("number", "name"), [("ENOSPC", "symlink"), ("EIO", "readlink")])
def test_what_fails_in_the_middle_of_work_is_told_once_and_exposes_nobody(
    number: str, name: str, tmp_path: Path
) -> None:
    """The gate, which is held, still tells who is busy: the first to finish does not unprotect the other."""
    with FakeAgent() as agent, pair(tmp_path, agent, readable(tmp_path), clock=real()) as actors:
        one, other = actors
        begun = [actor.ask("begin()") for actor in actors]
        assert None not in begun
        assert len(agent.enables) == 1, "they share"
        for actor in actors:
            actor.ask(f"failing(errno.{number}, {name!r})")
        longer = [actor.ask("begin(max_duration=3600)") for actor in actors]  # the lease has to be extended
        assert None not in longer
        wait_until(lambda: len(agent.enables) >= 3)
        for actor in actors:
            [(told, _)] = heard(actor)
            assert number in told
        ended = [one.ask("end()")]
        assert not agent.wait_until(lambda: not agent.protected, timeout_s=LONG_ENOUGH_S)
        ended.append(other.ask("end()"))
        for start, end in zip(begun, ended, strict=True):
            assert agent.was_protected(start, end)
        assert [len(actor.ask("heard")) for actor in actors] == [1, 1], "once for each cause"


def test_when_there_is_space_again_the_processes_share_again(tmp_path: Path) -> None:
    clock = FastClock(speed=10.0)
    with FakeAgent(clock=clock) as agent, pair(tmp_path, agent, readable(tmp_path), clock=clock) as actors:
        begun = [actor.ask("begin()") for actor in actors]
        assert len(agent.enables) == 1
        for actor in actors:
            actor.ask("failing(errno.ENOSPC, 'symlink')")
        for actor in actors:
            assert actor.ask("begin(max_duration=3600)") is not None
            heard(actor)
        wait_until(lambda: len(agent.enables) >= 3)  # what is not written down is believed for a minute, and renewed
        for actor in actors:
            actor.ask("healed()")
        until = agent.now() + REPAIRED_S
        wait_until(lambda: agent.now() > until)
        assert actors[0].ask("begin(max_duration=7200)") is not None
        wait_until(lambda: agent.enables[-1].minutes >= 120)
        asked = len(agent.enables)
        assert actors[1].ask("begin(max_duration=7200)") is not None
        assert len(agent.enables) == asked, "the other joins it"
        ended = [actor.ask("end()") for actor in actors]
        for start, end in zip(begun, ended, strict=True):
            assert agent.was_protected(start, end)
        assert agent.wait_until(lambda: not agent.protected)
        assert len(agent.disables) == 1
        assert [len(actor.ask("heard")) for actor in actors] == [1, 1]


def head(record: Path) -> int:
    return max(int(path.name) for path in record.iterdir() if path.name.isdigit())


def corrupt(text: str) -> str:
    return "\x01\x02 no record"


def truncated(text: str) -> str:
    return text[: len(text) // 2]


def of_another_boot(text: str) -> str:
    return json.dumps(json.loads(text) | {"boot": "00000000-0000-4000-8000-000000000000"})


def far_in_the_future(text: str) -> str:
    until = time.clock_gettime(time.CLOCK_BOOTTIME) + 1e7
    return json.dumps(json.loads(text) | {"sure": until, "maybe": until})


def beyond_any_number(text: str) -> str:
    return json.dumps(json.loads(text) | {"sent": -(10**400)})


def planted(task: Task, directory: Path, forge: Callable[[str], str]) -> int:
    """Have the record of a living lease stand there, forged, when the lease itself is gone; the calls made before."""
    (author,) = task.workers(1)
    assert author.ask("begin") is not None
    author.kill()
    record = directory / "state" / "record"
    number = head(record)
    text = str((record / str(number)).readlink())
    (record / str(number + 1)).symlink_to(forge(text))
    task.agent.task.disable()
    return len(task.agent.calls)


def test_a_planted_record_is_unknown_so_ecs_is_asked_and_the_work_is_protected(tmp_path: Path) -> None:
    forgers = [corrupt, truncated, of_another_boot, far_in_the_future, beyond_any_number]
    with ThreadPoolExecutor(len(forgers)) as threads:
        list(threads.map(lambda forge: is_not_believed(forge, fresh(tmp_path, forge.__name__)), forgers))


def is_not_believed(forge: Callable[[str], str], tmp_path: Path) -> None:
    with Task(tmp_path, linger=LINGER_S) as task:
        before = planted(task, tmp_path, forge)
        (newcomer,) = task.workers(1)
        since = newcomer.ask("begin")
        assert since is not None
        assert [str(call.call) for call in task.agent.calls[before:]] == ["get", "enable"], forge.__name__
        ended: Any = newcomer.ask("end")
        assert not task.exposed([Stretch(start=since, end=ended)])
        assert task.released_after(ended) < SOON_ENOUGH_S + 4.0  # and nobody disables for two looks at new files


def test_the_same_record_as_it_was_is_believed_without_a_call(tmp_path: Path) -> None:
    """Or the tests above would show nothing: it is the record that makes the difference."""
    with Task(tmp_path, linger=LINGER_S) as task:
        before = planted(task, tmp_path, lambda text: text)
        (newcomer,) = task.workers(1)
        assert newcomer.ask("begin") is not None
        assert len(task.agent.calls) == before
