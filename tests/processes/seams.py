"""Scenes of two processes: one stops or dies at a named place inside the package, and the other has work to do.

A place is named by what the process was about (`enable`), the system call that it was going to make there, and how many
of that name it had made for it (`enable link 0`): so a scene plays at the same place however the threads interleave.
"""

from __future__ import annotations

TIMEOUT_S = 2.0  # the `acquire_timeout` of both

CONFIRMING = """
import threading
from protectwork._clock import steady_now

class Watched:
    # When a hold said that it was confirmed: each span from the first such look to the last. What lies between two
    # looks counts too, for a hold that is confirmed stays so.
    def __init__(self, hold):
        self.spans, self._over = [], threading.Event()
        self._thread = threading.Thread(target=self._look, args=(hold,))
        self._thread.start()

    def _look(self, hold):
        confirmed = False
        while not self._over.is_set():
            before = steady_now()
            said = hold.confirmed
            after = steady_now()
            if said and not confirmed:
                self.spans.append([after, after])
            elif said:
                self.spans[-1][1] = max(before, self.spans[-1][0])
            confirmed = said
            self._over.wait(0.002)

    def end(self):
        self._over.set()
        self._thread.join()
        return self.spans
"""

SCENES = (
    f"{CONFIRMING}\nTIMEOUT_S = {TIMEOUT_S}\n"
    """
import json, os, signal, sys, time
from random import Random
import httpx
from protectwork import ProtectionManager, Settings, State
from protectwork._ledger import kernel
from protectwork.backends.agent import AgentBackend

class Steady(Random):
    def uniform(self, low, high):
        return low

class Seamed(AgentBackend):
    # Its calls are places too: right before, and right after, when nobody else knows of the answer.
    def enable(self, minutes):
        return self._seamed("enable", lambda: super(Seamed, self).enable(minutes))

    def disable(self):
        return self._seamed("disable", super().disable)

    def get(self):
        return self._seamed("get", super().get)

    def _seamed(self, name, call):
        here(f"{name} before-the-call")
        answer = call()
        here(f"{name} after-the-call")
        return answer

def here(place):
    pass

def manager_of(uri, directory):
    settings = Settings(state_dir=directory, acquire_timeout=TIMEOUT_S, linger=0.2, lease=60)
    return ProtectionManager(Seamed(uri), settings=settings, random=Steady())

class Guide:
    # Says which place the victim has come to, from the functions that it is in and what it last asked for.
    def __init__(self, manager, tell):
        self.manager, self.tell, self.last, self.counts = manager, tell, None, {}

    def on_call(self, name):
        action = self.action()
        number = self.counts.get((action, name), 0)
        self.counts[action, name] = number + 1
        self.tell(f"{action} {name} {number}")

    def on_backend(self, place):
        name, _, moment = place.partition(" ")
        if moment == "before-the-call":
            self.last = name
        self.tell(place)

    def action(self):
        frame, names = sys._getframe(3), set()
        while frame:
            names.add(frame.f_code.co_name)
            frame = frame.f_back
        for name, action in ("_open", "open"), ("arrive", "acquire"), ("_post", "publish"), ("look", "look"):
            if name in names:
                return action
        if "answer" in names:
            return self.last
        return self.in_turn() if "turn" in names else "close"

    def in_turn(self):
        keeper = self.manager._keeper
        if self.last is None:
            return "get"
        if keeper.holds:
            return "watch" if self.last == "enable" else "enable"
        if self.last != "enable":
            return "watch"
        return "release" if keeper.book.state.joined else "disable"

def victim(uri, directory, act, say):
    # Opens the state, takes a hold, releases it, and at the place that is asked for, acts.
    global here
    manager = manager_of(uri, directory)
    places = []
    def tell(place):
        places.append(place)
        act(place)
    guide = Guide(manager, tell)
    kernel.hook, here = guide.on_call, guide.on_backend
    manager.start()
    while manager._keeper.lease.record.unknown:  # a status would make calls of its own
        time.sleep(0.005)
    hold = manager.protect("victim")
    watched = Watched(hold)
    with hold:
        time.sleep(0.15)
    spans = watched.end()
    while not manager._keeper.is_idle():
        time.sleep(0.02)
    manager.close()
    os.write(say, json.dumps([os.getpid(), spans, places]).encode())
    os._exit(0)

def until_idle(manager):
    ends = steady_now() + 75
    while manager.status().state is not State.IDLE and steady_now() < ends:
        time.sleep(0.02)

def actor(place, mode):
    # What the victim does at its place: through the signal to its thread, so not one instruction later.
    def act(at):
        if at == place:
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP if mode == "stop" else signal.SIGKILL)
    return act

def scene(uri, directory, place, mode):
    said, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            victim(uri, directory, actor(place, mode), say)
        finally:
            os._exit(1)
    os.close(say)
    facts = {"place": place, "dir": directory, "mode": mode, "pids": [os.getpid(), pid]}
    _, status = os.waitpid(pid, os.WUNTRACED)
    facts["reached"] = os.WIFSTOPPED(status) or os.WIFSIGNALED(status)
    if facts["reached"]:
        facts |= others_go_on(uri, directory, lambda: wake(pid) if mode == "stop" else None)
    with open(said, "rb") as pipe:
        told = pipe.read()
    if told:
        _, facts["victim"], facts["places"] = json.loads(told)
    return facts

def wake(pid):
    os.kill(pid, signal.SIGCONT)

def others_go_on(uri, directory, wake):
    # The other process has work while the victim stands still, and still has when it goes on.
    manager = manager_of(uri, directory)
    hold = manager.protect("other")
    watched = Watched(hold)
    facts = {"asked": steady_now()}
    with hold:
        facts["started"] = steady_now()
        time.sleep(max(TIMEOUT_S + 0.5 - (steady_now() - facts["asked"]), 0.3))
        facts["woken"] = steady_now()
        wake()
        ends = steady_now() + 75
        while not hold.confirmed and steady_now() < ends:
            time.sleep(0.005)
        facts["confirmed"] = steady_now()
        time.sleep(0.5)
        facts["released"] = steady_now()
    facts["other"] = watched.end()
    until_idle(manager)
    facts["idle"] = steady_now()
    manager.close()
    return facts

def play(scenes):
    # All of them at once, each in processes of its own.
    pids = []
    for uri, directory, place, mode in scenes:
        pid = os.fork()
        if pid == 0:
            facts = scene(uri, directory, place, mode)
            os.write(1, (json.dumps(facts) + "\\n").encode())
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0

play(json.loads(sys.argv[1]))
"""
)
