"""What is in the shared directory, and how it comes into being: whole, or not at all."""

from __future__ import annotations

import errno
import stat
from contextlib import ExitStack, closing, suppress
from uuid import uuid4

from protectwork._ledger import kernel
from protectwork._ledger.chain import START, holds_chain
from protectwork._ledger.descriptors import Descriptor
from protectwork._ledger.directory import Site
from protectwork._ledger.trouble import StateError

__all__ = ["ALIVE", "RECORD", "make_alive", "open_record", "share"]

RECORD = "record"
ALIVE = "alive"

_THERE = frozenset((errno.EEXIST, errno.ENOTEMPTY))
_MOST_TRIES = 8  # somebody else may make or remove it between two looks at it


def open_record(site: Site) -> Descriptor:
    """The directory of the record, made with the beginning of its chain in it if it is not there, or was emptied.

    Raises:
        StateError: Something else is there.
        OSError: It could not be made.
    """
    for _ in range(_MOST_TRIES):
        with ExitStack() as undo:
            if (record := _opened(site, RECORD)) is not None:
                undo.callback(record.close)
                if holds_chain(kernel.list_names(record.number)):
                    undo.pop_all()
                    return record
        # An empty one is replaced, not filled: the number that somebody reads in it could be one that was swept.
        _make(site, RECORD, start=True)
    raise StateError(f"{site.path}/{RECORD} holds no record, and other files: remove it")


def make_alive(site: Site) -> None:
    """See to it that the directory of alive files is there.

    Raises:
        StateError: Something else is there.
        OSError: It could not be made.
    """
    if (alive := _opened(site, ALIVE)) is None:
        _make(site, ALIVE, start=False)
    else:
        alive.close()


def share(descriptor: int, *, mode: int, group: int) -> None:
    """Let those of the group use it too who may use the shared directory, whatever our umask and our own group are."""
    with suppress(PermissionError):  # not a member of that group: then its members are not who shares it
        kernel.change_group(descriptor, group)
    kernel.change_mode(descriptor, mode)


def _opened(site: Site, name: str) -> Descriptor | None:
    """A directory in the shared one; None if there is none."""
    try:
        found = kernel.look(name, at=site.directory.number)
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(found.st_mode):
        raise StateError(f"{site.path}/{name} must be a directory, and is none: remove it")
    if found.st_mode & ~site.mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StateError(f"{site.path}/{name} must be accessible to nobody who may not write to {site.path}: remove it")
    try:
        return Descriptor(kernel.open_directory(name, at=site.directory.number))
    except FileNotFoundError:
        return None


def _make(site: Site, name: str, *, start: bool) -> None:
    """Make a directory, unless somebody else is first: nobody ever sees it without its mode or its content."""
    draft, at = f"{name}.{uuid4().hex[:12]}", site.directory.number
    kernel.make_directory(draft, at=at)
    with closing(Descriptor(kernel.open_directory(draft, at=at))) as made:
        try:
            share(made.number, mode=site.mode & ~stat.S_ISVTX, group=site.group)  # all of the group sweep and bury
            if start:
                kernel.symlink(START.encode(), START, at=made.number)
            kernel.rename(draft, name, at=at)
        except OSError as error:
            _unmake(draft, made, at=at)
            if error.errno not in _THERE:
                raise


def _unmake(draft: str, made: Descriptor, *, at: int) -> None:
    with suppress(FileNotFoundError):
        kernel.unlink(START, at=made.number)
    kernel.remove_directory(draft, at=at)
