"""Who lives: one file per process, locked for as long as its process lives; the kernel unlocks it, however it dies."""

from __future__ import annotations

import errno
import re
import stat
from collections.abc import Generator, Iterable
from contextlib import ExitStack, closing, contextmanager, suppress
from uuid import uuid4

from protectwork._ledger import kernel
from protectwork._ledger.descriptors import Descriptor
from protectwork._ledger.directory import Site
from protectwork._ledger.layout import ALIVE, make_alive, share
from protectwork._ledger.trouble import StateError

__all__ = ["Alive", "living"]

_OWNER = re.compile(r"[0-9a-f]{12}")
_MOST_TRIES = 16
_READ_BYTES = 64 * 1024
_NO_FILE = frozenset((errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.ENODEV))


class Alive:
    """The alive file of this process, and its view of all others' (rules 1 and 8, ARCHITECTURE.md).

    The ids are random, not pids: every container has a pid 1. Never waits.

    Attributes:
        owner: The id of this process.
    """

    def __init__(self, site: Site) -> None:
        self._directory = site.directory
        self.owner, self._file = _registered(site)

    def dead(self, owners: Iterable[str]) -> set[str]:
        """Which of these processes live no more. Who cannot be asked after is taken for alive.

        A file that is not there is that of a dead process, unless ours is gone as well: then somebody has cleaned up
        here, and nothing is known of anybody (rule 10).
        """
        found = {owner for owner in owners if owner != self.owner and _published(self._directory, owner) is None}
        return found if found and self.linked() else set()

    def living(self) -> dict[str, str]:
        """All processes that live, this one included: what each of them has published, one line."""
        return living(self._directory)

    def fallen(self) -> set[str]:
        """The dead whose files are still there, whether anybody has ever heard of them or not."""
        return {owner for owner in _owners(self._directory) if owner != self.owner and self._has_fallen(owner)}

    def bury(self, owner: str) -> None:
        """Remove the file of a dead process; nothing happens if it lives, or if what has its name is no such file."""
        with suppress(OSError), _probed(self._directory, owner) as file:
            if file is not None and owner != self.owner and kernel.lock_shared(file.number):
                kernel.unlink(_path(owner), at=self._directory.number)

    def publish(self, text: str) -> None:
        """Tell people in one line what this process is doing. Best effort: nothing depends on it."""
        content = text.replace("\n", " ").encode(errors="replace") + b"\n"
        with suppress(OSError):
            kernel.write(self._file.number, content)
            kernel.truncate(self._file.number, len(content))  # who reads in between stops at the end of the line

    def _has_fallen(self, owner: str) -> bool:
        with suppress(OSError), _probed(self._directory, owner) as file:
            return file is not None and kernel.lock_shared(file.number)
        return False

    def linked(self) -> bool:
        """Whether our file is still where it was: a temp cleaner takes that of a living process too."""
        with suppress(OSError):
            return self._file.stands_for(kernel.look(_path(self.owner), at=self._directory.number))
        return False

    def forget(self) -> None:
        """Close our copy of the file without unlocking it (rule 11). Idempotent."""
        self._file.close()

    def close(self) -> None:
        """Live no more: remove our file, and unlock it for a forked child too that still has a copy. Idempotent."""
        with suppress(OSError):
            if self.linked():
                kernel.unlink(_path(self.owner), at=self._directory.number)
        with suppress(OSError):
            kernel.unlock(self._file.number)
        self._file.close()


def living(shared: Descriptor) -> dict[str, str]:
    """All processes that live in this directory: what each of them has published, one line.

    Raises:
        OSError: There is no directory of alive files, or it cannot be looked into.
    """
    texts = {owner: _published(shared, owner) for owner in _owners(shared)}
    return {owner: text for owner, text in texts.items() if text is not None}


def _owners(shared: Descriptor) -> list[str]:
    with closing(Descriptor(kernel.open_directory(ALIVE, at=shared.number))) as alive:
        return [name for name in kernel.list_names(alive.number) if _OWNER.fullmatch(name)]


def _published(shared: Descriptor, owner: str) -> str | None:
    """What a process has published; None if it is dead, and nothing if it cannot be asked after."""
    with suppress(OSError), _probed(shared, owner) as file:
        if file is None or kernel.lock_shared(file.number):
            return None
        return kernel.read(file.number, _READ_BYTES).decode(errors="replace").partition("\n")[0]
    return ""


@contextmanager
def _probed(shared: Descriptor, owner: str) -> Generator[Descriptor | None]:
    """The alive file of a process, open for a moment; None if there is none, or something else has its name.

    Whoever probes holds its lock shared, so that those who probe do not take each other for alive.
    """
    if not _OWNER.fullmatch(owner):  # out of a record that somebody else may have written: no name of a file
        yield None
        return
    try:
        file = Descriptor(kernel.open_to_probe(_path(owner), at=shared.number))
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        yield None
        return
    with closing(file):
        yield file if stat.S_ISREG(file.found.st_mode) else None


def _registered(site: Site) -> tuple[str, Descriptor]:
    """A new id, and its file, locked.

    Between its creation and its lock a file looks like that of a dead process: somebody may probe it, so that the lock
    is not to be had, or bury it. Nobody has heard of the id by then, so another does as well.
    """
    for _ in range(_MOST_TRIES):
        owner = uuid4().hex[:12]
        make_alive(site)
        try:
            file = Descriptor(kernel.open_to_publish(_path(owner), at=site.directory.number))
        except (FileExistsError, FileNotFoundError):  # somebody has just put his own empty directory there: into that
            continue
        with ExitStack() as undo:
            undo.callback(_discard, owner, file, at=site.directory.number)
            share(file.number, mode=site.mode & 0o660 | 0o600, group=site.group)
            if kernel.lock_exclusive(file.number) and kernel.look(file.number).st_nlink:
                undo.pop_all()
                return owner, file
    raise StateError(f"{site.path}/{ALIVE} does not keep the files that are created in it")


def _discard(owner: str, file: Descriptor, *, at: int) -> None:
    with suppress(OSError):
        kernel.unlink(_path(owner), at=at)
    file.close()


def _path(owner: str) -> str:
    return f"{ALIVE}/{owner}"
