"""Which credentials hide the task role: what boto3 itself would take, without asking or starting anybody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from protectwork.backends._ecs_faults import Fault
from protectwork.backends.ecs import own_credentials

from .raw_endpoint import Endpoint, answering

PATIENT_S = 60.0
KEYS = "aws_access_key_id=AKIDEXAMPLE\naws_secret_access_key=example\n"
ROLE = "role_arn=arn:aws:iam::111122223333:role/other\n"


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where boto3's files are, once they are written; nothing else is set."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "BOTO_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


def found() -> str | Fault | None:
    return own_credentials(deadline_s=PATIENT_S)


def test_neither_the_task_role_nor_the_host_s_is_asked_for_credentials(files, monkeypatch) -> None:
    with Endpoint(answering(b"HTTP/1.1 200 OK\r\n\r\n{}")) as endpoint:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://{endpoint.where}/role")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://{endpoint.where}/")
        assert found() is None
        monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
        assert found() is None
        (files / "config").write_text(f"[default]\n{ROLE}credential_source=Ec2InstanceMetadata\n")
        assert found() == "assume-role"
    assert endpoint.requests == []


def test_a_program_that_gives_credentials_is_not_started(files) -> None:
    (files / "config").write_text(f"[default]\ncredential_process=touch {files}/started\n")
    assert found() == "custom-process"
    assert not (files / "started").exists()


@pytest.mark.parametrize(
    ("file", "text", "environ", "method"),
    [
        ("config", "", {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example"}, "env"),
        ("credentials", f"[default]\n{KEYS}", {}, "shared-credentials-file"),
        ("credentials", f"[other]\n{KEYS}", {}, None),
        ("credentials", f"[other]\n{KEYS}", {"AWS_PROFILE": "other"}, "shared-credentials-file"),
        ("config", f"[default]\n{KEYS}", {}, "config-file"),
        ("config", "[profile other]\nregion=eu-west-1\n", {"AWS_PROFILE": "other"}, None),
        (
            "config",
            "",
            {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent", "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/other"},
            "assume-role-with-web-identity",
        ),
        ("config", f"[default]\n{ROLE}web_identity_token_file=/nonexistent\n", {}, "assume-role-with-web-identity"),
    ],
)
def test_it_is_told_by_which_method_boto3_finds_them(files, monkeypatch, file, text, environ, method) -> None:  # noqa: PLR0917 - the cases
    (files / file).write_text(text)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert found() == method


@pytest.mark.parametrize(
    ("environ", "reason"),
    [({"AWS_PROFILE": "no-such"}, "ProfileNotFound"), ({"AWS_ACCESS_KEY_ID": "AKID"}, "PartialCredentialsError")],
)
def test_what_boto3_stumbles_over_is_told(files, monkeypatch, environ, reason) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    fault = found()
    assert isinstance(fault, Fault)
    assert fault.reason == reason
