"""The chain of links: what one process does with it, and every way in which two may be interrupted in the middle."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import greenlet
import pytest

from protectwork._ledger import Head, StateError, kernel
from protectwork._ledger.chain import START, Chain
from protectwork._ledger.descriptors import Descriptor

NOTHING = Head(number=-1, text=None)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return new_record(tmp_path)


def new_record(parent: Path) -> Path:
    path = parent / f"record-{len(list(parent.iterdir()))}"
    path.mkdir()
    (path / START).symlink_to(START)
    return path


@pytest.fixture
def chain(record: Path) -> Iterator[Chain]:
    with opened(record) as one:
        yield one


@contextmanager
def opened(record: Path, *, author: str = "a") -> Iterator[Chain]:
    with closing(Descriptor(kernel.open_directory(str(record)))) as directory:
        yield Chain(directory, author=author)


@contextmanager
def told(hook: Callable[[str], None]) -> Iterator[None]:
    kernel.hook = hook
    try:
        yield
    finally:
        kernel.hook = None


def names(record: Path) -> list[str]:
    return sorted(path.name for path in record.iterdir())


def grow(chain: Chain, changes: int) -> Head:
    for _ in range(changes):
        head = chain.read()
        assert chain.commit(head, f"after {head.number}")
    return chain.read()


def test_without_a_change_there_is_no_record(chain: Chain) -> None:
    assert chain.read() == NOTHING


def test_a_change_is_what_is_read_then(chain: Chain) -> None:
    assert chain.commit(NOTHING, "first") == Head(0, "first") == chain.read()
    assert chain.commit(Head(0, "first"), "second") == Head(1, "second") == chain.read()


def test_only_the_first_of_two_changes_is_made(record: Path, chain: Chain) -> None:
    with opened(record, author="b") as other:
        assert other.read() == chain.read() == NOTHING
        assert other.commit(NOTHING, "theirs") == Head(0, "theirs")
        assert chain.commit(NOTHING, "ours") is None
        assert chain.read() == Head(0, "theirs")


def test_a_change_upon_a_record_that_was_swept_is_not_made(record: Path, chain: Chain) -> None:
    with opened(record, author="b") as other:
        newest = grow(other, 20)
        assert "0" not in names(record)
        assert chain.commit(NOTHING, "stale") is None
        assert chain.commit(Head(3, "after 2"), "stale") is None
        assert other.read() == chain.read() == newest


def test_the_record_may_be_as_long_as_a_link(chain: Chain) -> None:
    assert chain.commit(NOTHING, "é" * 2047) == chain.read()


def test_a_record_that_is_too_long_is_an_error_and_leaves_the_old_one(record: Path, chain: Chain) -> None:
    head = grow(chain, 1)
    with pytest.raises(OSError, match="too long"):
        chain.commit(head, "x" * 5000)
    assert (chain.read(), names(record)) == (head, ["0", START])


def test_old_links_are_swept_and_proposals_do_not_stay(record: Path, chain: Chain) -> None:
    grow(chain, 100)
    assert names(record) == ["96", "97", "98", "99"]


def test_what_the_dead_left_is_swept_a_few_at_a_time(record: Path, chain: Chain) -> None:
    (record / "0.dead.0").symlink_to("a proposal")
    for number in range(40):
        (record / str(number)).symlink_to("by one who died before it swept")
    sizes = []
    for _ in range(12):
        grow(chain, 1)
        sizes.append(len(names(record)))
    assert max(before - after for before, after in itertools.pairwise(sizes)) < 8
    assert names(record) == ["48", "49", "50", "51"]


def test_the_links_that_stand_are_a_row_without_a_gap_at_every_moment_of_sweeping(record: Path, chain: Chain) -> None:
    for number in range(20):
        (record / str(number)).symlink_to("by one who died before it swept")
    gaps = []

    def look(name: str) -> None:
        numbers = sorted(-1 if name == START else int(name) for name in names(record) if "." not in name)
        gaps.append(numbers != list(range(numbers[0], numbers[-1] + 1)))

    with told(look):
        grow(chain, 8)
    assert gaps == [False] * len(gaps)
    assert names(record) == ["24", "25", "26", "27"]


def test_reading_costs_two_system_calls_and_a_change_four_beside_sweeping(record: Path, chain: Chain) -> None:
    grow(chain, 9)
    calls: list[str] = []
    with told(calls.append):
        head = chain.read()
        assert calls == ["readlink"] * 2
        calls.clear()
        chain.commit(head, "next")
    assert calls[:4] == ["symlink", "readlink", "link", "unlink"]
    assert len(calls) <= 9


@pytest.mark.parametrize("failing", ["symlink", "link"])
def test_a_change_that_fails_is_not_made_and_leaves_nothing(record: Path, chain: Chain, failing: str) -> None:
    head = grow(chain, 3)
    before = names(record)

    def no_space(name: str) -> None:
        if name == failing:
            raise OSError(28, "No space left on device")

    with told(no_space), pytest.raises(OSError, match="No space"):
        chain.commit(head, "next")
    assert (chain.read(), names(record)) == (head, before)


@pytest.mark.parametrize("failing", ["unlink", "listdir"])
def test_a_change_is_made_though_nothing_can_be_swept(record: Path, chain: Chain, failing: str) -> None:
    head = grow(chain, 9)

    def broken(name: str) -> None:
        if name == failing:
            raise OSError(24, "Too many open files")

    with told(broken):
        assert chain.commit(head, "next") == chain.read() == Head(9, "next")
    grow(chain, 8)
    assert len(names(record)) == 4


def test_what_is_no_link_stands_in_nobody_s_way_and_stays(record: Path, chain: Chain) -> None:
    grow(chain, 2)
    (record / "2").mkdir()
    (record / "garbage").symlink_to("/etc/passwd")
    assert chain.read() == Head(2, None), "unknown, never trusted"
    assert chain.commit(Head(2, None), "next") == chain.read()
    grow(chain, 20)
    assert {"2", "garbage"} <= set(names(record))


def test_a_target_that_is_no_text_is_an_unknown_record(record: Path, chain: Chain) -> None:
    (record / "0").symlink_to(b"\xff\xfe".decode(errors="surrogateescape"))
    assert chain.read() == Head(0, None)
    assert chain.commit(Head(0, None), "next") == Head(1, "next")


def test_links_that_somebody_removed_are_told_of_not_taken_for_an_old_record(record: Path, chain: Chain) -> None:
    grow(chain, 9)
    (record / "8").unlink()
    with pytest.raises(StateError, match="removed"):
        chain.read()
    assert chain.lost


def test_a_removed_directory_is_an_error(record: Path, chain: Chain) -> None:
    head = grow(chain, 1)
    for path in record.iterdir():
        path.unlink()
    record.rmdir()
    with pytest.raises(StateError):
        chain.read()
    with pytest.raises(FileNotFoundError):
        chain.commit(head, "next")


class Process:
    """Stands for a process: goes on from kernel call to kernel call when it is told to, on one real directory."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._greenlet = greenlet.greenlet(work)

    @property
    def ended(self) -> bool:
        return self._greenlet.dead

    def go(self, calls: int) -> None:
        """Make that many kernel calls, and stop before the next."""
        for _ in range(calls + (not self._greenlet)):
            if self.ended:
                return
            self._greenlet.switch()

    def finish(self) -> None:
        self.go(10_000)
        assert self.ended


