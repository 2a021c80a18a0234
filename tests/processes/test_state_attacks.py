"""What others have planted where the state is to be: refused, and left exactly as it was found."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from nursery import CORE
from programs import run

from .actors import Actor

NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as a second user or to mount")

# Opens a state and tells what came of it; as another user if told so, who may not be able to import anything any more.
PROGRAM = """
import json, os, resource, sys
from protectwork._ledger import Head, SharedState, StateError, kernel, open_state

given, endpoint, user = json.loads(sys.argv[1])
if user:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)

def tell(**more):
    state = open_state(state_dir=given, endpoint=endpoint)
    facts = {"pid": os.getpid(), "shared": state.shared, "foreign": state.foreign, "directory": state.directory}
    facts |= {"trouble": state.trouble}
    if state.shared:
        facts["heads"] = [[head.number, head.text] for head in (state.read(), state.commit(state.read(), "mine"))]
    state.close()
    print(json.dumps(facts | more))
"""


def told(given: Path | None, *, endpoint: str = "", user: int = 0, program: str = "tell()") -> dict:
    arguments = json.dumps([given and str(given), endpoint, user])
    done = run(
        PROGRAM + program, arguments, measured=not user, loaded=CORE
    )  # coverage could not write what it has measured
    assert (done.code, done.err) == (0, "")
    facts = json.loads(done.out)
    assert facts["pid"] != os.getpid()
    return facts


def seen(path: Path) -> dict[str, object]:
    """Everything at a path and below that would show a write, a removal or a change of mode."""
    facts = {}
    for place in [path, *path.rglob("*")] if not path.is_symlink() else [path]:
        found = place.lstat()
        content = place.read_bytes() if stat.S_ISREG(found.st_mode) else b""
        facts[str(place)] = (found.st_ino, found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, content)
    return facts


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that other users can reach, as pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="public-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def endpoint() -> Iterator[str]:
    """One that no other test has; what it leads to is gone afterwards."""
    value = f"http://169.254.170.2/api/{uuid4()}"
    yield value
    for parent in (Path("/dev/shm"), Path(tempfile.gettempdir())):
        path = found_at(parent, value)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def found_at(parent: Path, endpoint: str) -> Path:
    return parent / f"protectwork-{hashlib.sha256(endpoint.encode()).hexdigest()[:16]}"


def test_processes_of_one_user_find_one_directory_which_is_theirs_alone(endpoint: str) -> None:
    first, second = told(None, endpoint=endpoint), told(None, endpoint=endpoint)
    path = found_at(Path("/dev/shm"), endpoint)
    assert first["directory"] == second["directory"] == str(path)
    assert (first["heads"], second["heads"]) == ([[-1, None], [0, "mine"]], [[0, "mine"], [1, "mine"]])
    assert {stat.S_IMODE(each.lstat().st_mode) for each in (path, path / "record", path / "alive")} == {0o700}


@as_root
@pytest.mark.parametrize("kind", ["directory", "link", "file", "fifo"])
def test_what_another_user_has_is_foreign_and_not_touched_nor_gone_around(
    endpoint: str, public: Path, kind: str
) -> None:
    path = found_at(Path("/dev/shm"), endpoint)
    plant(path, kind, target=public)
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    before = seen(path), seen(public)
    facts = told(None, endpoint=endpoint)
    assert (facts["shared"], facts["foreign"]) == (False, True)
    assert f"belongs to user {NOBODY}" in facts["trouble"]
    assert "PROTECTWORK_STATE_DIR" in facts["trouble"]
    assert (seen(path), seen(public)) == before
    assert not found_at(Path(tempfile.gettempdir()), endpoint).exists()


@as_root
def test_a_user_without_rights_finds_the_directory_of_root_foreign(endpoint: str) -> None:
    told(None, endpoint=endpoint)
    path = found_at(Path("/dev/shm"), endpoint)
    before = seen(path)
    facts = told(None, endpoint=endpoint, user=NOBODY)
    assert (facts["shared"], facts["foreign"]) == (False, True)
    assert seen(path) == before


@pytest.mark.parametrize("mode", [0o777, 0o750, 0o701])
def test_a_directory_that_others_could_have_written_to_is_not_used_and_not_repaired(endpoint: str, mode: int) -> None:
    path = found_at(Path("/dev/shm"), endpoint)
    path.mkdir()
    path.chmod(mode)
    (path / "record").mkdir()
    (path / "record" / "0").symlink_to('{"sure_until": 9e99}')
    before = seen(path)
    facts = told(None, endpoint=endpoint)
    assert (facts["shared"], facts["foreign"]) == (False, False)
    assert f"mode {mode:04o}: remove it" in facts["trouble"]
    assert seen(path) == before


@pytest.mark.parametrize("kind", ["link", "file", "fifo"])
def test_what_is_no_directory_is_not_followed(endpoint: str, public: Path, kind: str) -> None:
    path = found_at(Path("/dev/shm"), endpoint)
    plant(path, kind, target=public)
    before = seen(path), seen(public)
    facts = told(None, endpoint=endpoint)
    assert (facts["shared"], facts["foreign"]) == (False, False)
    assert "remove it" in facts["trouble"]
    assert (seen(path), seen(public)) == before


def plant(path: Path, kind: str, *, target: Path) -> None:
    if kind == "directory":
        path.mkdir(mode=0o700)
    elif kind == "link":
        path.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_text("planted")


@pytest.mark.parametrize("name", ["record", "alive"])
@pytest.mark.parametrize("kind", ["link", "file", "fifo"])
def test_what_has_the_name_of_our_directories_is_not_followed(
    directory: Path, public: Path, name: str, kind: str
) -> None:
    plant(directory / name, kind, target=public)
    before = seen(directory / name), seen(public)
    facts = told(directory)
    assert not facts["shared"]
    assert f"{directory}/{name} must be a directory" in facts["trouble"]
    assert (seen(directory / name), seen(public)) == before


def test_a_record_directory_with_other_things_in_it_is_left_as_it_is(directory: Path) -> None:
    (directory / "record").mkdir(mode=0o700)
    (directory / "record" / "garbage").write_text("planted")
    before = seen(directory / "record")
    facts = told(directory)
    assert not facts["shared"]
    assert "remove it" in facts["trouble"]
    assert seen(directory / "record") == before


def test_a_record_directory_that_everybody_may_write_to_is_refused(directory: Path) -> None:
    (directory / "record").mkdir()
    (directory / "record").chmod(0o777)
    assert "record must be accessible to nobody who" in told(directory)["trouble"]


@pytest.mark.parametrize("kind", ["directory", "file", "fifo"])
def test_what_is_planted_as_the_newest_record_is_unknown_and_stays(directory: Path, public: Path, kind: str) -> None:
    with Actor(directory) as actor:
        actor.ask("add(5)")
        planted = directory / "record" / "5"
        plant(planted, kind, target=public)
        before = seen(planted)
        assert actor.ask("(lambda head: [head.number, head.text])(state.read())") == [5, None]
        actor.ask("add(20)")
        assert actor.ask("state.read().text") == "20"
        assert seen(planted) == before


def test_links_to_somewhere_are_texts_that_nobody_follows(directory: Path, public: Path) -> None:
    with Actor(directory) as actor:
        actor.ask("add(1)")
        (directory / "record" / "1").symlink_to(public)
        (directory / "record" / "garbage").symlink_to(public)
        (directory / "record" / "2.dead.0").symlink_to(public)
        before = seen(public)
        assert actor.ask("state.read().text") == str(public)
        assert actor.ask("[state.commit(state.read(), '0') is not None, add(20)]") == [True, 0]
        assert seen(public) == before
        assert (directory / "record" / "garbage").is_symlink()


@pytest.mark.parametrize("kind", ["link", "directory", "fifo"])
def test_what_is_planted_as_an_alive_file_is_nobody_and_stays(directory: Path, public: Path, kind: str) -> None:
    with Actor(directory) as actor:
        planted = directory / "alive" / "0123456789ab"
        (directory / "alive" / "garbage").write_text("planted")
        (directory / "alive" / ("x" * 255)).write_text("planted")
        plant(planted, kind, target=public / "nothing")
        before = seen(planted)
        assert actor.ask("sorted(state.dead(['0123456789ab']))") == ["0123456789ab"]
        assert actor.ask("list(state.living())") == [actor.owner]
        assert actor.ask("[sorted(state.fallen()), state.bury('0123456789ab'), state.bury('garbage')]")[0] == []
        assert seen(planted) == before
        assert len(list((directory / "alive").iterdir())) == 4


def test_an_id_out_of_a_planted_record_is_never_a_path(directory: Path, public: Path) -> None:
    (public / "0123456789ab").write_text("not ours")
    before = seen(public)
    with Actor(directory) as actor:
        for owner in (f"../../../../../{public}/0123456789ab", str(public), "", ".", "x" * 5000, "0123456789AB"):
            assert actor.ask(f"[sorted(state.dead([{owner!r}])), state.bury({owner!r})]") == [[owner], None]
        assert actor.ask("state.dead(['\\0']) == {'\\0'}")
    assert seen(public) == before


@as_root
def test_two_users_of_one_group_share_a_directory_that_was_made_for_them(public: Path) -> None:
    path = public / "state"
    path.mkdir()
    os.chown(path, 0, NOBODY)
    path.chmod(0o2770)
    with Actor(path) as root:
        other = told(path, user=NOBODY)
        assert (root.trouble, other["trouble"]) == (None, None)
        assert other["heads"][1] == [0, "mine"]
        assert root.ask("[state.commit(state.read(), '1') is not None, add(20)]")[0]
        again = told(
            path, user=NOBODY, program="tell(others=sorted(open_state(state_dir=given, endpoint='').living()))"
        )
        assert again["heads"][0] == [21, "21"]
        assert root.owner in again["others"], "it can ask after a process of the other user"


@as_root
def test_a_user_who_may_not_write_to_a_named_directory_is_told_so(public: Path) -> None:
    path = public / "state"
    path.mkdir(mode=0o755)
    before = seen(public)
    assert f"may write to, got '{path}'" in told(path, user=NOBODY)["trouble"]
    assert seen(public) == before


MOUNTED = """
import ctypes, subprocess
CLONE_NEWNS = 0x00020000
assert ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) == 0
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
def mount(path, options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", path], check=True)
"""


def can_mount() -> bool:
    done = subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True)
    return os.geteuid() == 0 and done.returncode == 0


mounting = pytest.mark.skipif(not can_mount(), reason="needs the right to mount")


@mounting
def test_a_full_file_system_is_alone_at_the_beginning_and_an_error_later(directory: Path) -> None:
    program = """
def fill(path):
    try:
        for number in range(1000):
            os.symlink("x", f"{path}/fill-{number}")
    except OSError:
        return number

mount(given, "mode=700,size=64k,nr_inodes=40")
state = open_state(state_dir=given, endpoint="")
head = state.commit(state.read(), "before")
assert fill(given) > 0
try:
    state.commit(head, "after")
    reason = ""
except StateError as error:
    reason = error.reason
assert state.read() == head
os.unlink(given + "/fill-0")
os.unlink(given + "/fill-1")
assert state.commit(head, "after").text == state.read().text == "after"
assert state.intact()
fill(given)
tell(reason=reason)
"""
    facts = told(directory, program=MOUNTED + program)
    assert not facts["shared"]
    assert "No space left on device (ENOSPC); name a directory" in facts["trouble"]
    assert facts["reason"] == f"{directory}: No space left on device (ENOSPC)"


@mounting
def test_a_read_only_directory_is_refused(directory: Path) -> None:
    facts = told(directory, program=MOUNTED + 'mount(given, "ro,mode=700,size=64k")\ntell()')
    assert f"a directory that user {os.geteuid()} may write to" in facts["trouble"]


@mounting
@pytest.mark.parametrize("options", ["ro,size=64k", "size=64k,nr_inodes=1"])
def test_where_the_first_place_is_read_only_or_full_the_next_is_taken(endpoint: str, options: str) -> None:
    facts = told(None, endpoint=endpoint, program=MOUNTED + f'mount("/dev/shm", {options!r})\ntell()')
    assert facts["directory"] == str(found_at(Path(tempfile.gettempdir()), endpoint))


def test_where_no_place_can_be_used_the_process_is_alone_and_says_why(endpoint: str) -> None:
    program = """
def read_only(name):
    if name == "mkdir":
        raise OSError(30, os.strerror(30))
kernel.hook = read_only
tell()
"""
    facts = told(None, endpoint=endpoint, program=program)
    assert (facts["shared"], facts["foreign"]) == (False, False)
    cause = "Read-only file system (EROFS)"
    assert facts["trouble"] == f"no directory can be used: /dev/shm: {cause}; {tempfile.gettempdir()}: {cause}"


def test_where_there_is_no_flock_the_process_is_alone(directory: Path) -> None:
    program = """
import errno
def no_flock(name):
    if name == "flock":
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
kernel.hook = no_flock
tell()
"""
    assert "No locks available (ENOLCK)" in told(directory, program=program)["trouble"]
    assert list((directory / "alive").iterdir()) == []


def test_with_too_many_files_open_the_process_is_alone_and_one_that_has_a_state_goes_on(directory: Path) -> None:
    program = """
state = open_state(state_dir=given, endpoint="")
most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, most[1]))
held = []
try:
    while True:
        held.append(os.open("/", os.O_RDONLY))
except OSError:
    pass
head = state.read()
for number in range(50):
    head = state.commit(head, str(number))
went_on = [head.text, state.join(), state.intact()]
alone = open_state(state_dir=given, endpoint="").trouble
for number in held:
    os.close(number)
state.close()
tell(went_on=went_on, alone=alone)
"""
    facts = told(directory, program=program)
    assert facts["went_on"] == ["49", True, True]
    assert "Too many open files (EMFILE)" in facts["alone"]
    assert facts["shared"], "once there are descriptors again"


def test_without_fcntl_the_package_is_imported_and_the_process_is_alone(directory: Path) -> None:
    program = "import sys\nsys.modules['fcntl'] = None\n" + PROGRAM + "tell()"
    done = run(program, json.dumps([str(directory), "", 0]), measured=False)
    assert (done.code, json.loads(done.out)["trouble"]) == (0, "this system has no flock")
