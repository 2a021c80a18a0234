"""What a forked child has to forget: it inherits every object, and none of the threads that work on them."""

from __future__ import annotations

import os
import weakref
from _thread import RLock
from typing import Protocol

__all__ = ["forgets_on_fork", "no_fork"]


class _Forgetful(Protocol):
    def forget_parent(self) -> None:
        """Be as new: in the child, right after the fork, before any other code runs there."""
        ...


no_fork = RLock()
"""While it is held nobody forks, save in C: for what takes several steps until a child could forget it."""

_known: weakref.WeakSet[_Forgetful] = weakref.WeakSet()


def forgets_on_fork(thing: _Forgetful) -> None:
    """Have `thing.forget_parent()` called in every child that is forked from now on, while `thing` lives."""
    _known.add(thing)


def _in_child() -> None:
    no_fork.release()
    for thing in list(_known):
        thing.forget_parent()


os.register_at_fork(before=no_fork.acquire, after_in_parent=no_fork.release, after_in_child=_in_child)
