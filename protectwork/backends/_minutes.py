"""For how long protection may be asked for (contract §4); neither the agent nor boto3 looks at it before ECS does."""

from __future__ import annotations

from protectwork._errors import SettingsError

__all__ = ["whole_minutes"]

_MOST_MINUTES = 2880


def whole_minutes(minutes: object) -> int:
    """Give the minutes as they are sent.

    Raises:
        SettingsError: They are not a whole number from 1 to 2880.
    """
    # To Python a bool is an int, and would be sent as 1.
    if isinstance(minutes, int) and not isinstance(minutes, bool) and 1 <= minutes <= _MOST_MINUTES:
        return minutes
    raise SettingsError(setting="minutes", rule=f"a whole number from 1 to {_MOST_MINUTES}", value=repr(minutes))
