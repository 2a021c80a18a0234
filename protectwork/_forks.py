"""What a forked child has to forget: it inherits every object, and none of the threads that work on them."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["forgets_on_fork"]


class _Forgetful(Protocol):
    def forget_parent(self) -> None:
        """Be as new: in the child, right after the fork, before any other code runs there."""
        ...


_known: weakref.WeakSet[_Forgetful] = weakref.WeakSet()


def forgets_on_fork(thing: _Forgetful) -> None:
    """Have `thing.forget_parent()` called in every child that is forked from now on, while `thing` lives."""
    _known.add(thing)


def _in_child() -> None:
    for thing in list(_known):
        thing.forget_parent()


os.register_at_fork(after_in_child=_in_child)
