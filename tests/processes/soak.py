"""The tests of kills, calls, handovers and long calls at ten times their size: `python tests/processes/soak.py`.

A kill at every seam, the kills of Celery's children, the calls for its jobs and 2,000 messages of SQS are among them.
It takes twenty-five minutes, prints its figures, and takes the arguments of pytest (`-k handover`, say). The same tests
run in the suite at their ordinary size.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

TIMES = int(os.environ.get("SOAK_TIMES", "1"))
"""What the tests multiply their durations, rounds and kills by."""

_FILES = (
    "processes/test_kills.py",
    "processes/test_last_holder.py",
    "processes/test_handover.py",
    "processes/test_calls.py",
    "processes/test_long_c_call.py",
    "processes/test_stops.py",
    "integrations/test_celery_kills.py",
    "integrations/test_celery_cost.py",
    "integrations/sqs/test_storm.py",
)

if __name__ == "__main__":
    os.environ.setdefault("SOAK_TIMES", "10")
    tests = Path(__file__).parents[1]
    sys.exit(pytest.main(["-n0", "-s", "-v", *sys.argv[1:], *(str(tests / name) for name in _FILES)]))
