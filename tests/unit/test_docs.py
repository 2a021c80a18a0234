"""What README and docs show, runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from protectwork._process import reset_manager
from protectwork._settings import Settings
from protectwork.testing import FakeAgent, FakeEcsApi

ROOT = Path(__file__).parents[2]
PACKAGES = ("protectwork", "integrations/protectwork_celery", "integrations/protectwork_sqs")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> str:
    """All the Python of a page, in order: later blocks build on earlier ones. What needs a queue is run with those."""
    return "\n".join(block for block in BLOCK.findall((ROOT / page).read_text()) if "protectwork_sqs" not in block)


def test_the_example_of_the_readme_protects_each_job(monkeypatch: pytest.MonkeyPatch) -> None:
    code = blocks("README.md").replace("def transcode(job): ...", "def transcode(job): seen.append(agent.protected)")
    seen: list[bool] = []
    with FakeAgent() as agent:
        monkeypatch.setenv("ECS_AGENT_URI", agent.uri)
        reset_manager()
        exec(code, {"seen": seen, "agent": agent, "batch": range(3)})
        reset_manager()
        assert seen == [True, True, True]
        assert [call.call for call in agent.calls] == ["get", "enable", "disable"]


def test_every_block_of_the_manual_runs(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    with FakeEcsApi() as ecs, FakeAgent(ecs.task) as agent:
        names: dict[str, object] = {"tasks": [ecs.task.arn]}
        for name, value in (ecs.environ() | agent.environ()).items():
            monkeypatch.setenv(name, value)
        reset_manager()
        exec(blocks("docs/using.md"), names)
        assert [call.call for call in agent.calls[:2]] == ["get", "enable"]
        assert agent.changes[0].protected
        assert [entry.task_arn for entry in names["told"].protected_tasks] == [ecs.task.arn]  # type: ignore[attr-defined]
        reset_manager()
    names["test_the_worker_is_protected_while_it_works"](request.getfixturevalue("fake_agent"))  # type: ignore[operator]


def test_the_service_of_the_lab_loses_no_job(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worker, *others = BLOCK.findall((ROOT / "docs/lab.md").read_text())
    (tmp_path / "worker.py").write_text(worker)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec("\n".join(others), names)
    report = names["report"]
    assert [(one.completed is not None) for one in report.deployments] == [True, True]
    assert report.finished
    assert re.fullmatch(r"\d+ jobs finished, 0 were killed in flight; \d+ calls\n0\n", capsys.readouterr().out)


def test_the_manual_knows_every_setting_and_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", (ROOT / "docs/using.md").read_text(), re.MULTILINE)
    table = {name: default.strip() for name, default in rows if name.islower()}
    assert set(table) == set(Settings.__dataclass_fields__)
    defaults = Settings()
    assert table["lease"] == f"{defaults.lease_s / 3600:.0f} h"
    assert table["linger"] == f"{defaults.linger_s:.0f} s"
    assert table["acquire_timeout"] == f"{defaults.acquire_timeout_s:.0f} s"
    assert table["backend"] == f"`{defaults.backend}`"
    assert table["on_unprotected"] == f"`{defaults.on_unprotected}`"


@pytest.mark.parametrize(
    "page", ["README.md", "ARCHITECTURE.md", "docs/using.md", "docs/celery.md", "docs/sqs.md", "docs/lab.md"]
)
def test_every_link_and_every_room_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target
    for module in re.findall(r"`(_\w+(?:\.py)?)`", text) if page == "ARCHITECTURE.md" else ():
        name = module.removesuffix(".py")
        rooms = [ROOT / package / name for package in PACKAGES]
        assert name == "__main__" or any(room.with_suffix(".py").exists() or room.is_dir() for room in rooms), module
