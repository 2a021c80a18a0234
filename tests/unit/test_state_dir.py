"""Which directory is shared, and which is refused with value, rule and remedy; what one process does with it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from protectwork._ledger import Head, LoneState, SharedState, StateError, kernel, open_state
from protectwork._ledger.directory import given_objection, private_objection
from protectwork._ledger.mounts import file_system, is_network

MOUNTS = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 27 0:51 / /mnt/efs rw,relatime shared:7 master:1 - nfs4 fs-1.efs:/ rw,vers=4.1
41 27 0:52 / /mnt/with\040space rw - fuse.s3fs s3fs rw
42 27 0:53 / /var/lib rw - btrfs /dev/vdb rw
43 42 0:54 / /var/lib/data rw - 9p share rw
44 27 0:55 / /dev/shm rw - tmpfs tmpfs rw
a line of another form
"""


@pytest.mark.parametrize(
    ("path", "device", "kind"),
    [
        ("/", os.makedev(254, 0), "ext4"),
        ("/mnt/efs/state", os.makedev(0, 51), "nfs4"),
        ("/mnt/with space/state", os.makedev(0, 52), "fuse.s3fs"),
        ("/dev/shm/protectwork-1", os.makedev(0, 55), "tmpfs"),
        ("/var/lib/state", os.makedev(0, 99), "btrfs"),  # btrfs shows another device there than in the table
        ("/var/lib/data/state", os.makedev(0, 99), "9p"),
        ("/var/lib/database", os.makedev(0, 99), "btrfs"),
        ("/mnt/with space/state", os.makedev(0, 99), "fuse.s3fs"),
        ("/elsewhere", os.makedev(0, 99), "ext4"),
    ],
)
def test_the_file_system_is_told_by_device_or_else_by_the_nearest_mount_point(
    path: str, device: int, kind: str
) -> None:
    assert file_system(MOUNTS, path=path, device=device) == kind


@pytest.mark.parametrize("text", ["", "garbage", " - ", "\0\n - \n"])
def test_a_table_that_says_nothing_refuses_nothing(text: str) -> None:
    assert file_system(text, path="/", device=1) is None


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "afs"])
def test_network_file_systems_are_known(kind: str) -> None:
    assert is_network(kind)


@pytest.mark.parametrize(
    ("kind", "expected"), [("fuse.sshfs", True), ("fuse", True), ("tmpfs", False), ("overlay", False), ("xfs", False)]
)
def test_whatever_is_mounted_through_fuse_may_be_far_away(kind: str, expected: bool) -> None:
    assert is_network(kind) is expected


def looks(mode: int, *, user: int = 1000) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 2, user, 1000, 4096, 0, 0, 0))


@pytest.mark.parametrize("mode", [0o2770, 0o770, 0o700, 0o755, 0o3775])
def test_a_named_directory_is_accepted_whoever_owns_it(mode: int) -> None:
    assert given_objection("/srv/state", looks(stat.S_IFDIR | mode, user=4711)) is None


@pytest.mark.parametrize(
    ("mode", "value", "rule", "remedy"),
    [
        (stat.S_IFDIR | 0o777, "mode 0777", "not world-writable", "chmod o-w /srv/state"),
        (stat.S_IFDIR | 0o1777, "mode 1777", "not world-writable", "chmod o-w /srv/state"),
        (stat.S_IFLNK | 0o777, "a symbolic link", "a directory", "name the directory that it leads to"),
        (stat.S_IFREG | 0o644, "'/srv/state'", "a directory", "name another"),
    ],
)
def test_a_named_directory_is_refused_with_value_rule_and_remedy(mode: int, value: str, rule: str, remedy: str) -> None:
    text = str(given_objection("/srv/state", looks(mode)))
    assert all(part in text for part in (value, rule, remedy, "state_dir")), text


def test_a_found_directory_is_ours_alone() -> None:
    assert private_objection("/dev/shm/x", looks(stat.S_IFDIR | 0o700), user=1000) is None
    for mode in (stat.S_IFDIR | 0o777, stat.S_IFDIR | 0o750, stat.S_IFLNK | 0o777, stat.S_IFREG | 0o600):
        objection = private_objection("/dev/shm/x", looks(mode), user=1000)
        assert type(objection) is StateError
        assert "remove it" in objection.reason


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


