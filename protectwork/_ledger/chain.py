"""The record as a chain of symbolic links: compare-and-swap between processes, held up by nobody who stops or dies.

The links are named `0`, `1`, `2`, and so on. The text of the record is the target of a link, which is only ever read,
never followed; a link is created whole and never changes. The highest is the record. So nothing is ever torn, reading
needs no descriptor, and whoever creates n + 1 after having read n has changed the record. Old links are swept away.

The name n + 1 must not become free again for somebody who read n long ago. Hence, with no lock that a stopped process
could sit on:

- A change is first a *proposal*, a link of a name of its own that says which number it wants. Its author then looks
  whether n is still there, and only then gives the proposal its second name, n + 1: `link` fails if n + 1 is there,
  and it fails as well if the proposal is not.
- A sweeper removes a link k only while a higher one stands, and after it has, in this order, known that k - 1 was gone,
  listed the directory, and removed all proposals for k and below.

*Nobody creates k twice.* Suppose that k was swept, and take a proposal for it. If its author saw k - 1 standing, the
proposal was there before k - 1 had gone; so every sweeper of k has found it in its list and removed it before k, and
`link` either came before that, when k was there, or fails. If its author saw k - 1 gone, it never calls `link`. So a
number that was swept stays free for ever; and the proposal of one who stopped or died delays nobody.

*A reader is right.* It finds n + 1 missing, and after that n standing. Since n goes before n + 1, n + 1 has not been
swept; it was missing, so it had not been created: n was the highest when the reader looked.

The link `start`, number -1, stands for no record yet. The directory comes into being with it inside (see `layout`), and
is replaced as a whole if it was emptied: so the beginning is no exception.
"""

from __future__ import annotations

import errno
import itertools
import re
from contextlib import suppress
from dataclasses import dataclass

from protectwork._ledger import kernel
from protectwork._ledger.descriptors import Descriptor
from protectwork._ledger.trouble import StateError

__all__ = ["START", "Chain", "Head", "holds_chain"]

START = "start"

_FIRST = -1
_LINK = re.compile(r"start|0|[1-9][0-9]*")
_PROPOSAL = re.compile(r"(0|[1-9][0-9]*)\.[0-9a-f]+\.[0-9]+")
_KEPT = 4  # links that stay below the newest: one who is not further behind walks up to it, and needs no list
_SWEPT_AT_ONCE = 8  # more than one, to catch up with what those have left who died before they swept
_MOST_STEPS = 100_000  # each means that somebody else has changed the record meanwhile: far beyond any honest rate


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain stands.

    Attributes:
        number: How many changes there were before; -1 if no record was ever written.
        text: The record; None if none was ever written, or it cannot be read.
    """

    number: int
    text: str | None


class Chain:
    """The chain in one directory. Not thread-safe; never waits.

    Args:
        directory: Where the links are; the chain does not close it.
        author: Tells the proposals of this process from all others'; hexadecimal.

    Attributes:
        lost: Whether links that must be there were found missing: somebody else has removed them.
    """

    def __init__(self, directory: Descriptor, *, author: str) -> None:
        self.lost = False
        self._directory = directory
        self._author = author
        self._serial = itertools.count()
        self._newest = _FIRST  # the highest that this process has seen
        self._gone = _FIRST - 1  # this and all below it are known to be gone

    def read(self) -> Head:
        """The record as it is now: two system calls if it has not changed since.

        Raises:
            OSError: The directory cannot be read.
            StateError: Somebody else has removed links.
        """
        number = self._newest
        for _ in range(_MOST_STEPS):
            if self._at(number + 1) is not None:
                number += 1
            elif (head := self._at(number)) is not None:
                self._newest = number
                return head
            else:
                number = self._highest(beyond=number)
        raise StateError("the record changes faster than it can be read")

    def commit(self, after: Head, text: str) -> Head | None:
        """Let `text` follow upon `after`: four system calls, and those of sweeping.

        Returns:
            Where the chain stands with it, or None if somebody else was first.

        Raises:
            OSError: It could not be written; the record is as it was.
        """
        number = after.number + 1
        proposal = f"{number}.{self._author}.{next(self._serial)}"
        kernel.symlink(text.encode(), proposal, at=self._directory.number)
        try:
            if self._at(after.number) is None:
                return None
            kernel.link(proposal, _name(number), at=self._directory.number)
        except (FileExistsError, FileNotFoundError):
            return None
        finally:
            with suppress(OSError):  # if it stays, a sweeper removes it in time
                kernel.unlink(proposal, at=self._directory.number)
        self._newest = max(self._newest, number)
        with suppress(OSError):  # the record is written, and whoever writes the next sweeps this time's share as well
            self._sweep(number - _KEPT)
        return Head(number, text)

    def _at(self, number: int) -> Head | None:
        """The link of that number, or None if there is none."""
        try:
            target = kernel.read_link(_name(number), at=self._directory.number)
            return Head(number, None if number == _FIRST else target.decode())
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            return Head(number, None)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return Head(number, None)  # no link: planted by somebody, stands in nobody's way, and is not ours to remove

    def _highest(self, *, beyond: int) -> int:
        """The highest number there is, for one who is too far behind to walk."""
        highest = max(self._numbers(kernel.list_names(self._directory.number)), default=_FIRST)
        if highest <= beyond:
            self.lost = True
            raise StateError(f"the record {beyond} and all that followed it were removed by somebody else")
        return highest

    def _sweep(self, last: int) -> None:
        """Remove old links up to `last`, a bounded number of them, in the order that the proof asks for."""
        for _ in range(_SWEPT_AT_ONCE):
            names = kernel.list_names(self._directory.number)
            lowest = min(self._numbers(names), default=last + 1)
            if lowest > last:
                return
            if self._gone >= lowest - 1:  # known before the list was made, so every proposal that counts is in it
                self._withdraw(names, upto=lowest)
                if not self._remove_link(_name(lowest)):
                    return
                self._gone = lowest
            elif self._at(lowest - 1) is None:
                self._gone = lowest - 1  # known from now on: the next list counts
            if self._gone == last:
                return

    def _withdraw(self, names: list[str], *, upto: int) -> None:
        for name in names:
            if (proposal := _PROPOSAL.fullmatch(name)) and int(proposal[1]) <= upto:
                self._remove_link(name)

    def _remove_link(self, name: str) -> bool:
        """Remove a symbolic link, and nothing else; False if something else has its name."""
        try:
            kernel.read_link(name, at=self._directory.number)
            kernel.unlink(name, at=self._directory.number)
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
        return True

    @staticmethod
    def _numbers(names: list[str]) -> list[int]:
        return [_FIRST if name == START else int(name) for name in names if _LINK.fullmatch(name)]


def holds_chain(names: list[str]) -> bool:
    """Whether a directory with these names in it holds a chain, be it one without a record."""
    return any(_LINK.fullmatch(name) for name in names)


def _name(number: int) -> str:
    return START if number == _FIRST else str(number)
