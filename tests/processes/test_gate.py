"""The gate and the alive files between real processes: the kernel's word on who is busy and who lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from .actors import Actor, actors


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state"


def test_many_join_one_seizes_and_never_both(directory: Path) -> None:
    with actors(3, directory) as (one, two, three):
        assert (one.ask("state.join()"), two.ask("state.join()")) == (True, True)
        assert three.ask("state.seize()") is False
        one.ask("state.leave()")
        assert three.ask("state.seize()") is False
        two.ask("state.leave()")
        assert three.ask("state.seize()") is True
        assert (one.ask("state.join()"), one.ask("state.joined"), two.ask("state.seize()")) == (False, False, False)
        three.ask("state.let_go()")
        assert one.ask("state.join()") is True


def test_a_process_does_not_seize_the_gate_from_itself_and_keeps_what_it_holds(directory: Path) -> None:
    with Actor(directory) as one, Actor(directory) as other:
        assert one.ask("[state.join(), state.seize(), state.joined]") == [True, False, True]
        assert other.ask("state.seize()") is False


def test_a_killed_process_leaves_the_gate_and_is_dead(directory: Path) -> None:
    with Actor(directory) as victim, Actor(directory) as other:
        victim.ask("state.join()")
        assert other.ask(f"sorted(state.dead(['{victim.owner}', state.owner]))") == []
        assert set(other.ask("state.living()")) == {victim.owner, other.owner}
        victim.kill()
        assert other.ask("state.seize()") is True
        assert other.ask(f"sorted(state.dead(['{victim.owner}', state.owner]))") == [victim.owner]
        assert set(other.ask("state.living()")) == {other.owner}
        assert other.ask("sorted(state.fallen())") == [victim.owner]
        assert other.ask(f"[state.bury('{victim.owner}'), sorted(state.fallen())]") == [None, []]


def test_a_stopped_process_lives_and_cannot_be_buried(directory: Path) -> None:
    with Actor(directory) as asleep, Actor(directory) as other:
        asleep.tell("stop()")
        asleep.stopped()
        assert other.ask(f"sorted(state.dead(['{asleep.owner}']))") == []
        other.ask(f"state.bury('{asleep.owner}')")
        assert set(other.ask("state.living()")) == {asleep.owner, other.owner}
        asleep.resume()
        asleep.answer()
        assert asleep.ask("state.intact()") is True


def test_a_process_that_stops_while_it_asks_who_lives_makes_nobody_look_alive_or_dead(directory: Path) -> None:
    with Actor(directory) as asker, Actor(directory) as victim, Actor(directory) as other:
        calls = asker.ask(f"count(state.dead, ['{victim.owner}'])")
        assert "flock" in calls
        victim.kill()
        for place in range(len(asker.ask(f"count(state.dead, ['{victim.owner}'])"))):
            asker.tell(f"[at_call({place}, stop), sorted(state.dead(['{victim.owner}']))]")
            asker.stopped()
            assert other.ask(f"sorted(state.dead(['{victim.owner}', '{asker.owner}']))") == [victim.owner]
            asker.resume()
            assert asker.answer() == [None, [victim.owner]]


def test_what_a_process_publishes_the_others_read_also_when_it_grows_shorter(directory: Path) -> None:
    with Actor(directory) as one, Actor(directory) as other:
        one.ask("""state.publish('{"holds": ["a long label"]}')""")
        assert other.ask("state.living()") == {one.owner: '{"holds": ["a long label"]}', other.owner: ""}
        one.ask("state.publish('{}')")
        assert other.ask("state.living()")[one.owner] == "{}"


def test_a_process_stopped_between_two_lines_shows_one_of_them_whole(directory: Path) -> None:
    with Actor(directory) as one, Actor(directory) as other:
        one.ask("state.publish('the first and longer one')")
        one.tell("[at_call(1, stop), state.publish('second')]")
        one.stopped()
        assert other.ask("state.living()")[one.owner] == "second"


def test_a_forked_child_that_forgets_its_parent_frees_nothing_of_it(directory: Path) -> None:
    with Actor(directory) as parent, Actor(directory) as other:
        parent.ask("state.join()")
        assert parent.ask("child(lambda: [state.forget_parent(), state.close(), state.joined])") == [None, None, False]
        assert other.ask("state.seize()") is False
        assert other.ask(f"sorted(state.dead(['{parent.owner}']))") == []
        assert parent.ask("[state.joined, state.intact()]") == [True, True]


def test_a_forked_child_makes_a_state_of_its_own(directory: Path) -> None:
    with Actor(directory) as parent:
        owners = parent.ask(
            "child(lambda: [state.forget_parent(), (new := open_state(state_dir=directory, endpoint='')).owner, "
            "sorted(new.living()), new.close()])"
        )
        assert owners[1] != parent.owner
        assert owners[2] == sorted([owners[1], parent.owner])


def test_a_child_that_still_has_its_copies_does_not_keep_the_gate_of_a_parent_that_left(directory: Path) -> None:
    with Actor(directory) as parent, Actor(directory) as other:
        parent.ask("state.join()")
        assert parent.ask("(lambda pid: pid or stop())(os.fork())") != parent.pid  # the child stops, and closes nothing
        parent.ask("state.leave()")
        assert other.ask("state.seize()") is True
        parent.ask("state.close()")
        assert other.ask(f"sorted(state.dead(['{parent.owner}']))") == [parent.owner]


def test_a_process_that_ends_in_order_leaves_no_file_of_its_own(directory: Path) -> None:
    with Actor(directory) as one:
        assert [path.name for path in (directory / "alive").iterdir()] == [one.owner]
        one.leave()
        assert list((directory / "alive").iterdir()) == []


def test_ids_are_each_process_s_own(directory: Path) -> None:
    with actors(4, directory) as crew:
        assert len({actor.owner for actor in crew}) == 4
        assert {actor.trouble for actor in crew} == {None}


def test_joining_and_leaving_cost_one_system_call_each_and_being_in_costs_none(directory: Path) -> None:
    with Actor(directory) as one:
        assert one.ask("count(state.join)") == ["flock"]
        assert one.ask("count(state.join)") == []
        assert one.ask("count(state.read)") == ["readlink", "readlink"]
        assert one.ask("count(state.leave)") == ["flock"]
        assert one.ask("count(state.intact)") == ["stat", "stat", "stat"]
