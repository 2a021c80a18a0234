"""How somebody who has no part in the shared state looks at it: nothing is made, registered, changed or kept locked."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from dataclasses import dataclass

from protectwork._ledger import directory, kernel
from protectwork._ledger.alive import living
from protectwork._ledger.descriptors import Descriptor
from protectwork._ledger.trouble import ForeignError

__all__ = ["View", "look_in"]

_NOT_YET = "no process of this task has shared its state here yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is to be seen of the state that the processes of the task share.

    Attributes:
        directory: Where it is; None while nobody has made it.
        available: Whether this process could have a part in it; None while nobody has made it.
        reason: Why not.
        told: What each living process has published, one line of text; whatever it says, it is not to be trusted.
            Empty where one has told nothing or cannot be read. None where nothing is known of anybody.
    """

    directory: str | None = None
    available: bool | None = None
    reason: str | None = None
    told: tuple[str, ...] | None = None


def look_in(state_dir: str | None, *, endpoint: str) -> View:
    """Look at the state of this task as it stands. Never waits and never raises.

    That of another user cannot be shared, but it is looked at where this process may: ``root`` has a shell in a
    container whose workers are somebody else.

    Args:
        state_dir: The directory that the user has named; None finds the one that the processes have found.
        endpoint: Told to every process of the task, and to no other task; what `open_state` was given.
    """
    if not kernel.HAS_FLOCK:
        return View(available=False, reason="this system has no flock")
    path = _made(endpoint) if state_dir is None else state_dir
    if path is None:
        return View(reason=_NOT_YET, told=())
    try:
        return _private(path) if state_dir is None else _given(path)
    except OSError as error:
        return View(directory=path, available=False, reason=f"{path!a}: {error.strerror}")
    except ValueError as error:  # SettingsError is one; so is a path with NUL in it
        return View(directory=path, available=False, reason=str(error))


def _given(path: str) -> View:
    site = directory.given(path)
    with closing(site.directory):
        return View(directory=site.path, available=True, told=_told(site.directory))


def _private(path: str) -> View:
    objection = directory.private_objection(path, kernel.look(path), user=os.geteuid())
    if objection is None:
        with closing(Descriptor(kernel.open_directory(path))) as found:
            return View(directory=path, available=True, told=_told(found))
    told = None
    if isinstance(objection, ForeignError):
        with suppress(OSError), closing(Descriptor(kernel.open_directory(path))) as found:
            told = _told(found)
    return View(directory=path, available=False, reason=objection.reason, told=told)


def _made(endpoint: str) -> str | None:
    """The directory that the processes of this user or of another have made, if any has."""
    with suppress(FileNotFoundError):  # there is no directory for temporary files, so nothing can be in it
        for parent in directory.parents():
            path = directory.private_path(parent, endpoint=endpoint)
            with suppress(OSError):
                kernel.look(path)
                return path
    return None


def _told(shared: Descriptor) -> tuple[str, ...]:
    """What the living have published."""
    with suppress(FileNotFoundError):  # made a moment ago, or emptied
        return tuple(living(shared).values())
    return ()
