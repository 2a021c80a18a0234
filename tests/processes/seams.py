"""Scenes of two processes: one stops or dies at a named place inside the package, and the other has work to do.

A place is named by what the process was about (`enable`), the system call that it was going to make there, and how many
of that name it had made for it (`enable link 0`): so a scene plays at the same place however the threads interleave.
The tests run this file as a program of its own: `play` takes scenes in JSON, and prints what became of each.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from random import Random
from types import FrameType
from typing import Self

from processes.fast_clock import FastClock

from protectwork import Answer, CallFinished, Event, Hold, ProtectionManager, Settings, State
from protectwork._clock import steady_now
from protectwork._ledger import kernel
from protectwork.backends.agent import AgentBackend

TIMEOUT_S = 2.0  # the `acquire_timeout` of both
QUIET_S = 45.0  # by then everything is as it is wanted, far sooner than promised
STALE_S = 3.0
"""How long a process stops that has read its clock; what is stamped a second later seems to come from the future."""
LATE_S = 8.0  # after so long the late disable lands

_LOOK_EVERY_S = 0.005
_START_EVERY_S = 0.1  # all at once, they would keep each other from running, and what is slow then is the machine
_AT_ONCE = 16
_RESTS_S = 10.0
_ACTIONS = {"_open": "open", "arrive": "acquire", "_post": "publish", "look": "look"}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is played: the victim stops or is killed at `place`, in a task and a state directory of its own."""

    uri: str
    directory: str
    place: str
    mode: str  # `stop` or `kill`
    speed: float = 1.0
    start: float = 0.0
    epoch: float = 0.0

    def manager(self) -> tuple[ProtectionManager, Seamed]:
        """One more manager for this task, in this process, and its backend."""
        settings = Settings(state_dir=self.directory, acquire_timeout=TIMEOUT_S * self.speed, linger=0.2, lease=60)
        clock = FastClock(speed=self.speed, start=self.start, epoch=self.epoch)
        backend = Seamed(self.uri, clock=clock)
        return ProtectionManager(backend, settings=settings, clock=clock, random=Steady()), backend


Spans = list[list[float]]


@dataclass(kw_only=True)
class Facts:
    """What became of a scene; times are the agent's. What the victim says it says at its end, so not when killed."""

    scene: Scene
    pids: list[int]
    reached: bool = False
    places: list[str] | None = None
    victim: Spans | None = None
    other: Spans | None = None
    asked: float = 0.0
    started: float = 0.0
    woken: float = 0.0
    released: float = 0.0
    idle: float = 0.0


class Steady(Random):
    """Jitter that is always the same, so that a process comes by the same places again."""

    def uniform(self, a: float, b: float) -> float:
        return a


class Seamed(AgentBackend):
    """Its calls are places too: right before, and right after, when nobody else knows of the answer."""

    on_place: Callable[[str], None] | None = None

    def enable(self, minutes: int) -> Answer:
        return self._seamed("enable", lambda: super(Seamed, self).enable(minutes))

    def disable(self) -> Answer:
        return self._seamed("disable", super().disable)

    def get(self) -> Answer:
        return self._seamed("get", super().get)

    def _seamed(self, name: str, call: Callable[[], Answer]) -> Answer:
        self._come_to(f"{name} before-the-call")
        answer = call()
        self._come_to(f"{name} after-the-call")
        return answer

    def _come_to(self, place: str) -> None:
        if self.on_place:
            self.on_place(place)


class Watched:
    """When a hold said that it was confirmed: each span from the first such look to the last.

    What lies between two looks counts too, for a hold that is confirmed stays so.
    """

    def __init__(self, hold: Hold, *, now: Callable[[], float]) -> None:
        self.spans: Spans = []
        self._now, self._over = now, threading.Event()
        self._thread = threading.Thread(target=self._look_at, args=(hold,))
        self._thread.start()

    def end(self) -> Spans:
        self._over.set()
        self._thread.join()
        return self.spans

    def _look_at(self, hold: Hold) -> None:
        confirmed = False
        while not self._over.wait(_LOOK_EVERY_S):
            before, said, after = self._now(), hold.confirmed, self._now()
            if said and not confirmed:
                self.spans.append([after, after])
            elif said:
                self.spans[-1][1] = max(before, self.spans[-1][0])
            confirmed = said


class Guide:
    """Says which place the process has come to, from the functions that it is in and the call that it made last."""

    def __init__(self, manager: ProtectionManager, backend: Seamed, tell: Callable[[str], None]) -> None:
        self._keeper, self._tell = manager._keeper, tell
        self._last: str | None = None
        self._counts: dict[tuple[str, str], int] = {}
        kernel.hook, backend.on_place = self._on_kernel, self._on_backend

    def _on_kernel(self, name: str) -> None:
        key = self._action(sys._getframe(2)), name  # not the seam itself, which has a function `look` too
        number = self._counts.get(key, 0)
        self._counts[key] = number + 1
        self._tell(f"{key[0]} {name} {number}")

    def _on_backend(self, place: str) -> None:
        name, _, moment = place.partition(" ")
        if moment == "before-the-call":
            self._last = name
        self._tell(place)

    def _action(self, frame: FrameType | None) -> str:
        names = set()
        while frame:
            if frame.f_globals["__name__"] != kernel.__name__:
                names.add(frame.f_code.co_name)
            frame = frame.f_back
        for name, action in _ACTIONS.items():
            if name in names:
                return action
        if "answer" in names:
            return str(self._last)
        return self._in_turn() if "turn" in names else "close"

    def _in_turn(self) -> str:
        if self._last is None:
            return "get"
        if self._keeper.holds:
            return "watch" if self._last == "enable" else "enable"
        if self._last != "enable":
            return "watch"
        return "release" if self._keeper.book.state.joined else "disable"


