"""Where boto3 finds credentials before it comes to the task role: looked up, and nobody asked for any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["own_method"]

_ROLE = frozenset({"container-role", "iam-role"})
"""Those of the task, and of the host: whose addresses are asked, so these are left alone."""
_KEYS = {"assume-role": "role_arn", "custom-process": "credential_process"}
"""By which key of the profile those are chosen that ask the others, or start a program."""
_WEB_IDENTITY = "web_identity_token_file"


def own_method(session: Any) -> str | None:
    """Which of boto3's methods finds credentials of the application's own; None where the task role comes first.

    Args:
        session: One of botocore's.

    Raises:
        Exception: Whatever botocore does over files and variables that it cannot make sense of.
    """
    profile = session.get_scoped_config()
    for provider in session.get_component("credential_provider").providers:
        if provider.METHOD in _ROLE:
            return None
        if _chosen(profile, provider) if provider.METHOD in _KEYS else provider.load() is not None:
            return str(provider.METHOD)
    return None


def _chosen(profile: Mapping[str, object], provider: Any) -> bool:
    # A role that is taken by a token has a method of its own, which comes later.
    by_token = provider.METHOD == "assume-role" and _WEB_IDENTITY in profile
    return _KEYS[provider.METHOD] in profile and not by_token
