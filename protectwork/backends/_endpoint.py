"""Which address an endpoint of ECS may have: parsed once, strictly, so that what was checked is what is called."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from protectwork._errors import SettingsError

__all__ = ["agent_url", "metadata_url", "parse_allowed"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_STATE_PATH = "/task-protection/v1/state"
_TASK_PATH = "/task"
_SHOWN_CHARS = 200

# No user name, query or fragment, and no character that two parsers could read differently.
_URI = re.compile(
    r"http://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?P<port>:[0-9]{1,5})?(?P<path>/[!-~]{0,2000})?",
    re.ASCII | re.IGNORECASE,
)
_NOT_IN_A_PATH = re.compile(r"[?#@\\]")
_HOST_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?", re.ASCII)

# Written out, for ipaddress's own "is_private" takes in more, and changes from one Python to the next.
_NEAR = tuple(
    ipaddress.ip_network(network)
    for network in (
        "127.0.0.0/8",
        "::1/128",
        "169.254.0.0/16",
        "fe80::/10",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
    )
)


def agent_url(uri: str, *, allow: Sequence[str] = ()) -> str:
    """Give the URL of task protection below ``uri``.

    Args:
        uri: The value of ``ECS_AGENT_URI``. Trailing slashes are dropped: to a doubled one the agent answers 301.
        allow: Host names, addresses or networks that are allowed beside loopback, link-local and private ones.

    Raises:
        SettingsError: The URI is not plain ``http://``, or leads elsewhere.
    """
    return _url("ECS_AGENT_URI", uri, path=_STATE_PATH, allow=allow)


def metadata_url(uri: str, *, allow: Sequence[str] = ()) -> str:
    """Give the URL of the task's metadata below ``uri``, the value of ``ECS_CONTAINER_METADATA_URI_V4``.

    Args and Raises: as for `agent_url`.
    """
    return _url("ECS_CONTAINER_METADATA_URI_V4", uri, path=_TASK_PATH, allow=allow)


def parse_allowed(entry: str) -> _Network | str:
    """Give the network, or the host name in lower case, that one entry of ``allow_endpoint`` stands for.

    Raises:
        ValueError: It is neither.
    """
    name = entry.lower()
    # What is all digits and dots, or has a slash or a colon, is meant as an address: as a name it would never match.
    if not re.search(r"[a-z_]", name) or re.search(r"[:/]", name):
        return ipaddress.ip_network(name)
    if not _HOST_NAME.fullmatch(name):
        raise ValueError(entry)
    return name


def _url(variable: str, uri: str, *, path: str, allow: Sequence[str]) -> str:
    # Whoever answers there decides whether the task counts as protected, and a variable is a string that many can set:
    # so it has to be plain HTTP to an address that only this machine or its private network can have.
    parts = _URI.fullmatch(uri)
    if parts is None or _NOT_IN_A_PATH.search(uri):
        raise _refused(variable, uri, rule="http://, a host, and a path at most", remedy="take it as ECS sets it")
    port = int((parts["port"] or ":80")[1:])
    if not 1 <= port <= 65535:  # noqa: PLR2004 - what a port is
        raise _refused(variable, uri, rule="a URI with a port from 1 to 65535", remedy="take it as ECS sets it")
    if not _may_be_called(parts["host"].lower(), allow=allow):
        rule = "a loopback, link-local or private address"
        raise _refused(variable, uri, rule=rule, remedy="to call it all the same, name its host in allow_endpoint")
    return f"http://{parts['host'].lower()}:{port}{(parts['path'] or '').rstrip('/')}{path}"


def _may_be_called(host: str, *, allow: Sequence[str]) -> bool:
    allowed = [parse_allowed(entry) for entry in allow]
    address = _address(host)
    if address is None:
        return host == "localhost" or host in allowed
    return any(address in network for network in (*_NEAR, *allowed) if not isinstance(network, str))


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.IPv6Address(host[1:-1]) if host.startswith("[") else ipaddress.IPv4Address(host)
    except ValueError:
        return None


def _refused(variable: str, uri: str, *, rule: str, remedy: str) -> SettingsError:
    # A password that somebody put before the host stays out of the error, and so out of every log.
    shown = re.sub(r"//[^/]*@", "//…@", uri)
    return SettingsError(setting=variable, rule=rule, value=repr(shown[:_SHOWN_CHARS]), remedy=remedy)
