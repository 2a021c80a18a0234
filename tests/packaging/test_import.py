"""An import starts nothing and loads little: asked of a fresh interpreter, where no test has imported anything yet."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = ["httpx", "httpcore", "boto3", "botocore", "aiobotocore", "click", "rich", "pytest", "celery"]


def ask(code: str, *, cwd: os.PathLike[str], **environ: str) -> object:
    """Run code that prints one line of JSON, in a fresh interpreter away from the sources."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PROTECTWORK_", "ECS_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=inherited | environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


LOADED = f"""
import json, sys
before = set(sys.modules)
import PACKAGE
print(json.dumps([name for name in {HEAVY} if name in sys.modules and name not in before]))
"""
each_that_needs_nothing = pytest.mark.parametrize("package", ["protectwork", "protectwork_sqs"])


@each_that_needs_nothing
def test_an_import_loads_no_http_library_no_aws_library_and_no_command_line(tmp_path, package):
    assert ask(LOADED.replace("PACKAGE", package), cwd=tmp_path) == []


@each_that_needs_nothing
def test_an_import_does_not_read_the_environment(tmp_path, package):
    nonsense = dict.fromkeys(("PROTECTWORK_LEASE", "PROTECTWORK_BACKEND", "ECS_AGENT_URI"), "nonsense")
    assert ask(f"import {package}; print(1)", cwd=tmp_path, **nonsense) == 1


@each_that_needs_nothing
def test_an_import_starts_no_thread(tmp_path, package):
    assert ask(f"import threading, {package}; print(threading.active_count())", cwd=tmp_path) == 1


def test_no_package_is_named_integrations(tmp_path):
    # In an editable install the folder itself can be seen, as any other of the sources: it has no code of that name.
    code = "import importlib.util as u; spec = u.find_spec('integrations'); print(1 if spec and spec.origin else 0)"
    assert ask(code, cwd=tmp_path) == 0


@pytest.mark.parametrize("module", ["protectwork", "protectwork.testing", "protectwork.lab", "protectwork_sqs"])
def test_every_public_name_is_there_and_the_list_is_sorted(tmp_path, module):
    code = (
        f"import json, {module} as p; print(json.dumps([p.__all__, [n for n in p.__all__ if not hasattr(p, n)],"
        " hasattr(p, 'no_such_name')]))"
    )
    names, missing, stranger = ask(code, cwd=tmp_path)
    assert (missing, stranger, names) == ([], False, sorted(names))


def test_the_journal_of_a_lab_loads_no_lab(tmp_path):
    code = (
        "import json, sys; from protectwork.lab import journal;"
        " print(json.dumps([n for n in sys.modules if n.startswith(('protectwork.testing', 'protectwork.lab._'))]))"
    )
    assert ask(code, cwd=tmp_path) == []
