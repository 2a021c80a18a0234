"""Through random failures, lengths, stops and restarts every message is settled, and none handled twice at once."""

from __future__ import annotations

import pytest
from integrations.sqs.program import Shape
from integrations.sqs.scene import Scene
from integrations.sqs.storm import MESSAGES, STOPS, VISIBILITY_S, Storm


@pytest.mark.parametrize(("shape", "seed"), [("consumer", 5), ("async consumer", 6)])
def test_every_message_is_settled_and_none_stranded_or_handled_twice_at_once(
    scene: Scene, shape: Shape, seed: int
) -> None:
    storm = Storm(scene, shape, seed=seed)
    storm.rage()
    accounts = scene.accounts()
    print(storm.figures(accounts))
    assert accounts.faults(storm.ids, visibility_s=VISIBILITY_S) == []
    assert accounts.not_given_back() == []
    assert len(set(storm.ids)) == MESSAGES
    assert storm.codes == [0] * (STOPS + 1)
    assert scene.is_empty()
    assert any(run.remarks.get("result") == "failed" for run in accounts.runs)
    assert len({run.pid for run in accounts.runs}) == STOPS + 1
