"""RecordingBackend remembers every call, confirms it unless told otherwise, and can hold it in the middle."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from protectwork._backend import Backend
from protectwork._clock import steady_now
from protectwork._errors import SettingsError
from protectwork._types import Answer, Outcome
from protectwork.testing import FakeClock, RecordedCall, RecordingBackend


def test_it_is_a_backend():
    backend: Backend = RecordingBackend()

    assert backend.name == "recording"


def test_it_remembers_every_call(recording_backend: RecordingBackend, fake_clock: FakeClock):
    began = fake_clock.now()
    recording_backend.enable(5)
    fake_clock.advance(1)
    recording_backend.get()
    recording_backend.disable()

    assert recording_backend.calls == (
        RecordedCall(name="enable", minutes=5, time=began),
        RecordedCall(name="get", minutes=None, time=began + 1),
        RecordedCall(name="disable", minutes=None, time=began + 1),
    )


def test_it_confirms_with_real_state(recording_backend: RecordingBackend, fake_clock: FakeClock):
    ends = datetime.fromtimestamp(fake_clock.wall(), UTC) + timedelta(minutes=5)
    now = fake_clock.now()
    on = Answer(outcome=Outcome.CONFIRMED, protected=True, expires_at=ends, sent_at=now)

    assert recording_backend.enable(5) == on
    assert recording_backend.get() == on
    assert recording_backend.protected
    assert recording_backend.disable() == Answer(outcome=Outcome.CONFIRMED, protected=False, sent_at=now)
    assert not recording_backend.protected


def test_protection_runs_out_on_its_clock(recording_backend: RecordingBackend, fake_clock: FakeClock):
    recording_backend.enable(5)
    fake_clock.advance(300)

    assert not recording_backend.protected
    assert recording_backend.get().protected is False


def test_without_a_clock_it_tells_no_dates():
    backend = RecordingBackend()
    before = steady_now()

    assert backend.enable(5) == Answer(outcome=Outcome.CONFIRMED, protected=True)
    assert before <= backend.calls[0].time <= steady_now()


@pytest.mark.parametrize("minutes", [0, 2881])
def test_minutes_that_ecs_refuses_are_not_confirmed(recording_backend: RecordingBackend, minutes: int):
    answer = recording_backend.enable(minutes)

    assert (answer.outcome, answer.reason) == (Outcome.MISCONFIGURED, "InvalidParameterException")
    assert not recording_backend.protected


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.CONFIRMED])
def test_an_outcome_that_confirms_nothing_changes_nothing(recording_backend: RecordingBackend, outcome: Outcome):
    recording_backend.answer_next(outcome)

    answer = recording_backend.enable(5)

    assert (answer.outcome, answer.protected) == (outcome, None)
    assert not recording_backend.protected
    assert recording_backend.enable(5).outcome is Outcome.CONFIRMED


def test_answers_wait_in_line(recording_backend: RecordingBackend):
    refused = Answer(outcome=Outcome.REFUSED, reason="DEPLOYMENT_BLOCKED")
    recording_backend.answer_next(refused, times=2)
    recording_backend.answer_next(OSError("no route"))
    recording_backend.answer_next(lambda call: Answer(outcome=Outcome.AMBIGUOUS, reason=call.name))
    recording_backend.answer_next(Answer(outcome=Outcome.CONFIRMED, protected=True))

    assert [recording_backend.enable(5), recording_backend.enable(5)] == [refused, refused]
    with pytest.raises(OSError, match="no route"):
        recording_backend.get()
    assert recording_backend.disable().reason == "disable"
    assert not recording_backend.protected
    assert recording_backend.enable(5).expires_at is None
    assert recording_backend.protected
    assert [call.name for call in recording_backend.calls] == ["enable", "enable", "get", "disable", "enable"]


@pytest.mark.parametrize("times", [0, -1])
def test_an_answer_is_given_at_least_once(recording_backend: RecordingBackend, times: int):
    with pytest.raises(SettingsError, match="times must be 1 or more"):
        recording_backend.answer_next(Outcome.REFUSED, times=times)


def test_a_call_can_be_held_in_the_middle(recording_backend: RecordingBackend):
    with ThreadPoolExecutor(1) as pool:
        with recording_backend.paused():
            answer = pool.submit(recording_backend.enable, 5)
            assert recording_backend.wait_until(lambda: len(recording_backend.calls) == 1)
            assert not answer.done()
            assert not recording_backend.protected
            recording_backend.answer_next(Outcome.REFUSED)  # not too late: nothing is answered yet

        assert answer.result(5).outcome is Outcome.REFUSED


def test_pauses_may_be_nested(recording_backend: RecordingBackend):
    with ThreadPoolExecutor(1) as pool:
        with recording_backend.paused():
            with recording_backend.paused():
                answer = pool.submit(recording_backend.enable, 5)
                assert recording_backend.wait_until(lambda: len(recording_backend.calls) == 1)
            assert not answer.done()

        assert answer.result(5).protected


def test_time_moves_on_while_a_call_is_held(recording_backend: RecordingBackend, fake_clock: FakeClock):
    alarm, began, began_really = fake_clock.alarm(), fake_clock.now(), time.monotonic()
    woke = list[float]()

    def keep() -> None:
        for _ in range(3):
            recording_backend.enable(5)
            alarm.wait(10.0)
            woke.append(fake_clock.now() - began)

    thread = threading.Thread(target=keep)
    with recording_backend.paused():
        alarm.ring()
        thread.start()
        assert recording_backend.wait_until(lambda: len(recording_backend.calls) == 1)
        fake_clock.advance(7.0)
    fake_clock.advance(5.0)
    with recording_backend.paused():
        fake_clock.advance(8.0)
    fake_clock.advance(100.0)
    thread.join(5)

    assert woke == [7.0, 17.0, 30.0]
    assert [call.time - began for call in recording_backend.calls] == [0.0, 7.0, 17.0]
    assert time.monotonic() - began_really < 5


def test_a_test_can_wait_for_a_call(recording_backend: RecordingBackend):
    calling = threading.Timer(0.05, recording_backend.disable)
    calling.start()

    assert recording_backend.wait_until(lambda: len(recording_backend.calls) == 1)
    assert not recording_backend.wait_until(lambda: len(recording_backend.calls) == 2, timeout_s=0.01)
    calling.join()