def play(scenes: list[Scene], scene: Callable[[Scene], Facts]) -> None:
    """Play all of them, some side by side, each in processes of its own."""
    pids: list[int] = []
    for played in scenes:
        if len(pids) == _AT_ONCE:  # more would keep each other from the processor, and not show who holds up whom
            assert os.waitpid(pids.pop(0), 0)[1] == 0
        pids.append(forked(lambda played=played: _print(scene(played))))
        time.sleep(_START_EVERY_S)
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    assert not any(statuses)


def forked(act: Callable[[], object]) -> int:
    """Have a child do that, and nothing else."""
    if pid := os.fork():
        return pid
    try:
        act()
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        os._exit(1)


def _print(facts: Facts) -> None:
    os.write(1, (json.dumps(asdict(facts)) + "\n").encode())


def ordinary(scene: Scene) -> Facts:
    """The other has work while the victim stands still or is dead, and still has when it goes on."""
    with Victim(scene, work_s=0.15) as victim:
        if victim.facts.reached:
            _others_go_on(victim)
    return victim.facts


def late_disable(scene: Scene) -> Facts:
    """While the victim stands still, another sends a disable that lands late; then the victim wakes."""
    with Victim(scene, work_s=(LATE_S + 12.0) / scene.speed) as victim:
        time.sleep(STALE_S / scene.speed)
        manager, _ = scene.manager()
        manager.subscribe(Waker(victim))
        with manager.protect("other"):
            pass
        _, status = os.waitpid(victim.pid, 0)
        assert status == 0
        _until(manager, lambda: manager.status().state is State.IDLE)
        manager.close()
    return victim.facts


class Waker:
    """Wakes the victim when the answer to a disable, which is no answer, stands in the record; nothing follows soon."""

    def __init__(self, victim: Victim) -> None:
        self._victim = victim

    def on_event(self, event: Event) -> None:
        if isinstance(event, CallFinished) and event.call == "disable":
            self._victim.wake()


class Victim:
    """A process that opens the state, takes a hold and releases it, and at the place of its scene stops or is killed.

    On entry, it has come there, or to its end; on exit, what it said is noted.
    """

    def __init__(self, scene: Scene, *, work_s: float) -> None:
        self.scene = scene
        self._work_s = work_s
        self._said, self._say = os.pipe()
        self.pid = forked(self._live)
        self.facts = Facts(scene=scene, pids=[os.getpid(), self.pid])

    def __enter__(self) -> Self:
        os.close(self._say)
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        self.facts.reached = os.WIFSTOPPED(status) or os.WIFSIGNALED(status)
        return self

    def __exit__(self, *_: object) -> None:
        with os.fdopen(self._said, "rb") as pipe:
            told = pipe.read()
        if told:
            pid, self.facts.victim, self.facts.places = json.loads(told)
            assert pid == self.pid

    def wake(self) -> None:
        if self.scene.mode == "stop":
            os.kill(self.pid, signal.SIGCONT)

    def _live(self) -> None:
        manager, backend = self.scene.manager()
        places: list[str] = []

        def come_to(place: str) -> None:
            places.append(place)
            if place == self.scene.place:  # by a signal to this thread, so not one instruction later
                signal.pthread_kill(threading.get_ident(), getattr(signal, f"SIG{self.scene.mode.upper()}"))

        Guide(manager, backend, come_to)
        manager.start()
        _until(manager, lambda: _rests(manager))  # else it may be the keeper that joins for the hold, in its turn
        hold = manager.protect("victim")
        watched = Watched(hold, now=manager._keeper.now)
        with hold:
            _until(manager, lambda: bool(watched.spans))
            time.sleep(self._work_s)
        spans = watched.end()
        _until(manager, manager._keeper.is_idle)
        manager.close()
        os.write(self._say, json.dumps([os.getpid(), spans, places]).encode())


def _others_go_on(victim: Victim) -> None:
    manager, _ = victim.scene.manager()
    hold = manager.protect("other")
    facts, watched = victim.facts, Watched(hold, now=steady_now)
    facts.asked = steady_now()
    with hold:
        facts.started = steady_now()
        time.sleep(max(TIMEOUT_S + 0.5 - (steady_now() - facts.asked), 0.3))
        facts.woken = steady_now()
        victim.wake()
        _until(manager, lambda: bool(watched.spans))
        time.sleep(0.5)  # for the harm that the victim might do now that it is awake
        facts.released = steady_now()
    facts.other = watched.end()
    _until(manager, lambda: manager.status().state is State.IDLE)
    facts.idle = steady_now()
    manager.close()


def _rests(manager: ProtectionManager) -> bool:
    """Whether it knows what is in force, and sleeps; a status would make calls of its own."""
    keeper = manager._keeper
    return not keeper.lease.record.unknown and keeper.wakes_at > keeper.now() + _RESTS_S


def _until(manager: ProtectionManager, fact: Callable[[], bool]) -> None:
    ends = time.monotonic() + QUIET_S
    while not fact():
        assert time.monotonic() < ends, manager.status()
        time.sleep(0.02)


if __name__ == "__main__":
    play([Scene(**each) for each in json.loads(sys.argv[2])], {"ordinary": ordinary, "late": late_disable}[sys.argv[1]])
