"""The client of a consumer that was given none: with time-outs that suit a long poll, and an end to every call."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from protectwork import SettingsError
from protectwork_sqs._faults import NO_CREDENTIALS
from protectwork_sqs._options import Options

__all__ = ["async_client", "client"]

_CONNECT_S, _READ_S, _ATTEMPTS = 5, 10, 3
_HOST = re.compile(r"(?:sqs\.([a-z0-9-]+)|([a-z0-9-]+)\.queue)\.amazonaws\.com(?:\.cn)?", re.ASCII)


def client(options: Options, *, connections: int) -> Any:
    """A client of boto3, as the environment and the configuration of AWS say. May take some seconds for credentials.

    Raises:
        SettingsError: boto3, credentials or a region are missing.
    """
    session = _module("boto3", extra="sqs").Session()
    _require("credentials", found=session.get_credentials(), remedy=NO_CREDENTIALS)
    config = _module("botocore.config", extra="sqs").Config(**_config(options, connections))
    region = _required_region(session.region_name, options)
    return session.client("sqs", region_name=region, config=config)


async def async_client(options: Options, *, connections: int) -> Any:
    """What gives a client of aiobotocore in an ``async with``; else as `client`.

    Raises:
        SettingsError: aiobotocore, credentials or a region are missing.
    """
    session = _module("aiobotocore.session", extra="sqs-async").get_session()
    _require("credentials", found=await session.get_credentials(), remedy=NO_CREDENTIALS)
    config = _module("aiobotocore.config", extra="sqs-async").AioConfig(**_config(options, connections))
    region = _required_region(session.get_config_variable("region"), options)
    return session.create_client("sqs", region_name=region, config=config)


_REGION = "set AWS_DEFAULT_REGION, or hand over a client"


def _config(options: Options, connections: int) -> dict[str, Any]:
    return {
        "connect_timeout": _CONNECT_S,
        "read_timeout": options.wait_s + _READ_S,
        "retries": {"mode": "standard", "total_max_attempts": _ATTEMPTS},
        "max_pool_connections": connections,
    }


def _required_region(configured: str | None, options: Options) -> str:
    """The region of the queue's address, else the configured one."""
    named = _HOST.fullmatch(urlsplit(options.queue_url).hostname or "")
    region = (named and (named[1] or named[2])) or configured
    _require("region", found=region, remedy=_REGION)
    return str(region)


def _require(setting: str, *, found: object, remedy: str) -> None:
    if not found:
        raise SettingsError(setting=f"AWS {setting}", rule="configured", value="none", remedy=remedy)


def _module(name: str, *, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        remedy = f"pip install 'protectwork[{extra}]', or hand over a client"
        raise SettingsError(setting=package, rule="installed", value="no such package", remedy=remedy) from None
