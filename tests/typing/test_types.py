"""What type checkers see of the public names: `kept.py` is right to its last type, and `mistakes.py` all wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = ["kept.py", "mistakes.py"]


def said_by(*command: str, cwd: Path) -> tuple[int, str]:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_mypy_sees_every_type_and_every_mistake() -> None:
    # From the root, where the cache is that of every other run of mypy.
    files = [str(HERE / name) for name in FILES]
    code, said = said_by(sys.executable, "-m", "mypy", "--strict", "--config-file=", *files, cwd=HERE.parents[1])
    assert code == 0, said
    assert said == "Success: no issues found in 2 source files\n"


@pytest.mark.external
def test_pyright_sees_every_type_and_every_mistake() -> None:
    code, said = said_by("pyright", "--project", str(HERE), "--pythonpath", sys.executable, cwd=HERE)
    assert code == 0, said
    assert "0 errors" in said


def test_the_checker_would_notice_a_lost_type(tmp_path: Path) -> None:
    """The comments of `mistakes.py` hold nothing unless one that is not needed fails."""
    file = tmp_path / "lost.py"
    file.write_text("from typing import Any\ndef bare(number: Any) -> Any: ...\nbare('1')  # type: ignore[arg-type]\n")
    code, said = said_by(sys.executable, "-m", "mypy", "--strict", "--config-file=", str(file), cwd=HERE.parents[1])
    assert code == 1
    assert "Unused" in said
