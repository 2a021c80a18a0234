"""The first of several to finish never takes the protection of the others away: processes, forks, managers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from processes.workers import Stretch, Task

LONG_ENOUGH_S = 1.2  # a second after the last call, the next one is sent


def stays_protected(task: Task) -> bool:
    """Whether no release comes, though there was time to send one."""
    return not task.agent.wait_until(lambda: not task.agent.protected, timeout_s=LONG_ENOUGH_S)


def stretches(begun: Iterable[float], ended: Iterable[float]) -> list[Stretch]:
    return [Stretch(start=start, end=end) for start, end in zip(begun, ended, strict=True)]


def test_of_four_processes_only_the_last_to_finish_releases_the_task(tmp_path: Path) -> None:
    with Task(tmp_path, linger=0) as task:
        crew = task.workers(4)
        begun = [worker.ask("begin") for worker in crew]
        ended = [crew[0].ask("end")]
        assert stays_protected(task)
        ended += [worker.ask("end") for worker in crew[1:3]]
        assert stays_protected(task)
        ended.append(crew[3].ask("end"))
        assert task.released_after(ended[-1]) < 10
        assert not task.exposed(stretches(begun, ended))
        assert (len(task.agent.enables), len(task.agent.disables)) == (1, 1)


def test_of_prefork_children_only_the_last_to_finish_releases_the_task(tmp_path: Path) -> None:
    with Task(tmp_path, linger=0) as task:
        (server,) = task.workers(1)
        server.ask("begin")  # before it forks, as an application that is loaded by the parent does
        children = [server.ask("fork") for _ in range(3)]
        assert len({server.pid, *children}) == 4
        begun = [server.ask("child", number, "begin") for number in range(3)]
        ended = [server.ask("end")]
        assert stays_protected(task)
        ended += [server.ask("child", number, "end") for number in (0, 1)]
        assert stays_protected(task)
        ended.append(server.ask("child", 2, "end"))
        assert task.released_after(ended[-1]) < 10
        assert not task.exposed(stretches(begun, ended[1:]))
        assert (len(task.agent.enables), len(task.agent.disables)) == (1, 1)


def test_of_two_managers_in_each_of_two_processes_only_the_last_to_finish_releases_the_task(tmp_path: Path) -> None:
    with Task(tmp_path, linger=0) as task:
        crew = task.workers(2)
        task.admit(*crew)
        order = [(crew[0], 0), (crew[1], 1), (crew[0], 1), (crew[1], 0)]
        begun = [worker.ask("begin", manager) for worker, manager in order]
        ended: list[float] = []
        for worker, manager in order:
            assert stays_protected(task)
            ended.append(worker.ask("end", manager))
        assert task.released_after(ended[-1]) < 10
        assert not task.exposed(stretches(begun, ended))
        assert (len(task.agent.enables), len(task.agent.disables)) == (1, 1)
