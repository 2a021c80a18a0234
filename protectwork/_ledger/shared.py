"""The state that all processes of the task share: the gate, the record and who lives, behind one face."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager, suppress

from protectwork._ledger import directory, kernel
from protectwork._ledger.alive import Alive
from protectwork._ledger.chain import Chain, Head
from protectwork._ledger.descriptors import Descriptor
from protectwork._ledger.directory import Site
from protectwork._ledger.gate import Gate
from protectwork._ledger.layout import ALIVE, RECORD, open_record
from protectwork._ledger.lone import LoneState
from protectwork._ledger.trouble import ForeignError, StateError

__all__ = ["SharedState", "open_state"]

_MOST_TRIES = 8


class SharedState:
    """One process's part in the state of its task. Not thread-safe; no method waits for anybody, and none logs.

    `join`, `seize`, `read` and `commit` raise StateError when the kernel refuses what no other process can be the cause
    of (a full file system, a removed directory, an I/O error): what they were to do has not been done. All others do
    what they can. Only `dead`, `fallen`, `bury`, `living`, the list that sweeping takes, and a `read` after very many
    changes need a new descriptor.

    Args:
        site: Where it is; closed with this.
        ours: It was made by these processes, for nothing else.

    Attributes:
        owner: The id of this process.
        shared: Whether other processes have a part in it: yes.
        foreign: Whether it belongs to another user: no, for then it is not used.
        trouble: Why the process is alone: it is not.
        directory: Where it is.
    """

    shared = True
    foreign = False
    trouble = None

    def __init__(self, site: Site, *, ours: bool = False) -> None:
        self._ours = ours
        self.directory = site.path
        self._site = site
        with ExitStack() as undo:
            undo.callback(site.directory.close)
            self._gate = Gate(site.directory)
            undo.callback(self._gate.close)
            self._record = open_record(site)
            undo.callback(self._record.close)
            self._alive = Alive(site)
            undo.pop_all()
        self.owner = self._alive.owner
        self._chain = Chain(self._record, author=self.owner)

    @property
    def joined(self) -> bool:
        """Whether this process holds the gate shared."""
        return self._gate.joined

    def join(self) -> bool:
        """Hold the gate shared; False if somebody has seized it. One system call, and none if it is held already."""
        with self._telling():
            return self._gate.join()

    def leave(self) -> None:
        """Hold the gate shared no longer: unlocked, not closed (rule 11). Idempotent."""
        with suppress(OSError):
            self._gate.leave()

    def seize(self) -> bool:
        """Hold the gate exclusive, to disable; False if anybody holds it, this process included (rule 5)."""
        with self._telling():
            return self._gate.seize()

    def let_go(self) -> None:
        """Hold the gate exclusive no longer. Idempotent."""
        with suppress(OSError):
            self._gate.let_go()

    def read(self) -> Head:
        """The record as it is now; after `join` (rule 6). Two system calls if it has not changed since."""
        with self._telling():
            return self._chain.read()

    def commit(self, after: Head, text: str) -> Head | None:
        """Change the record from `after` to `text`, before a call is sent and after its answer (rule 1).

        Args:
            after: What `read` or `commit` gave, and `text` was decided upon.
            text: Not empty, without NUL; at most 4095 bytes of UTF-8, on XFS 1023.

        Returns:
            Where the record stands with it; None if somebody else was first: read anew, decide anew.
        """
        with self._telling():
            return self._chain.commit(after, text)

    def dead(self, owners: Iterable[str]) -> set[str]:
        """Which of these live no more. Whoever cannot be asked after is taken for alive."""
        with suppress(OSError):
            return self._alive.dead(owners)
        return set()

    def fallen(self) -> set[str]:
        """The dead whose alive files are still there, also those that no record has ever named."""
        with suppress(OSError):
            return self._alive.fallen()
        return set()

    def bury(self, owner: str) -> None:
        """Remove the alive file of a dead process, once the record needs it no longer. Does nothing to the living."""
        self._alive.bury(owner)

    def publish(self, text: str) -> None:
        """Tell people in one line what this process is doing."""
        self._alive.publish(text)

    def living(self) -> dict[str, str]:
        """All living processes, this one included: what each has published."""
        with suppress(OSError):
            return self._alive.living()
        return {}

    def intact(self) -> bool:
        """Whether the files are still those that were opened; if not, they are to be taken anew (rule 10)."""
        with suppress(OSError):
            return (
                not self._chain.lost
                and self._stands(self._site.directory, self.directory, at=None)
                and self._stands(self._record, RECORD, at=self._site.directory.number)
                and self._alive.linked()
            )
        return False

    def close(self, *, spent: bool = False) -> None:
        """Have no part in it any more: unlock, remove our alive file, close. Idempotent.

        Args:
            spent: The record holds nothing that a later process needs. The last one then takes all files with it.
        """
        self.leave()
        if spent and self._ours:
            self._clear_away()
        self.let_go()
        self._alive.close()
        self._close()

    def _clear_away(self) -> None:
        """Remove everything, if nobody else is here. Who comes meanwhile finds the files gone, and makes others."""
        with suppress(OSError):
            if self._gate.seize() and set(self._alive.living()) == {self.owner}:
                for owner in self._alive.fallen():
                    self._alive.bury(owner)
                self._alive.close()
                at = self._site.directory.number
                kernel.remove_directory(ALIVE, at=at)  # fails if somebody has come, and then nothing more is removed
                for name in sorted(kernel.list_names(self._record.number)):
                    kernel.unlink(name, at=self._record.number)
                kernel.remove_directory(RECORD, at=at)
                kernel.remove_directory(self.directory)

    def forget_parent(self) -> None:
        """In a forked child: close our copies without unlocking, for the locks are the parent's (rule 11)."""
        self._alive.forget()
        self._close()

    def _close(self) -> None:
        self._gate.close()
        self._record.close()
        self._site.directory.close()

    @staticmethod
    def _stands(descriptor: Descriptor, path: str, *, at: int | None) -> bool:
        return descriptor.stands_for(kernel.look(path, at=at))

    @contextmanager
    def _telling(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise StateError(f"{self.directory}: {_cause(error)}") from error


def open_state(*, state_dir: str | None, endpoint: str) -> SharedState | LoneState:
    """Take part in the state of this task, or be alone if there is no way to share it. Never raises.

    Args:
        state_dir: The directory that the user has named; None finds one.
        endpoint: Told to every process of the task, and to no other task: the value of ``ECS_AGENT_URI``.
    """
    if not kernel.HAS_FLOCK:
        return LoneState(trouble="this system has no flock")
    try:
        return _found(endpoint) if state_dir is None else SharedState(directory.given(state_dir))
    except ForeignError as error:
        return LoneState(trouble=error.reason, foreign=True)
    except OSError as error:
        return LoneState(trouble=f"{state_dir!a}: {_cause(error)}; name a directory that this user may write to")
    except (StateError, ValueError) as error:  # SettingsError is a ValueError; so is a path with NUL in it
        return LoneState(trouble=str(error))


def _found(endpoint: str) -> SharedState:
    """The state in the first directory where there can be one."""
    reasons: list[str] = []
    for parent in directory.parents():
        try:
            return _entered(parent, endpoint)
        except OSError as error:
            reasons.append(f"{parent}: {_cause(error)}")
    raise StateError(f"no directory can be used: {'; '.join(reasons)}")


def _entered(parent: str, endpoint: str) -> SharedState:
    """The state below `parent`; made anew if the last of those before has just taken it away."""
    for _ in range(_MOST_TRIES):
        with suppress(FileNotFoundError):
            return SharedState(directory.private(parent, endpoint=endpoint), ours=True)
    return SharedState(directory.private(parent, endpoint=endpoint), ours=True)


def _cause(error: OSError) -> str:
    name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return f"{error.strerror or os.strerror(error.errno or 0)} ({name})"
