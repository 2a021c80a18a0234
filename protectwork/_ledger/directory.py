"""Which directory the processes of the task share, and whether it may be trusted."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from protectwork._errors import SettingsError
from protectwork._ledger import kernel
from protectwork._ledger.descriptors import Descriptor
from protectwork._ledger.mounts import file_system, is_network
from protectwork._ledger.trouble import ForeignError, StateError

__all__ = ["Site", "given", "parents", "private", "private_path"]

_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A directory that was looked at and found good.

    Attributes:
        path: Where it is, for people and to see whether it still is there.
        directory: It, open. All work is relative to it, so that what was looked at is what is used.
        mode: Its permissions; what is made in it gets no others, whatever the umask.
        group: Its group; what is made in it is given to it, so that its other users may work with it.
    """

    path: str
    directory: Descriptor
    mode: int
    group: int


def given(path: str) -> Site:
    """The directory that the user has named: made by whoever deploys, its owner and group accepted as found.

    Raises:
        SettingsError: It is not one that processes may share.
        OSError: It could not be looked at.
    """
    path = path.rstrip("/") or "/"  # with a slash at its end, a symbolic link would be followed
    try:
        found = kernel.look(path)
    except (FileNotFoundError, NotADirectoryError):
        raise _must_be("a directory that exists", path, f"make it: mkdir -m 2770 {path}") from None
    if objection := given_objection(path, found):
        raise objection
    try:
        site = _opened(path)
    except PermissionError:
        raise _not_writable(path) from None
    with _closing_unless_good(site):
        if objection := _objection_inside(site):
            raise objection
    return site


def _objection_inside(site: Site) -> SettingsError | None:
    """Why a directory that the user has named is not one to share, by what is to be found out with it open."""
    path, directory = site.path, site.directory
    if objection := given_objection(path, directory.found):  # it may have been replaced after the first look
        return objection
    if kind := _network_kind(path, directory.found.st_dev):
        return _must_be("on a local file system", path, "use a volume of the task's own host", but=f"on {kind}")
    return None if kernel.has_access(".", at=directory.number) else _not_writable(path)


def given_objection(path: str, found: os.stat_result) -> SettingsError | None:
    """Why a directory that the user has named is not one to share, by what is to be seen of it (PURE)."""
    if stat.S_ISLNK(found.st_mode):
        return _must_be("a directory", path, "name the directory that it leads to", but="a symbolic link")
    if not stat.S_ISDIR(found.st_mode):
        return _must_be("a directory", path, "name another")
    if found.st_mode & stat.S_IWOTH:
        mode = f"mode {stat.S_IMODE(found.st_mode):04o}"
        return _must_be("a directory that is not world-writable", path, f"chmod o-w {path}", but=mode)
    return None


def parents() -> Iterator[str]:
    """Where a directory of our own may be, the best first: gone with the container, and shared by its processes.

    Raises:
        FileNotFoundError: There is no usable directory for temporary files.
    """
    yield "/dev/shm"  # noqa: S108 - the directory below it is checked, and refused if it is not ours alone
    yield tempfile.gettempdir()


def private(parent: str, *, endpoint: str) -> Site:
    """The directory of this user and this task below `parent`; made if it is not there.

    It is never repaired: what others could write to may have been written by them.

    Args:
        parent: A directory that others may write to as well.
        endpoint: Told to every process of the task, and to no other task.

    Raises:
        ForeignError: It belongs to another user.
        StateError: It is not one to be trusted.
        OSError: There can be none below this parent; there may be below another.
    """
    if kind := _network_kind(parent, kernel.look_through(parent).st_dev):
        raise OSError(errno.EOPNOTSUPP, f"on {kind}, which is no local file system", parent)
    path = private_path(parent, endpoint=endpoint)
    with suppress(FileExistsError):
        kernel.make_directory(path)
    if objection := private_objection(path, kernel.look(path), user=os.geteuid()):
        raise objection
    site = _opened(path)
    with _closing_unless_good(site):  # it may have been replaced in between; this one is open, and stays what it is
        if objection := private_objection(path, site.directory.found, user=os.geteuid()):
            raise objection
    return site


def private_path(parent: str, *, endpoint: str) -> str:
    """Where that directory is."""
    return os.path.join(parent, f"protectwork-{hashlib.sha256(os.fsencode(endpoint)).hexdigest()[:16]}")  # noqa: PTH118


def private_objection(path: str, found: os.stat_result, *, user: int) -> StateError | None:
    """Why a directory that we have found is not one to use, by what is to be seen of it (PURE)."""
    shown = _shown(path)
    if found.st_uid != user:
        return ForeignError(
            f"{shown} belongs to user {found.st_uid}, this process to user {user}: set PROTECTWORK_STATE_DIR to a "
            "directory of a group that both are in (mkdir -m 2770 and chgrp), or run both as one user"
        )
    if not stat.S_ISDIR(found.st_mode):
        return StateError(f"{shown} must be a directory, and is none: remove it")
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(found.st_mode)
        return StateError(f"{shown} must be accessible to its owner alone, and has mode {mode:04o}: remove it")
    return None


def _opened(path: str) -> Site:
    directory = Descriptor(kernel.open_directory(path))
    mode, group = stat.S_IMODE(directory.found.st_mode), directory.found.st_gid
    return Site(path=path, directory=directory, mode=mode, group=group)


@contextmanager
def _closing_unless_good(site: Site) -> Generator[None]:
    with ExitStack() as undo:
        undo.callback(site.directory.close)
        yield
        undo.pop_all()


def _network_kind(path: str, device: int) -> str | None:
    kind = file_system(kernel.read_mounts(), path=os.path.realpath(path), device=device)
    return kind if kind and is_network(kind) else None


def _not_writable(path: str) -> SettingsError:
    remedy = "give its group write access, and this user that group"
    return _must_be(f"a directory that user {os.geteuid()} may write to", path, remedy)


def _must_be(rule: str, path: str, remedy: str, *, but: str | None = None) -> SettingsError:
    value = f"{_shown(path)}, {but}" if but else _shown(path)
    return SettingsError(setting="state_dir", rule=rule, value=value, remedy=remedy)


def _shown(path: str) -> str:
    return ascii(path)[:_SHOWN_CHARS]
