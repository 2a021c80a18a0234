"""``protectwork keeper``: a process that does no work, and looks after what the others of its task leave undone."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import ExitStack
from enum import IntEnum
from typing import Self

import click

from protectwork import Event, ProtectionManager, SharedStateUnavailable
from protectwork._ledger import open_state
from protectwork._observers import logger
from protectwork._settings import printable
from protectwork.cli._setup import Setup

__all__ = ["Code", "Vigil", "command"]


class Code(IntEnum):
    """The exit codes."""

    ENDED = 0
    ALONE = 3
    OFF = 4


@click.command("keeper")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Look after the protection of this task, until SIGTERM or Ctrl-C.

    The processes that work need it when they cannot act themselves: it renews while the interpreter of one is held for
    minutes, and it releases when the last one was killed. It does no work, and takes no protection from any that is in
    flight, not even when it ends. One is enough; more do no harm, and it does not matter who starts first. Run it as
    the user that the workers run as, or name a PROTECTWORK_STATE_DIR that both may use.

    \b
    In the entrypoint of the container:
      protectwork keeper &
      exec python my_worker.py

    As a container beside the worker's, both need the same directory:
    PROTECTWORK_STATE_DIR. Let that container not be essential, or its end is that of the task.

    What it does is told on the standard error, one line per change; what the others do, protectwork status sees.

    \b
    Exit status:
      0  ended by SIGTERM or Ctrl-C, within 2 seconds
      2  wrong usage, or wrong settings
      3  the processes of the task cannot share their state: nobody to look
         after. What may pass, such as a full disk, is waited out instead
      4  off: not inside ECS, or turned off by PROTECTWORK_BACKEND
    """  # noqa: D301 - what \b means to click
    with Vigil() as vigil:
        ctx.exit(_keep(vigil))


def _keep(vigil: Vigil) -> Code:
    setup = Setup.from_environment()
    if setup.why_off:
        return _ends(Code.OFF, f"it is off; {setup.why_off}")
    # The manager would find out no other, but later, on a thread of its own.
    state = open_state(state_dir=setup.state_dir, endpoint=setup.scope)
    state.close()
    if not state.shared:
        return _ends(Code.ALONE, f"it cannot see the other processes of the task: {state.trouble}")
    _log_to_stderr()
    by = "ECS API" if setup.backend.name == "ecs" else setup.backend.name
    where = f"by the {by}; shared: {printable(state.directory)}"
    click.echo(f"protectwork: looking after this task, {where}", err=True)
    return vigil.run(ProtectionManager(setup.backend, settings=setup.settings, vigilant=True))


class Vigil:
    """Lets a manager look after its task, until a signal comes or there is nobody to look after any more.

    A context manager, which blocks the signals: to be entered first of all, before there is another thread. All threads
    inherit that, so none is interrupted, and no signal is lost; nor is one of the first process of a container, which
    gets what is blocked, and otherwise only what it has a handler for.
    """

    def __init__(self) -> None:
        self._ending = {signal.SIGTERM}
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as a shell has it for a job in the background
            self._ending.add(signal.SIGINT)
        self._manager: ProtectionManager | None = None
        self._trouble: str | None = None
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        orphans = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the first process inherits them: the kernel reaps
        self._undo.callback(signal.signal, signal.SIGCHLD, orphans)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._ending)
        self._undo.callback(signal.pthread_sigmask, signal.SIG_SETMASK, mask)
        return self

    def __exit__(self, *_: object) -> None:
        while signal.sigpending() & self._ending:  # it is over: who sends a second one changes nothing
            signal.sigwait(self._ending)
        self._undo.close()

    def run(self, manager: ProtectionManager) -> Code:
        """Start the manager, which is vigilant, block until it is over, and close it."""
        self._manager = manager
        manager.subscribe(self)
        manager.start()
        signal.sigwait(self._ending)
        manager.close()
        if self._trouble is None:
            return Code.ENDED
        return _ends(Code.ALONE, f"it does not see the other processes of the task any more: {self._trouble}")

    def on_event(self, event: Event) -> None:
        """End it when the manager is alone; a record that cannot be written is tried again, and others are seen."""
        if isinstance(event, SharedStateUnavailable) and event.alone:
            self._trouble = event.reason
            os.kill(os.getpid(), signal.SIGTERM)


def _ends(code: Code, why: str) -> Code:
    click.echo(f"protectwork: the keeper cannot look after this task: {why}", err=True)
    return code


def _log_to_stderr() -> None:
    """Show what changes, not only what is wrong: this process has nothing else to say."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("protectwork: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