@contextmanager
def shared(directory: Path) -> Iterator[SharedState]:
    state = open_state(state_dir=str(directory), endpoint="")
    assert isinstance(state, SharedState), state.trouble
    with closing(state):
        yield state


@contextmanager
def told(hook: Callable[[str], None]) -> Iterator[None]:
    kernel.hook = hook
    try:
        yield
    finally:
        kernel.hook = None


def descriptors() -> dict[int, str]:
    found = {}
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the list itself
            found[int(path.name)] = str(path.readlink())
    return found


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("mode", [0o2770, 0o770, 0o700, 0o3770])
def test_what_is_made_in_it_has_its_mode_whatever_the_umask(directory: Path, mode: int) -> None:
    directory.chmod(mode)
    umask = os.umask(0o077)
    try:
        with shared(directory) as state:
            made = {name: stat.S_IMODE((directory / name).stat().st_mode) for name in ("record", "alive")}
            assert made == dict.fromkeys(("record", "alive"), mode & ~stat.S_ISVTX)
            file = directory / "alive" / state.owner
            assert stat.S_IMODE(file.stat().st_mode) == mode & 0o660
            assert names(directory) == ["alive", "record"]
    finally:
        os.umask(umask)


def test_a_missing_directory_is_not_made(tmp_path: Path) -> None:
    state = open_state(state_dir=str(tmp_path / "state"), endpoint="")
    assert isinstance(state, LoneState)
    assert "mkdir -m 2770" in str(state.trouble)
    assert names(tmp_path) == []


@pytest.mark.parametrize("path", ["/srv/\0", "relative/nowhere", "/proc/self/stat/x", "/" + "x" * 5000, "/proc"])
def test_no_path_whatsoever_raises(path: str) -> None:
    state = open_state(state_dir=path, endpoint="")
    assert isinstance(state, LoneState)
    assert state.trouble
    assert not state.foreign


