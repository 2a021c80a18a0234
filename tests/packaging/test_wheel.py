"""What is shipped is what stands in the folders, with the dependencies that were promised."""

from __future__ import annotations

import configparser
import email
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import protectwork

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "protectwork": ROOT / "protectwork",
    "protectwork_celery": ROOT / "integrations/protectwork_celery",
    "protectwork_sqs": ROOT / "integrations/protectwork_sqs",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    [path] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"])
    with zipfile.ZipFile(path) as wheel:
        yield wheel


@pytest.fixture(scope="module")
def metadata(wheel) -> Message:
    return email.message_from_bytes(wheel.read(f"protectwork-{protectwork.__version__}.dist-info/METADATA"))


def sources() -> set[str]:
    files = (path for folder in FOLDERS.values() for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    return {name.removeprefix("integrations/") for name in named}


def test_the_wheel_holds_what_the_folders_hold_and_nothing_else(wheel):
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert shipped == sources()
    assert {f"{package}/py.typed" for package in FOLDERS} <= shipped


def test_the_wheel_has_no_top_level_name_but_the_packages(wheel):
    assert {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" not in name} == set(FOLDERS)


def test_the_wheel_holds_the_license(wheel):
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())


def test_a_plain_install_needs_httpx_and_wrapt_and_nothing_else(metadata):
    plain = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(plain) == ["httpx<1,>=0.27", "wrapt<3,>=1.16"]


def test_the_extras_are_those_of_the_documentation(metadata):
    extras = {"cli", "celery", "sqs", "sqs-async", "ecs", "otel", "testing", "demo", "dev"}
    assert set(metadata.get_all("Provides-Extra", [])) == extras
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Version"] == protectwork.__version__


def test_the_command_and_the_pytest_plugin_are_registered(wheel):
    parser = configparser.ConfigParser()
    parser.read_string(wheel.read(f"protectwork-{protectwork.__version__}.dist-info/entry_points.txt").decode())
    assert {section: dict(parser[section]) for section in parser.sections()} == {
        "console_scripts": {"protectwork": "protectwork.__main__:main"},
        "pytest11": {"protectwork": "protectwork.testing._plugin"},
    }
