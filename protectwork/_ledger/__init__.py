"""Who is busy in this task: the holds of this process, and the state that all processes of the task share."""

from protectwork._ledger.chain import Head
from protectwork._ledger.holds import Entry, Ledger, in_flight_of
from protectwork._ledger.lone import LoneState
from protectwork._ledger.notice import Notice
from protectwork._ledger.shared import SharedState, open_state
from protectwork._ledger.trouble import StateError
from protectwork._ledger.view import View, look_in

__all__ = [
    "Entry",
    "Head",
    "Ledger",
    "LoneState",
    "Notice",
    "SharedState",
    "StateError",
    "TaskState",
    "View",
    "in_flight_of",
    "look_in",
    "open_state",
]

TaskState = SharedState | LoneState
"""What a process knows of the others: shared with them, or its own."""
