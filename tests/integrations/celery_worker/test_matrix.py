"""Every event that can befall a worker, in every pool: no body runs unprotected, and the task is released after it."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from integrations.celery_worker.lanes import Lane, Verdict
from integrations.celery_worker.matrix import CELLS, EVENTS, POOLS, WHOLE, Cell
from integrations.celery_worker.redis_server import RedisServer

PLAYED = tuple(cell for cell in CELLS if cell.chosen)
NOT_APPLICABLE = tuple(cell for cell in CELLS if cell.why_not)
LANES_AT_ONCE = 8
MOST_IN_A_LANE = 5

Verdicts = dict[Cell, Verdict]


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest, server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """How the cells went whose tests are to run: several lanes of them side by side."""
    wanted = {item.callspec.params["cell"] for item in request.session.items if "cell" in _parameters(item)}
    lanes = _lanes([cell for cell in PLAYED if cell in wanted])
    directory = tmp_path_factory.mktemp("matrix")
    with ThreadPoolExecutor(LANES_AT_ONCE) as threads:
        futures = [
            threads.submit(Lane(directory / str(number), server=server).play, cells)
            for number, cells in enumerate(lanes)
        ]
    return {cell: verdict for future in futures for cell, verdict in future.result().items()}


@pytest.mark.parametrize("cell", PLAYED, ids=str)
def test_no_body_runs_unprotected_and_the_task_is_released(cell: Cell, verdicts: Verdicts) -> None:
    print(f"{cell}: {verdicts[cell].figures}")
    if faults := verdicts[cell].faults:
        pytest.fail("\n".join(faults), pytrace=False)


def test_every_cell_is_played_or_not_applicable_for_a_reason(verdicts: Verdicts) -> None:
    print(f"\n{len(CELLS)} cells: {len(CELLS) - len(NOT_APPLICABLE)} required, {len(verdicts)} run now")
    print(f"{len(NOT_APPLICABLE)} not applicable:", *(f"  {cell}: {cell.why_not}" for cell in NOT_APPLICABLE), sep="\n")
    assert (len(POOLS), len(EVENTS), len(CELLS)) == (5, 23, 115)
    assert len(NOT_APPLICABLE) == 23
    assert len(verdicts) == len(PLAYED) == (92 if WHOLE else 23)
    assert {cell.pool for cell in PLAYED} == set(POOLS)
    assert {cell.event.name for cell in PLAYED} == {event.name for event in EVENTS}


def test_the_judge_finds_what_a_worker_without_the_adapter_does(server: RedisServer, tmp_path: Path) -> None:
    cell = next(cell for cell in CELLS if str(cell) == "solo-success")
    (verdict,) = Lane(tmp_path, server=server, adapter=False).play([cell]).values()
    found = "\n".join(verdict.faults)
    assert "a body ran unprotected: work[" in found
    assert "0 enables; expected 1" in found


def _parameters(item: pytest.Item) -> dict[str, object]:
    return item.callspec.params if hasattr(item, "callspec") else {}


def _lanes(cells: list[Cell]) -> list[list[Cell]]:
    """Cells of one pool after another, a few in each lane; the longest lanes first."""
    by_pool: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_pool[cell.pool].append(cell)
    return [some[at : at + MOST_IN_A_LANE] for some in by_pool.values() for at in range(0, len(some), MOST_IN_A_LANE)]
