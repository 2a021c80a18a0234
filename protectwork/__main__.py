"""The console script, and ``python -m protectwork``."""

from __future__ import annotations

import importlib
import logging
import sys

_EXTRA = ("click", "rich")
_REMEDY = 'the protectwork command needs click and rich; install them with: pip install "protectwork[cli]"\n'
_WRONG_USAGE = 2


def main() -> None:
    """Run the command line, or say in one line what it takes to have one."""
    try:
        for name in _EXTRA:
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:  # it is there, and broken: that is another story
            raise
        sys.stderr.write(_REMEDY)
        sys.exit(_WRONG_USAGE)
    from protectwork.cli import cli  # noqa: PLC0415 - only now is it known to load

    if logging.lastResort:  # writes to what sys.stderr is at the moment, so that a live display is not torn
        logging.lastResort.setFormatter(logging.Formatter("protectwork: %(message)s"))
    cli(prog_name="protectwork")


if __name__ == "__main__":
    main()
