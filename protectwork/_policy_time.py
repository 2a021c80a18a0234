"""Policy time: how long a minute of protection lasts. Everywhere but in a lab it is 60 s.

ECS's shortest lease is a minute, which is long for a try on a laptop. So a lab may let leases, their expiry and the
linger pass up to ten times as fast, in its workers as in its ECS. Nothing else is faster: no deadline of a call, no
wait between two calls, and no work.
"""

from __future__ import annotations

from collections.abc import Mapping

from protectwork._errors import SettingsError

__all__ = ["LAB_PREFIX", "MOST_SCALE", "VARIABLE", "check_scale", "time_scale"]

LAB_PREFIX = "PROTECTWORK_LAB_"
"""The variables that a lab tells its workers by; none of them is a setting."""
VARIABLE = f"{LAB_PREFIX}TIME_SCALE"
MOST_SCALE = 10.0


def time_scale(environ: Mapping[str, str]) -> float:
    """How many times as fast policy time passes for the processes of that environment; 1 outside a lab.

    It is never less than 1: set by mistake, it makes for more calls, and never for a lease that is thought longer than
    it is.

    Raises:
        SettingsError: The variable holds no such number.
    """
    text = environ.get(VARIABLE, "").strip()
    try:
        scale = float(text or 1)
    except ValueError:
        raise SettingsError(setting=VARIABLE, rule=_RULE, value=repr(text)) from None
    return check_scale(scale, setting=VARIABLE)


def check_scale(scale: float, *, setting: str) -> float:
    """The scale, if it is one.

    Raises:
        SettingsError: It is none.
    """
    if not 1 <= scale <= MOST_SCALE:
        raise SettingsError(setting=setting, rule=_RULE, value=f"{scale:g}")
    return scale


_RULE = f"a number from 1 to {MOST_SCALE:g}"
