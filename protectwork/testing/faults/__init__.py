"""What can go wrong between a task and ECS, as values for `FakeAgent.fail` and `FakeEcsApi.fail`.

A fault takes the place of ECS's answer to a request that was found good; one that the agent or ECS itself refuses (an
unknown path, a bad body, parameters outside their rules) gets its ordinary answer and uses up no fault. Where a fault
says nothing about it, nothing that was asked is done.
"""

from protectwork.testing._exchange import Ask, Fault, Reply, Wire
from protectwork.testing._kinds import EcsMode, GarbageKind
from protectwork.testing.faults._connection import ApplyThenDrop, Drip, Drop, Hang, Limit, Redirect
from protectwork.testing.faults._ecs import Delay, Digits, Ecs, Error, LandLate, Refuse, Throttle
from protectwork.testing.faults._garbage import Garbage, Oversized
from protectwork.testing.faults._parse import FAULTS, parse_fault

__all__ = [
    "FAULTS",
    "ApplyThenDrop",
    "Ask",
    "Delay",
    "Digits",
    "Drip",
    "Drop",
    "Ecs",
    "EcsMode",
    "Error",
    "Fault",
    "Garbage",
    "GarbageKind",
    "Hang",
    "LandLate",
    "Limit",
    "Oversized",
    "Redirect",
    "Refuse",
    "Reply",
    "Throttle",
    "Wire",
    "parse_fault",
]
