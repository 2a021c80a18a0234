"""SIGTERM at any point ends a worker well: what runs is finished and settled, what has not started goes back."""

from __future__ import annotations

import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from integrations.sqs.scene import Scene
from integrations.sqs.servers import Server
from integrations.sqs.stops import STOPS, Stop

AT_ONCE = 6

Verdicts = dict[Stop, list[str]]


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest, sqs: Server, tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """What was wrong with each that a test is to run: they are played several at once."""
    wanted = {item.callspec.params["stop"] for item in request.session.items if "stop" in _parameters(item)}
    directory = tmp_path_factory.mktemp("stops")

    def play(stop: Stop) -> list[str]:
        try:
            with Scene(sqs, directory / str(stop)) as scene:
                return stop.play(scene)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this one's, and the others are played
            return ["".join(traceback.format_exception(error, limit=-3))]

    played = [stop for stop in STOPS if stop in wanted]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return dict(zip(played, threads.map(play, played), strict=True))


@pytest.mark.parametrize("stop", STOPS, ids=str)
def test_sigterm_ends_a_worker_well_and_strands_nothing(stop: Stop, verdicts: Verdicts) -> None:
    if faults := verdicts[stop]:
        pytest.fail("\n".join(faults), pytrace=False)


def _parameters(item: pytest.Item) -> dict[str, object]:
    return item.callspec.params if hasattr(item, "callspec") else {}
