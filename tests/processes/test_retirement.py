"""Real processes of one superseded task: one of them asks, all of them take no new work."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import programs

from protectwork.testing import FakeAgent, FakeEcsApi

PROGRAM = """
import os, sys, time
from protectwork import ProtectionManager

class Soonest:
    def uniform(self, a, b, /):
        return a

def work(manager, who):
    with manager.protect(who):
        while manager.admission.is_open:
            time.sleep(0.01)
        print(who, os.getpid(), *manager.admission.reasons, flush=True)
        go_on()

def go_on():
    open(f"{sys.argv[1]}/{os.getpid()}", "x").close()
    while len(os.listdir(sys.argv[1])) < 6:
        time.sleep(0.01)

manager = ProtectionManager(random=Soonest())
if os.fork():
    work(manager, "parent")
    os.wait()
else:
    work(manager, "child")
"""


def test_of_all_processes_of_a_superseded_task_one_asks_and_none_takes_more(tmp_path: Path) -> None:
    state, here = tmp_path / "state", tmp_path / "here"
    for directory in (state, here):
        directory.mkdir(mode=0o700)
    with FakeEcsApi() as ecs, FakeAgent(ecs.task) as agent:
        environ = {
            **ecs.environ(),
            **agent.environ(),
            "PROTECTWORK_RETIRE_WHEN_SUPERSEDED": "on",
            "PROTECTWORK_STATE_DIR": str(state),
            "PROTECTWORK_ACQUIRE_TIMEOUT": "1",
            "PROTECTWORK_LINGER": "0",
        }
        ecs.service.deploy()
        ecs.service.blocked = True
        with ThreadPoolExecutor(3) as pool:
            play = partial(programs.run, PROGRAM, str(here), **environ)
            ended = list(pool.map(lambda _: play(), range(3)))
        assert [done.code for done in ended] == [0, 0, 0], [done.err for done in ended]
        said = [line.split(" ", 2) for done in ended for line in done.lines]
        assert Counter(who for who, *_ in said) == {"parent": 3, "child": 3}
        assert len({pid for _, pid, _ in said}) == 6
        assert {why for *_, why in said} == {"a newer deployment of this service is primary"}
        assert len(ecs.calls_of("DescribeServices")) == 1
        assert len(ecs.calls_of("DescribeTasks")) == 1
