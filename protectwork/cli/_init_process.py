"""The first process of the container: whether the SIGTERM that ECS sends it does anything."""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Init", "init_of", "look_at_init"]

_INIT = Path("/proc/1")
_SHELLS = frozenset({"ash", "bash", "busybox", "dash", "ksh", "sh", "zsh"})
# They wait for signals by sigtimedwait, sigwait or a signalfd, and pass them on. Older dockers call tini `init`.
_FORWARD = frozenset({"catatonit", "docker-init", "dumb-init", "init", "tini", "tini-static"})
_CAUGHT = re.compile(r"^SigCgt:\s*([0-9a-f]+)$", re.MULTILINE)
_SIGTERM = 1 << (signal.SIGTERM - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """The first process of the container.

    Attributes:
        name: What it is called.
        catches_sigterm: It has a handler. Without one, the kernel drops the signal: no default action is taken for
            the first process (pid_namespaces(7)). But see `forwards`.
    """

    name: str
    catches_sigterm: bool

    @property
    def forwards(self) -> bool:
        """Whether it is there to pass signals on, as what ``initProcessEnabled`` starts is; it has no handlers."""
        return self.name in _FORWARD

    @property
    def is_shell(self) -> bool:
        """Whether it is a shell, which passes no signal on to what it has started."""
        return self.name in _SHELLS


def look_at_init() -> Init | None:
    """Look at it; None where the system does not tell."""
    with suppress(OSError, UnicodeDecodeError):
        return init_of(name=(_INIT / "comm").read_text(), status=(_INIT / "status").read_text())
    return None


def init_of(*, name: str, status: str) -> Init | None:
    """Read what ``/proc/1/comm`` and ``/proc/1/status`` say (PURE)."""
    caught = _CAUGHT.search(status)
    return Init(name=name.strip(), catches_sigterm=bool(int(caught[1], 16) & _SIGTERM)) if caught else None
