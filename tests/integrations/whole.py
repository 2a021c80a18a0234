"""All pools in all tests of the Celery adapter, all shapes in those of the SQS adapter, greenlets: four minutes.

`python tests/integrations/whole.py`

It prints how each cell of the matrix went. The suite plays a quarter of the matrix, prefork elsewhere, and a few shapes
of each kind. The arguments are pytest's (`-k gevent`, say).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PARTS = (
    ["-n0", "-s", "-v", str(HERE / "celery_worker" / "test_matrix.py")],
    ["-n4", "--dist=load", str(HERE / "test_celery_admission.py"), str(HERE / "admission_whole.py")],
    ["-n3", "--dist=load", str(HERE.parent / "unit" / "test_greenlets.py")],
    ["-n4", str(HERE / "sqs")],
)

if __name__ == "__main__":
    os.environ["WHOLE_MATRIX"] = "1"
    sys.exit(max(pytest.main([*part, *sys.argv[1:]]) for part in PARTS))
