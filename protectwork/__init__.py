"""Keeps Amazon ECS from killing this task while it works."""

from protectwork._backend import Backend
from protectwork._errors import (
    HoldError,
    MetadataError,
    ProtectionRefusedError,
    ProtectionUnavailableError,
    ProtectworkError,
    SettingsError,
    UnprotectedError,
)
from protectwork._events import (
    AdmissionClosed,
    AdmissionOpened,
    CallFinished,
    Event,
    HoldOverran,
    LeaseAtRisk,
    LeaseConfirmed,
    LeaseLost,
    LeaseRecovered,
    LeaseRefused,
    LeaseReleased,
    LeaseRenewed,
    Observer,
    SharedStateUnavailable,
)
from protectwork._hold import Hold
from protectwork._manager import ProtectionManager
from protectwork._process import configure, get_manager, protect, protected
from protectwork._settings import Settings
from protectwork._types import Answer, HoldStatus, Outcome, State, Status

__all__ = [
    "AdmissionClosed",
    "AdmissionOpened",
    "Answer",
    "Backend",
    "CallFinished",
    "Event",
    "Hold",
    "HoldError",
    "HoldOverran",
    "HoldStatus",
    "LeaseAtRisk",
    "LeaseConfirmed",
    "LeaseLost",
    "LeaseRecovered",
    "LeaseRefused",
    "LeaseReleased",
    "LeaseRenewed",
    "MetadataError",
    "Observer",
    "Outcome",
    "ProtectionManager",
    "ProtectionRefusedError",
    "ProtectionUnavailableError",
    "ProtectworkError",
    "Settings",
    "SettingsError",
    "SharedStateUnavailable",
    "State",
    "Status",
    "UnprotectedError",
    "configure",
    "get_manager",
    "protect",
    "protected",
]
__version__ = "0.1.0"
