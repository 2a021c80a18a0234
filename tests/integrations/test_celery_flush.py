"""What a prefork pool still knows of its jobs when it has been flushed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from protectwork_celery._celery import Consumer, keep_running_jobs


def job(*, accepted: bool = False, ready: bool = False, child: bool | None = None) -> Any:
    """One of Celery's; `child`: whether the process to which it has gone lives, None before it has gone to one."""
    process = None if child is None else SimpleNamespace(pid=1, _is_alive=lambda: child)
    return SimpleNamespace(accepted=lambda: accepted, ready=lambda: ready, _write_to=process)


def test_a_flush_forgets_no_job_that_runs_or_that_a_living_child_has_been_given() -> None:
    jobs = {
        "runs": job(accepted=True, child=True),
        "with a child": job(child=True),
        "with a dead child": job(child=False),
        "waits": job(),
        "has ended": job(accepted=True, ready=True, child=True),
    }
    pool = SimpleNamespace(_pool=SimpleNamespace(_cache=jobs), flush=jobs.clear)
    for _ in range(2):  # once for each connection
        keep_running_jobs(cast("Consumer", SimpleNamespace(pool=pool)))
    pool.flush()
    assert set(jobs) == {"runs", "with a child"}