def at_a_kernel_call(name: str) -> None:
    if (parent := greenlet.getcurrent().parent) is not None:
        parent.switch()


class Log:
    """Every change that somebody has made and knows of: two with one number would be a lost update."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}

    def change(self, chain: Chain, author: str, *, times: int) -> None:
        for _ in range(times):
            while not (made := chain.commit(chain.read(), author)):
                pass
            assert made.number not in self.texts, f"{author} and {self.texts[made.number]} both made {made}"
            self.texts[made.number] = author

    def check(self, *chains: Chain, unaware: int) -> None:
        """All see the same, and nothing but what was made; so many may have made a change and not know it yet."""
        (seen,) = {chain.read() for chain in chains}
        assert len(self.texts) - 1 <= seen.number <= len(self.texts) - 1 + unaware
        assert self.texts.get(seen.number, seen.text) == seen.text


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("place", range(8))
def test_two_stopped_at_any_kernel_calls_of_theirs_wake_to_a_chain_that_lost_nothing(
    tmp_path: Path, place: int, before: int
) -> None:
    for other_place in itertools.count():
        ended = {
            two_stopped(new_record(tmp_path), place, other_place, before=before, meanwhile=meanwhile)
            for meanwhile in (0, 7)
        }
        if ended == {True}:
            break
    assert other_place > 40, "all calls of the other, sweeping included, were places to stop at"


def two_stopped(record: Path, place: int, other_place: int, *, before: int, meanwhile: int) -> bool:
    """One stops in a change, another in changes and sweeping; a third goes on, a fourth has slept; both wake."""
    log = Log()
    with opened(record, author="a") as a, opened(record, author="b") as b, told(at_a_kernel_call), ExitStack() as rest:
        awake, asleep = (rest.enter_context(opened(record, author=author)) for author in "cd")
        log.change(awake, "before", times=before)
        asleep.read()
        one, other = Process(lambda: log.change(a, "one", times=1)), Process(lambda: log.change(b, "other", times=7))
        one.go(place)
        other.go(other_place)
        ended = other.ended
        log.change(awake, "meanwhile", times=meanwhile)
        for process in (one, other):
            process.go(3)
            log.check(awake, asleep, unaware=2)
        for process in (one, other):
            process.finish()
        log.check(awake, asleep, a, b, unaware=0)
    return ended
