"""The tests of kills, calls, handovers and long calls at ten times their size: `python tests/processes/soak.py`.

It takes a quarter of an hour, prints its figures, and takes the arguments of pytest (`-k handover`, say). The same
tests run in the suite at their ordinary size.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

TIMES = int(os.environ.get("SOAK_TIMES", "1"))
"""What the tests multiply their durations, rounds and kills by."""

_FILES = ("test_kills.py", "test_last_holder.py", "test_handover.py", "test_calls.py", "test_long_c_call.py")

if __name__ == "__main__":
    os.environ.setdefault("SOAK_TIMES", "10")
    here = Path(__file__).parent
    sys.exit(pytest.main(["-n0", "-s", "-v", *sys.argv[1:], *(str(here / name) for name in _FILES)]))
