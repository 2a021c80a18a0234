"""The five known bugs of the usual hand-written manager (AWS's published sample among them), each as a test."""

from __future__ import annotations

import threading
import time

from protectwork import Answer, Outcome, ProtectionManager, Settings, State
from protectwork.backends.agent import AgentBackend
from protectwork.testing import FakeAgent, FakeClock, RecordingBackend, faults


def names(backend: RecordingBackend) -> list[str]:
    return [call.name for call in backend.calls]


def test_a_failure_with_status_200_is_not_taken_for_protection() -> None:
    with FakeAgent() as agent, ProtectionManager(AgentBackend(agent.uri), settings=Settings()) as manager:
        agent.fail(faults.Refuse("DEPLOYMENT_BLOCKED"), times=None, only="enable")
        with manager.protect() as hold:
            assert agent.enables[-1].status == 200
            assert not agent.protected
            assert not hold.confirmed
            assert manager.status().state is State.REFUSED
        assert len(agent.calls) == 2


def test_work_that_begins_during_a_release_is_protected_by_a_new_lease() -> None:
    backend = RecordingBackend()
    with ProtectionManager(backend, settings=Settings(linger=0)) as manager:
        with manager.protect():
            pass
        with backend.paused():
            assert backend.wait_until(lambda: names(backend)[-1] == "disable")
            held = threading.Event()
            begun = threading.Event()
            confirmed: list[bool] = []

            def work() -> None:
                with manager.protect() as hold:
                    confirmed.extend((hold.confirmed, backend.protected))
                    begun.set()
                    held.wait(10)

            worker = threading.Thread(target=work)
            worker.start()
            while not manager.status().in_flight:
                time.sleep(0.001)
            assert not confirmed, "it waits for the release to end, and then for a lease"
        assert begun.wait(10)
        assert confirmed == [True, True]
        held.set()
        worker.join()
        assert names(backend)[:4] == ["get", "enable", "disable", "enable"]


def test_a_hung_agent_delays_the_work_by_no_more_than_acquire_timeout() -> None:
    with FakeAgent() as agent:
        agent.fail(faults.Hang(), times=None)
        with ProtectionManager(AgentBackend(agent.uri), settings=Settings(acquire_timeout=0.5)) as manager:
            began = time.monotonic()
            with manager.protect() as hold:
                assert not hold.confirmed
            assert time.monotonic() - began < 5
            assert len(agent.calls) == 1


def test_the_first_of_two_overlapping_jobs_to_end_does_not_unprotect_the_other() -> None:
    with FakeAgent() as agent, ProtectionManager(AgentBackend(agent.uri), settings=Settings(linger=0)) as manager:
        with manager.protect("long"):
            began = agent.now()
            with manager.protect("short"):
                pass
            time.sleep(1.5)  # longer than any release would take: linger 0, and one call a second
            assert agent.was_protected(began, agent.now())
        assert agent.wait_until(lambda: len(agent.disables) == 1)
        assert [call.call for call in agent.calls] == ["get", "enable", "disable"]


def test_an_idle_loop_does_not_call_hundreds_of_times_an_hour() -> None:
    clock = FakeClock()
    backend = RecordingBackend(clock=clock)
    with ProtectionManager(backend, settings=Settings(), clock=clock) as manager:
        manager.start()
        for _ in range(3600 // 20):  # a poll every 20 s that finds nothing
            clock.advance(20)
        assert names(backend) == ["get"]
        backend.answer_next(Answer(outcome=Outcome.CONFIRMED, protected=True))
        with manager.protect():
            clock.advance(60)
        clock.advance(3600)
        assert names(backend) == ["get", "enable", "disable"]
