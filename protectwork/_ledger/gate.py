"""The gate: the `flock` of the shared directory itself, so that nobody can take the one away without the other."""

from __future__ import annotations

from protectwork._ledger import kernel
from protectwork._ledger.descriptors import Descriptor

__all__ = ["Gate"]


class Gate:
    """Shared for whoever is busy, exclusive for whoever may disable (rules 4 to 6, ARCHITECTURE.md). Never waits.

    A process has it open twice. A shared `flock` that is made exclusive is given up first, and lost if that fails
    (rule 5); so exclusive is tried on a descriptor of its own, no duplicate of the other, which would share its lock.

    Args:
        directory: The shared directory, open; this gate closes its own descriptors alone, and never this one.

    Attributes:
        joined: Whether this process holds the gate shared.
        seized: Whether this process holds it exclusive.
    """

    def __init__(self, directory: Descriptor) -> None:
        self.joined = self.seized = False
        self._shared = Descriptor(kernel.open_directory(".", at=directory.number))
        try:
            self._exclusive = Descriptor(kernel.open_directory(".", at=directory.number))
        except OSError:
            self._shared.close()
            raise

    def join(self) -> bool:
        """Hold the gate shared, if nobody has seized it. No system call if it is held already."""
        self.joined = self.joined or kernel.lock_shared(self._shared.number)
        return self.joined

    def leave(self) -> None:
        """Hold it shared no longer.

        It is unlocked whether we know that we hold it or not, and noted before: a signal handler may raise between a
        system call and the note of it, and then we may hold the gate unknown to us, but never believe to hold it.
        """
        self.joined = False
        kernel.unlock(self._shared.number)

    def seize(self) -> bool:
        """Hold the gate exclusive, if nobody holds it in any way, this process included."""
        self.seized = self.seized or kernel.lock_exclusive(self._exclusive.number)
        return self.seized

    def let_go(self) -> None:
        """Hold it exclusive no longer. No system call if it is not held: only the keeper's thread ever seizes it."""
        if self.seized:
            kernel.unlock(self._exclusive.number)
            self.seized = False

    def close(self) -> None:
        """Close both descriptors without unlocking (rule 11). Idempotent."""
        self.joined = self.seized = False
        self._shared.close()
        self._exclusive.close()
