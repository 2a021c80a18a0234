"""Holds in asyncio: nothing blocks the loop, and the count is right wherever a task is cancelled."""

from __future__ import annotations

import asyncio
import time

import pytest

from protectwork import Outcome, ProtectionManager, ProtectionUnavailableError, Settings
from protectwork.testing import RecordingBackend


def names(backend: RecordingBackend) -> list[str]:
    return [call.name for call in backend.calls]


async def ticks(gaps: list[float]) -> None:
    """Note how long the loop stood still, until cancelled."""
    last = time.monotonic()
    while True:
        await asyncio.sleep(0.005)
        now = time.monotonic()
        gaps.append(now - last)
        last = now


def test_a_hold_waits_without_blocking_the_loop() -> None:
    async def main() -> None:
        gaps: list[float] = []
        ticking = asyncio.create_task(ticks(gaps))
        async with manager.protect() as hold:
            assert hold.confirmed
            assert backend.protected
        ticking.cancel()
        assert len(gaps) > 20, "the loop went on during the second between the two calls"
        assert max(gaps) < 0.9
        assert manager.status().in_flight == 0

    backend = RecordingBackend()
    with ProtectionManager(backend, settings=Settings()) as manager:
        asyncio.run(main())
        assert names(backend) == ["get", "enable"]


def test_many_tasks_share_one_lease_and_wait_together() -> None:
    async def work() -> bool:
        async with manager.protect() as hold:
            await asyncio.sleep(0.01)
            return hold.confirmed

    async def main() -> list[bool]:
        return await asyncio.gather(*(work() for _ in range(500)))

    backend = RecordingBackend()
    with ProtectionManager(backend, settings=Settings()) as manager:
        assert all(asyncio.run(main()))
        assert manager.status().in_flight == 0
        assert names(backend) == ["get", "enable"]


def test_cancelling_at_every_await_leaves_the_count_right() -> None:
    async def work() -> None:
        async with manager.protect():
            await asyncio.sleep(0)
            async with manager.protect():
                await asyncio.sleep(0)

    async def main() -> None:
        for steps in range(12):
            task = asyncio.create_task(work())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert manager.status().in_flight == 0, f"cancelled after {steps} steps"

    backend = RecordingBackend()
    with ProtectionManager(backend, settings=Settings()) as manager:
        with backend.paused():  # no lease yet: the cancellation hits the wait
            asyncio.run(main())
        with manager.protect():  # a confirmed lease: it hits the work
            pass
        asyncio.run(main())


def test_an_outage_costs_acquire_timeout_once_and_no_more() -> None:
    async def main() -> float:
        began = time.monotonic()
        async with manager.protect() as hold:
            assert not hold.confirmed
        async with manager.protect():
            pass
        return time.monotonic() - began

    backend = RecordingBackend()
    backend.answer_next(Outcome.UNAVAILABLE, times=100)
    with ProtectionManager(backend, settings=Settings(acquire_timeout=2)) as manager:
        assert asyncio.run(main()) < 3.9


def test_a_sync_hold_on_the_loop_starts_unconfirmed_with_one_warning_and_is_confirmed_behind(caplog) -> None:
    async def main() -> None:
        began = time.monotonic()
        with manager.protect() as hold:
            assert time.monotonic() - began < 10
            assert not hold.confirmed
            with manager.protect():
                pass
            for _ in range(100):
                if hold.confirmed:
                    break
                await asyncio.sleep(0.05)
            assert hold.confirmed
            assert backend.protected

    backend = RecordingBackend()
    with ProtectionManager(backend, settings=Settings()) as manager:
        asyncio.run(main())
    assert len([record for record in caplog.records if "use `async with protect()`" in record.message]) == 1


def test_a_sync_hold_on_the_loop_that_insists_is_told_to_use_async_with() -> None:
    async def main() -> None:
        with manager.protect(on_unprotected="raise"):
            pytest.fail("the work started")

    with ProtectionManager(RecordingBackend(), settings=Settings()) as manager:
        with pytest.raises(ProtectionUnavailableError, match="async with"):
            asyncio.run(main())
        assert manager.status().in_flight == 0


def test_async_work_that_insists_raises_before_it_starts() -> None:
    async def main() -> None:
        async with manager.protect(on_unprotected="raise"):
            pytest.fail("the work started")

    backend = RecordingBackend()
    backend.answer_next(Outcome.MISCONFIGURED, times=2)
    with ProtectionManager(backend, settings=Settings()) as manager:
        with pytest.raises(ProtectionUnavailableError, match="misconfigured"):
            asyncio.run(main())
        assert manager.status().in_flight == 0


def test_a_loop_that_ends_while_a_task_waits_disturbs_nobody() -> None:
    async def waits() -> None:
        async with manager.protect():
            pass

    async def main() -> None:
        task = asyncio.create_task(waits())
        while not manager.status().in_flight:  # noqa: ASYNC110 - a fact is no event
            await asyncio.sleep(0.001)
        assert not task.done()

    backend = RecordingBackend()
    with ProtectionManager(backend, settings=Settings()) as manager:
        with backend.paused():
            asyncio.run(main())
        assert manager.status().in_flight == 0
        with manager.protect() as hold:
            assert hold.confirmed
