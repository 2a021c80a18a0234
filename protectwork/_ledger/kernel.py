"""The one seam between the ledger and the kernel: each function is one system call, and `hook` hears of it before.

Tests set the hook to count calls, to raise, to stop the process or to end it. Two functions take a few calls, and a
descriptor for a moment: `list_names` and `read_mounts`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

try:
    import fcntl
except ImportError:  # no POSIX system: every process is alone there, and the package can be imported all the same
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "HAS_FLOCK",
    "change_group",
    "change_mode",
    "close",
    "has_access",
    "hook",
    "link",
    "list_names",
    "lock_exclusive",
    "lock_shared",
    "look",
    "look_through",
    "make_directory",
    "open_directory",
    "open_to_probe",
    "open_to_publish",
    "read",
    "read_link",
    "read_mounts",
    "remove_directory",
    "rename",
    "symlink",
    "truncate",
    "unlink",
    "unlock",
    "write",
]

HAS_FLOCK = fcntl is not None

hook: Callable[[str], None] | None = None
"""Hears the name of every system call before it is made, and may raise instead of it."""


def lock_shared(descriptor: int) -> bool:
    """Take the `flock` shared, without waiting; False if somebody holds it exclusive."""
    return _lock(descriptor, exclusive=False)


def lock_exclusive(descriptor: int) -> bool:
    """Take the `flock` exclusive, without waiting; False if somebody holds it."""
    return _lock(descriptor, exclusive=True)


def unlock(descriptor: int) -> None:
    """Give the `flock` back, for every copy of the descriptor, those of forked children included."""
    if hook is not None:
        hook("flock")
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _lock(descriptor: int, *, exclusive: bool) -> bool:
    if hook is not None:
        hook("flock")
    if fcntl is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def open_directory(path: str, *, at: int | None = None) -> int:
    """Open a directory that is one itself, not a symbolic link to one."""
    if hook is not None:
        hook("open")
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)


def open_to_publish(path: str, *, at: int) -> int:
    """Create a file that was not there; for its owner alone until it is told otherwise."""
    if hook is not None:
        hook("open")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=at)


def open_to_probe(path: str, *, at: int) -> int:
    """Open what somebody else may have put there: no symbolic link, and without waiting for the other end of a FIFO."""
    if hook is not None:
        hook("open")
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)


def close(descriptor: int) -> None:
    """Close a descriptor; its `flock` goes only with the last copy."""
    if hook is not None:
        hook("close")
    os.close(descriptor)


def look(path: str | int, *, at: int | None = None) -> os.stat_result:
    """What is there, or what a descriptor stands for; a symbolic link is not followed."""
    if hook is not None:
        hook("stat")
    return os.fstat(path) if isinstance(path, int) else os.lstat(path, dir_fd=at)


def look_through(path: str) -> os.stat_result:
    """What is there, at the other end of a symbolic link."""
    if hook is not None:
        hook("stat")
    return os.stat(path)  # noqa: PTH116 - one system call, as everywhere here


def has_access(path: str, *, at: int) -> bool:
    """Whether this user may read, write and search the directory; False on a read-only file system too."""
    if hook is not None:
        hook("access")
    return os.access(path, os.R_OK | os.W_OK | os.X_OK, dir_fd=at, effective_ids=True)


def make_directory(path: str, *, at: int | None = None) -> None:
    """Make a directory that was not there, for its owner alone."""
    if hook is not None:
        hook("mkdir")
    os.mkdir(path, 0o700, dir_fd=at)


def change_mode(descriptor: int, mode: int) -> None:
    """Set the mode of what is open, whatever the umask was."""
    if hook is not None:
        hook("chmod")
    os.fchmod(descriptor, mode)


def change_group(descriptor: int, group: int) -> None:
    """Give what is open to a group."""
    if hook is not None:
        hook("chown")
    os.fchown(descriptor, -1, group)


def rename(old: str, new: str, *, at: int) -> None:
    """Move a directory; one that is not empty is never replaced."""
    if hook is not None:
        hook("rename")
    os.rename(old, new, src_dir_fd=at, dst_dir_fd=at)


def remove_directory(path: str, *, at: int | None = None) -> None:
    """Remove an empty directory."""
    if hook is not None:
        hook("rmdir")
    os.rmdir(path, dir_fd=at)


def list_names(directory: int) -> list[str]:
    """The names in a directory. Needs a new descriptor for a moment."""
    if hook is not None:
        hook("listdir")
    return os.listdir(directory)


def symlink(target: bytes, path: str, *, at: int) -> None:
    """Create a symbolic link where nothing was."""
    if hook is not None:
        hook("symlink")
    os.symlink(target, os.fsencode(path), dir_fd=at)


def read_link(path: str, *, at: int) -> bytes:
    """The target of a symbolic link, which is not followed."""
    if hook is not None:
        hook("readlink")
    return os.readlink(os.fsencode(path), dir_fd=at)


def link(old: str, new: str, *, at: int) -> None:
    """Give what is at `old` a second name; fails if `old` is not there, and if `new` is."""
    if hook is not None:
        hook("link")
    os.link(old, new, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)


def unlink(path: str, *, at: int) -> None:
    """Remove a name that is no directory."""
    if hook is not None:
        hook("unlink")
    os.unlink(path, dir_fd=at)


def read(descriptor: int, size: int) -> bytes:
    """At most `size` bytes from the beginning of a file."""
    if hook is not None:
        hook("read")
    return os.pread(descriptor, size, 0)


def write(descriptor: int, content: bytes) -> None:
    """Write over the beginning of a file."""
    if hook is not None:
        hook("write")
    os.pwrite(descriptor, content, 0)


def truncate(descriptor: int, size: int) -> None:
    """Cut a file."""
    if hook is not None:
        hook("truncate")
    os.ftruncate(descriptor, size)


def read_mounts() -> str:
    """What is mounted where for this process; empty where the kernel does not say."""
    if hook is not None:
        hook("mounts")
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:  # noqa: PTH123 - as above
            return mounts.read()
    except OSError:
        return ""
