"""The whole matrix of pools and events: `python tests/integrations/celery_worker/whole_matrix.py`.

It takes three minutes, prints how each cell went, and takes the arguments of pytest (`-k gevent`, say). The suite plays
a third of it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    os.environ["WHOLE_MATRIX"] = "1"
    sys.exit(pytest.main(["-n0", "-s", "-v", *sys.argv[1:], str(Path(__file__).with_name("test_matrix.py"))]))
