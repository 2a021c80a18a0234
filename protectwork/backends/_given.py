"""What a caller gives by hand, checked at once: boto3's own errors come late, and look like the network's."""

from __future__ import annotations

import reprlib
from typing import Any

from protectwork._errors import SettingsError
from protectwork.backends._arns import id_of
from protectwork.backends._remote_text import escaped

__all__ = ["check_client", "check_deadline", "name_given"]

_LONGEST_S = 3600.0
_SHOWN_CHARS = 200


def name_given(setting: str, value: object) -> str:
    """Give the name or ARN of a cluster or a task.

    Raises:
        SettingsError: It is none.
    """
    if isinstance(value, str) and id_of(value).strip() and value.isprintable():
        return value
    raise _refused(setting, value, rule="a name or an ARN")


def check_client(*, region: object, endpoint_url: object, session: Any) -> None:
    """Look at what a client of boto3's is to be made by; None is boto3's own choice.

    Raises:
        SettingsError: It cannot be made by that.
    """
    if not (region is None or (isinstance(region, str) and region.strip())):
        raise _refused("region", region, rule="the name of a Region", remedy="eu-west-1, say")
    if not (
        endpoint_url is None or (isinstance(endpoint_url, str) and endpoint_url.startswith(("http://", "https://")))
    ):
        raise _refused("endpoint_url", endpoint_url, rule="a URL, http:// or https://")
    if not (session is None or callable(getattr(session, "client", None))):
        raise _refused("session", session, rule="a session of boto3's", remedy="boto3.Session(), say")


def check_deadline(value: object) -> None:
    """Look at how long one call may take.

    Raises:
        SettingsError: It is no time that a call could take.
    """
    # A bool would pass as one second; what is not a number is in no range.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST_S:
        raise _refused("deadline_s", value, rule=f"seconds, more than 0 and at most {_LONGEST_S:.0f}")


def _refused(setting: str, value: object, *, rule: str, remedy: str | None = None) -> SettingsError:
    shown = repr(value[:_SHOWN_CHARS]) if isinstance(value, str) else escaped(reprlib.repr(value))
    return SettingsError(setting=setting, rule=rule, value=shown, remedy=remedy)
