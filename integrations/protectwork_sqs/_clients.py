"""The client of a consumer that was given none: with time-outs that suit a long poll, and an end to every call.

In truth it is two, for what settles must not wait for as long as what waits for messages. Neither tries twice: that is
the business of those who ask, who know when the end has come.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from protectwork import SettingsError
from protectwork_sqs._faults import NO_CREDENTIALS
from protectwork_sqs._options import Options

__all__ = ["async_client", "client"]

_CONNECT_S, _READ_S = 3, 5  # without what a receipt waits for a message
_HOST = re.compile(r"(?:sqs\.([a-z0-9-]+)|([a-z0-9-]+)\.queue)\.amazonaws\.com(?:\.cn)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pair:
    """What a consumer asks, of a client for receipts and another for the rest."""

    receive_message: Callable[..., Any]
    delete_message_batch: Callable[..., Any]
    change_message_visibility_batch: Callable[..., Any]

    @classmethod
    def of(cls, receives: Any, settles: Any) -> Pair:
        """The operations of both."""
        return cls(receives.receive_message, settles.delete_message_batch, settles.change_message_visibility_batch)


def client(options: Options, *, connections: int) -> Pair:
    """One of boto3, as the environment and the configuration of AWS say. May take some seconds for credentials.

    Raises:
        SettingsError: boto3, credentials or a region are missing.
    """
    session = _module("boto3", extra="sqs").Session()
    _require("credentials", found=session.get_credentials(), remedy=NO_CREDENTIALS)
    new_config = _module("botocore.config", extra="sqs").Config
    region = _required_region(session.region_name, options)
    receives, settles = (
        session.client("sqs", region_name=region, config=new_config(**each)) for each in _configs(options, connections)
    )
    return Pair.of(receives, settles)


@asynccontextmanager
async def async_client(options: Options, *, connections: int) -> AsyncGenerator[Pair]:
    """One of aiobotocore, for the time of the ``async with``; else as `client`.

    Raises:
        SettingsError: aiobotocore, credentials or a region are missing.
    """
    session = _module("aiobotocore.session", extra="sqs-async").get_session()
    _require("credentials", found=await session.get_credentials(), remedy=NO_CREDENTIALS)
    new_config = _module("aiobotocore.config", extra="sqs-async").AioConfig
    region = _required_region(session.get_config_variable("region"), options)
    receives, settles = (
        session.create_client("sqs", region_name=region, config=new_config(**each))
        for each in _configs(options, connections)
    )
    async with receives as receiving, settles as settling:
        yield Pair.of(receiving, settling)


_REGION = "set AWS_DEFAULT_REGION, or hand over a client"


def _configs(options: Options, connections: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """That of the client that receives, and that of the other."""
    common = {
        "connect_timeout": _CONNECT_S,
        "retries": {"mode": "standard", "total_max_attempts": 1},
        "max_pool_connections": connections,
    }
    return {**common, "read_timeout": options.wait_s + _READ_S}, {**common, "read_timeout": _READ_S}


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
