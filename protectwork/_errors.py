"""Every error that protectwork raises.

ProtectworkError
├── SettingsError                 a setting or an argument is outside its rule (also a ValueError)
├── HoldError                     a hold was used in a way that would corrupt the count (also a RuntimeError)
├── MetadataError                 the task's metadata endpoint could not be asked, or gave no usable answer
├── EcsError                      the ECS API did not answer what it was asked
│   ├── EcsAccessError                who asked has no credentials, or they have expired or do not allow it
│   ├── EcsRequestError               what was asked cannot be answered: there is no such cluster, say
│   ├── EcsThrottledError             the rate of calls was too high, for longer than one waits
│   └── EcsUnavailableError           ECS could not be reached, had a fault, or gave no usable answer
└── UnprotectedError              work was asked to start only when protected, and is not
    ├── ProtectionRefusedError        ECS said no
    └── ProtectionUnavailableError    ECS could not be asked, or gave no usable answer

Each error keeps its facts in fields, survives pickling, and says value, rule and remedy.
"""

from __future__ import annotations

__all__ = [
    "EcsAccessError",
    "EcsError",
    "EcsRequestError",
    "EcsThrottledError",
    "EcsUnavailableError",
    "HoldError",
    "MetadataError",
    "ProtectionRefusedError",
    "ProtectionUnavailableError",
    "ProtectworkError",
    "SettingsError",
    "UnprotectedError",
]


class ProtectworkError(Exception):
    """The base of every error that protectwork raises."""

    def __init__(self, **fields: str | None) -> None:
        # The fields are the state and the text is derived from them, so that an error crosses a process boundary whole.
        super().__init__(self._text(**fields))
        self._fields = fields

    @staticmethod
    def _text(**fields: str | None) -> str:
        return "; ".join(f"{name}: {value}" for name, value in fields.items() if value)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self._fields)


def _rebuild(cls: type[ProtectworkError], fields: dict[str, str | None]) -> ProtectworkError:
    return cls(**fields)


class SettingsError(ProtectworkError, ValueError):
    """A setting or an argument is outside its rule.

    Attributes:
        setting: Its name, as the user wrote it (``lease`` or ``PROTECTWORK_LEASE``).
        rule: What it must be.
        value: What it was, as text.
        remedy: What to do about it, or None where the rule says it all.
    """

    def __init__(self, *, setting: str, rule: str, value: str, remedy: str | None = None) -> None:
        super().__init__(setting=setting, rule=rule, value=value, remedy=remedy)
        self.setting = setting
        self.rule = rule
        self.value = value
        self.remedy = remedy

    @staticmethod
    def _text(**fields: str | None) -> str:
        text = f"{fields['setting']} must be {fields['rule']}, got {fields['value']}"
        return f"{text}; {fields['remedy']}" if fields["remedy"] else text


class HoldError(ProtectworkError, RuntimeError):
    """One hold was entered while it was already in flight; the first use goes on undisturbed.

    Attributes:
        label: The label of the hold.
    """

    def __init__(self, *, label: str) -> None:
        super().__init__(label=label)
        self.label = label

    @staticmethod
    def _text(**fields: str | None) -> str:
        return f"the hold {fields['label']!r} is already in flight; call protect() once for each unit of work"


class MetadataError(ProtectworkError):
    """The metadata endpoint of the task could not be asked, or gave no usable answer; a later call may do better.

    Attributes:
        reason: What went wrong, in a word or two.
        detail: What the endpoint or the connection said about it, or None.
    """

    def __init__(self, *, reason: str, detail: str | None = None) -> None:
        super().__init__(reason=reason, detail=detail)
        self.reason = reason
        self.detail = detail

    @staticmethod
    def _text(**fields: str | None) -> str:
        said = f" ({fields['detail']})" if fields["detail"] else ""
        remedy = "look at ECS_CONTAINER_METADATA_URI_V4, which must be as ECS set it"
        return f"the task's metadata cannot be read: {fields['reason']}{said}; {remedy}"


class EcsError(ProtectworkError):
    """The ECS API did not answer what it was asked.

    Attributes:
        operation: What was asked, ``GetTaskProtection`` say.
        reason: ECS's error code, or what went wrong on the way to it.
        detail: What was said about it, or None.
        remedy: What to do about it.
    """

    def __init__(self, *, operation: str, reason: str, remedy: str, detail: str | None = None) -> None:
        super().__init__(operation=operation, reason=reason, remedy=remedy, detail=detail)
        self.operation = operation
        self.reason = reason
        self.detail = detail
        self.remedy = remedy

    @staticmethod
    def _text(**fields: str | None) -> str:
        said = f" ({fields['detail']})" if fields["detail"] else ""
        return f"ecs:{fields['operation']} failed: {fields['reason']}{said}; {fields['remedy']}"


class EcsAccessError(EcsError):
    """Who asked has no credentials, or they have expired or do not allow it; somebody has to mend that."""


class EcsRequestError(EcsError):
    """What was asked cannot be answered: there is no such cluster, say; asking again changes nothing."""


class EcsThrottledError(EcsError):
    """The rate of calls was too high for longer than one waits; all calls of an account in a Region share a quota."""


class EcsUnavailableError(EcsError):
    """ECS could not be reached, had a fault, or gave no usable answer; a later call may do better."""


class UnprotectedError(ProtectworkError):
    """Work with ``on_unprotected="raise"`` was not started, because the task is not protected.

    Attributes:
        label: The label of the hold.
        reason: ECS's reason or error code, or what went wrong on the way to it.
        detail: What ECS or the connection said about it, or None.
    """

    def __init__(self, *, label: str, reason: str, detail: str | None = None) -> None:
        super().__init__(label=label, reason=reason, detail=detail)
        self.label = label
        self.reason = reason
        self.detail = detail

    @staticmethod
    def _text(**fields: str | None) -> str:
        said = f" ({fields['detail']})" if fields["detail"] else ""
        return f"{fields['label']!r} was not started: the task is not protected: {fields['reason']}{said}"


class ProtectionRefusedError(UnprotectedError):
    """ECS refused to protect the task; ``DEPLOYMENT_BLOCKED`` during a deployment is the usual reason."""


class ProtectionUnavailableError(UnprotectedError):
    """ECS could not be asked within ``acquire_timeout``, or gave no usable answer."""
