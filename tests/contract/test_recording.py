"""The table is the recording: all of it, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from protectwork.testing import Fault
from protectwork.testing.faults import Delay, Digits, Ecs

from .agent_cases import CASES, Case

RECORDING = Path(__file__).parents[3] / "shared" / "contract" / "agent_cases.json"


def test_the_table_has_all_72_cases():
    assert len(CASES) == 72
    assert len(set(map(str, CASES))) == 72


if RECORDING.exists():

    def test_the_table_says_what_the_recording_says():
        """Stands only where the recording lies beside the repository; the table is what counts elsewhere."""
        recorded = json.loads(RECORDING.read_text())["cases"]

        assert [_as_recorded(case) for case in CASES] == [
            {**{key: case[key] for key in case if key not in {"seconds", "ecs_calls"}}, "ecs": _fault(case["ecs"])}
            for case in recorded
        ]


def _as_recorded(case: Case) -> dict[str, object]:
    return {
        "name": case.name,
        "method": case.asked.method,
        "path": case.asked.path,
        "request_body": case.asked.body,
        "request_content_type": case.asked.content_type,
        "ecs": case.fault,
        "status": case.said.status,
        "content_type": case.said.content_type,
        "body": case.said.body,
    }


def _fault(script: str | None) -> Fault | None:
    match json.loads(script or "null"):
        case None:
            return None
        case {"millis": True}:
            return Digits(3)
        case {"delay_ms": delay_ms}:
            return Delay(delay_ms / 1000)
        case {"mode": mode, **more}:
            return Ecs(mode, tries=more.get("remaining"))
        case unknown:
            raise AssertionError(f"no fault stands for {unknown}")