def test_a_link_with_a_slash_at_its_end_is_a_link(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(directory)
    for path in (f"{tmp_path}/link", f"{tmp_path}/link/"):
        assert "a symbolic link" in str(open_state(state_dir=path, endpoint="").trouble)
    assert names(directory) == []


def test_closing_leaves_no_descriptor_and_no_alive_file_and_may_be_done_twice(directory: Path) -> None:
    before = descriptors()
    with shared(directory) as state:
        state.join()
        state.close()
        assert names(directory / "alive") == []
    assert descriptors() == before


@pytest.mark.parametrize("call", ["open", "mkdir", "chmod", "rename", "symlink", "listdir", "flock", "access"])
@pytest.mark.parametrize("error", [24, 28, 5, 30])
def test_whatever_fails_at_the_beginning_the_process_is_alone_and_nothing_stays_open(
    directory: Path, call: str, error: int
) -> None:
    before = descriptors()
    for place in range(20):
        left = [place]

        def failing(name: str, left: list[int] = left) -> None:
            left[0] -= name == call
            if name == call and left[0] < 0:
                raise OSError(error, os.strerror(error))

        with told(failing):
            state = open_state(state_dir=str(directory), endpoint="")
        if left[0] >= 0:
            break
        assert isinstance(state, LoneState), (call, place)
        assert os.strerror(error) in str(state.trouble)
        state.close()
        assert descriptors() == before, (call, place)
    assert isinstance(state, SharedState), "with nothing left to fail"
    state.close()


@pytest.mark.parametrize(
    ("call", "act"),
    [
        ("flock", lambda state, head: state.join()),
        ("flock", lambda state, head: state.seize()),
        ("readlink", lambda state, head: state.read()),
        ("symlink", lambda state, head: state.commit(head, "next")),
        ("link", lambda state, head: state.commit(head, "next")),
    ],
)
def test_what_the_kernel_refuses_later_is_one_kind_of_error_and_changes_nothing(
    directory: Path, call: str, act: Callable[[SharedState, Head], object]
) -> None:
    def full(name: str) -> None:
        if name == call:
            raise OSError(28, "No space left on device")

    with shared(directory) as state:
        head = state.read()
        with told(full), pytest.raises(StateError) as caught:
            act(state, head)
        assert caught.value.reason == f"{directory}: No space left on device (ENOSPC)"
        assert (state.read(), state.joined, state.intact()) == (head, False, True)


def test_with_no_descriptor_left_a_state_that_is_open_goes_on(directory: Path) -> None:
    def exhausted(name: str) -> None:
        if name in {"open", "listdir"}:
            raise OSError(24, "Too many open files")

    with shared(directory) as state, told(exhausted):
        head = state.read()
        for number in range(20):
            head = state.commit(head, f"text {number}") or head
        assert state.read() == Head(19, "text 19")
        assert (state.join(), state.intact()) == (True, True)
        assert (state.dead(["0123456789ab"]), state.fallen(), state.living()) == (set(), set(), {}), "nothing is known"


def test_a_file_that_our_number_was_given_to_is_not_closed(directory: Path, tmp_path: Path) -> None:
    with shared(directory) as state:
        ours = [number for number, path in descriptors().items() if path.startswith(str(directory))]
        assert len(ours) == 5, "the directory, twice the gate, the record, the alive file"
        for number in ours:
            os.close(number)
        others = [os.open(tmp_path, os.O_RDONLY) for _ in ours]
        assert set(others) & set(ours)
        state.forget_parent()
        for number in others:
            os.fstat(number)
            os.close(number)


def test_after_it_was_closed_nothing_of_it_works_and_nothing_breaks(directory: Path) -> None:
    with shared(directory) as state:
        state.forget_parent()
        for act in (state.join, state.seize, state.read):
            with pytest.raises(StateError):
                act()
        state.leave()
        state.let_go()
        state.publish("text")
        assert (state.dead(["0123456789ab"]), state.living(), state.intact()) == (set(), {}, False)


@pytest.mark.parametrize("gone", ["state", "record", "alive"])
def test_a_directory_that_is_taken_away_and_made_anew_is_noticed(directory: Path, gone: str) -> None:
    with shared(directory) as state:
        assert state.intact()
        path = directory if gone == "state" else directory / gone
        path.rename(directory.with_name("away") if gone == "state" else directory / "away")
        assert not state.intact()
        if gone == "state":
            directory.mkdir(mode=0o700)
        with shared(directory) as anew:
            assert anew.intact()
            assert not state.intact()


def test_an_alive_file_that_is_taken_away_is_noticed_and_nobody_is_called_dead_then(directory: Path) -> None:
    with shared(directory) as state:
        assert state.dead(["0123456789ab"]) == {"0123456789ab"}
        (directory / "alive" / state.owner).unlink()
        assert not state.intact()
        assert state.dead(["0123456789ab"]) == set()


def test_an_emptied_record_is_replaced_not_filled(directory: Path) -> None:
    with shared(directory) as old:
        head = old.commit(old.read(), "old")
        assert head
        for path in (directory / "record").iterdir():
            path.unlink()
        with pytest.raises(StateError, match="removed"):
            old.read()
        assert not old.intact()
        with shared(directory) as anew:
            assert anew.read() == Head(-1, None)
            assert anew.commit(anew.read(), "new") == anew.read()
            with pytest.raises(StateError):
                old.commit(head, "written to the directory that is no more")
            assert anew.read() == Head(0, "new")


def test_one_process_alone_behaves_like_one_that_shares(directory: Path) -> None:
    with shared(directory) as state:
        for one in (state, LoneState()):
            assert one.read() == Head(-1, None)
            first = one.commit(one.read(), "first")
            assert first == Head(0, "first") == one.read()
            assert one.commit(Head(-1, None), "second") is None
            assert (one.join(), one.seize(), one.joined) == (True, False, True)
            one.leave()
            assert (one.seize(), one.join(), one.joined) == (True, False, False)
            one.let_go()
            assert (one.seize(), one.seize(), one.let_go(), one.join(), one.join()) == (True, True, None, True, True)
            one.publish("{}")
            assert one.living() == {one.owner: "{}"}
            assert one.dead([one.owner, "0123456789ab"]) == {"0123456789ab"}
            assert (one.fallen(), one.bury("0123456789ab"), one.intact(), one.foreign) == (set(), None, True, False)
            assert one.trouble is None
            one.close()
            one.forget_parent()
