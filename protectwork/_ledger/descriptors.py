"""An open file of ours, closed once and by nobody's mistake."""

from __future__ import annotations

import os
from contextlib import suppress

from protectwork._ledger import kernel

__all__ = ["Descriptor"]

_CLOSED = 2**31 - 1  # no file ever has it, so the kernel refuses it; for -1 some of Python's calls raise ValueError


class Descriptor:
    """The number of an open file, until it is closed; from then on one that the kernel refuses.

    Attributes:
        number: The descriptor.
        found: What was to be seen of the file when it was opened.
    """

    __slots__ = ("found", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        try:
            self.found = kernel.look(number)
        except OSError:
            kernel.close(number)
            raise

    def stands_for(self, found: os.stat_result) -> bool:
        """Whether that is this file."""
        return (found.st_dev, found.st_ino) == (self.found.st_dev, self.found.st_ino)

    def close(self) -> None:
        """Close it without unlocking. Idempotent.

        A program that becomes a daemon closes every descriptor it knows of, and the numbers go to files of its own:
        what no longer stands for our file is not ours to close.
        """
        number, self.number = self.number, _CLOSED
        with suppress(OSError):
            if self.stands_for(kernel.look(number)):
                kernel.close(number)
