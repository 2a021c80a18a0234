"""The record between real processes: no change is lost, and nobody who stops or dies in a change holds up another."""

from __future__ import annotations

from pathlib import Path

import pytest

from .actors import Actor, actors

PROCESSES, CHANGES = 8, 200
MEANWHILE = 12  # more than are kept, so that the links which the stopped process knew are swept


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state"


def names(directory: Path) -> list[str]:
    return [path.name for path in (directory / "record").iterdir()]


def total(actor: Actor) -> int:
    return int(actor.ask("state.read().text"))


def calls_of_a_change(directory: Path) -> list[str]:
    """Of one that nobody disturbs, sweeping included: each is a place to stop or die at."""
    with Actor(directory) as actor:
        actor.ask("add(20)")
        return actor.ask("count(add, 1)")


def test_no_change_of_eight_processes_is_lost(directory: Path) -> None:
    with actors(PROCESSES, directory) as crew:
        for actor in crew:
            actor.tell(f"add({CHANGES})")
        lost = [actor.answer() for actor in crew]
        assert sum(lost) > 0, "they were in each other's way, or the test shows nothing"
        heads = [actor.ask("(lambda head: [head.number, head.text])(state.read())") for actor in crew]
        assert heads == [[PROCESSES * CHANGES - 1, str(PROCESSES * CHANGES)]] * PROCESSES
    assert len(names(directory)) <= 4 + PROCESSES, "what was superseded was swept"


def test_a_process_stopped_at_any_kernel_call_of_a_change_holds_up_nobody_and_wakes_to_a_right_record(
    directory: Path,
) -> None:
    calls = calls_of_a_change(directory)
    assert {"symlink", "link", "unlink", "listdir", "readlink"} <= set(calls)
    with Actor(directory) as stopped, Actor(directory) as busy:
        expected = total(busy)
        for place in range(len(calls)):
            stopped.tell(f"[at_call({place}, stop), add(1)]")
            stopped.stopped()
            before = total(busy)
            assert busy.ask(f"add({MEANWHILE})") == 0, calls[place]
            assert total(busy) == before + MEANWHILE
            stopped.resume()
            stopped.answer()
            expected += 1 + MEANWHILE
            assert (total(stopped), total(busy)) == (expected, expected), calls[place]


def test_two_processes_stopped_at_any_pair_of_kernel_calls_change_the_record_once_each(directory: Path) -> None:
    calls = calls_of_a_change(directory)
    with Actor(directory) as first, Actor(directory) as second, Actor(directory) as busy:
        expected = total(busy)
        for place in range(len(calls)):
            for other in range(len(calls)):
                first.tell(f"[at_call({place}, stop), add(1)]")
                first.stopped()
                busy.ask("add(3)")
                second.tell(f"[at_call({other}, stop), add(1)]")
                second.stopped()
                busy.ask(f"add({MEANWHILE})")
                for actor in (first, second) if other % 2 else (second, first):
                    actor.resume()
                    actor.answer()
                expected += 2 + 3 + MEANWHILE
                assert total(busy) == expected, (calls[place], calls[other])
    assert len(names(directory)) <= 4


def test_a_process_killed_at_any_kernel_call_of_a_change_has_made_it_or_not_and_holds_up_nobody(
    directory: Path,
) -> None:
    calls = calls_of_a_change(directory)
    with Actor(directory) as busy:
        expected = total(busy)
        for place in range(len(calls)):
            with Actor(directory) as killed:
                killed.ask("add(1)")
                killed.tell(f"[at_call({place}, lambda: os.kill(os.getpid(), signal.SIGKILL)), add(1)]")
                killed.ended()
            made = "link" in calls[:place]
            expected += 1 + made
            assert total(busy) == expected, calls[place]
            assert busy.ask(f"add({MEANWHILE})") == 0
            expected += MEANWHILE
            assert total(busy) == expected
    assert len(names(directory)) <= 4, "proposals of the dead are swept too"


def test_a_process_that_slept_through_a_thousand_changes_reads_the_newest(directory: Path) -> None:
    with Actor(directory) as asleep, Actor(directory) as busy:
        asleep.ask("add(1)")
        busy.ask("add(1000)")
        assert total(asleep) == 1001
        assert asleep.ask("count(state.read)") == ["readlink", "readlink"]


def test_a_change_that_was_decided_upon_an_old_record_is_refused(directory: Path) -> None:
    with Actor(directory) as slow, Actor(directory) as quick:
        slow.ask("globals().update(head=state.read())")
        quick.ask("add(1)")
        assert slow.ask("state.commit(head, 'stale')") is None
        quick.ask("add(50)")
        assert slow.ask("state.commit(head, 'stale')") is None, "also once the number is no longer there"
        assert total(quick) == 51
