"""What knows no deadline gets one: it is left behind, and sends nothing from then on."""

from __future__ import annotations

import threading
import time
import weakref
from functools import partial

import pytest
from programs import run

from protectwork._clock import steady_now
from protectwork.backends import _deadline
from protectwork.backends._deadline import Bounded, OutOfTimeError, Permit, PermitBody

BOUND_S = 20.0
"""What ends by its deadline ends long before this, on a machine however busy."""


def permit(*, lasts_s: float = BOUND_S, now: float = 100.0) -> Permit:
    return Permit(end_by=steady_now() + lasts_s, now=lambda: now)


# --- the permit


def test_nothing_was_sent_until_it_begins():
    assert permit().end() is None


def test_what_was_written_was_sent_then():
    one = permit()
    one.begin()
    one.written()
    assert (one.begun, one.end()) == (True, 100.0)


def test_what_began_and_is_not_known_to_be_written_may_be_written_now():
    times = iter([1.0, 2.0])
    one = Permit(end_by=steady_now() + BOUND_S, now=lambda: next(times))
    one.begin()
    assert one.end() == 1.0


@pytest.mark.parametrize("over", [permit(lasts_s=-1), permit()])
def test_a_call_that_is_over_may_send_nothing(over):
    over.end()
    assert over.over
    with pytest.raises(OutOfTimeError):
        over.begin()
    assert over.end() is None


def test_a_second_attempt_is_sent_anew():
    times = iter([1.0, 2.0])
    one = Permit(end_by=steady_now() + BOUND_S, now=lambda: next(times))
    for _ in range(2):
        one.begin()
        one.written()
    assert one.end() == 2.0


def test_a_body_goes_while_the_call_lasts():
    one = permit()
    body = PermitBody(b"0123456789", one)
    assert not one.begun
    assert [body.read(6), body.read(6)] == [b"012345", b"6789"]
    assert one.begun
    assert body.read(6) == b""
    assert one.end() == 100.0


def test_a_body_does_not_go_when_the_call_is_over():
    one = permit()
    body = PermitBody(b"0123456789", one)
    one.end()
    with pytest.raises(OutOfTimeError):
        body.read()
    assert one.end() is None


# --- the thread


def names() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("protectwork-a-test"))


def wait_until_none() -> None:
    deadline = time.monotonic() + BOUND_S
    while names() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.fixture
def bounded():
    one = Bounded("a-test")
    yield one
    for hand in one._hands:  # pytest still knows it
        hand.dismiss()
    wait_until_none()
    assert names() == []


def soon(lasts_s: float = BOUND_S) -> float:
    return steady_now() + lasts_s


def test_jobs_run_on_one_thread_that_waits_for_the_next(bounded):
    ran: list[int] = []
    for _ in range(3):
        assert bounded.run(lambda: ran.append(threading.get_ident()), by=soon())
    assert len(ran) == 3
    assert len(set(ran)) == 1
    assert threading.get_ident() not in ran
    assert names() == ["protectwork-a-test"]


def test_a_job_that_hangs_is_not_waited_for_and_the_next_waits_its_turn(bounded):
    ends = threading.Event()
    order: list[str] = []

    def hang() -> None:
        ends.wait()
        order.append("first")

    assert not bounded.run(hang, by=soon(0.05))
    assert not bounded.run(partial(order.append, "never"), by=soon(0.05))
    ends.set()
    assert bounded.run(partial(order.append, "second"), by=soon())
    assert order == ["first", "second"]


def test_a_job_that_does_not_end_is_left_behind_and_its_thread_ends_when_it_does(bounded, monkeypatch):
    monkeypatch.setattr(_deadline, "_PATIENCE_S", 0.0)
    ends, ran = threading.Event(), threading.Event()
    assert not bounded.run(ends.wait, by=soon(0.01))
    assert bounded.run(ran.set, by=soon())
    assert ran.is_set()
    assert len(names()) == 2
    ends.set()
    deadline = time.monotonic() + BOUND_S
    while len(names()) > 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(names()) == 1


def test_who_knows_that_a_job_needs_no_patience_leaves_it_behind_at_once(bounded):
    ends = threading.Event()
    assert not bounded.run(ends.wait, by=soon(0.01))
    bounded.leave_behind()
    assert bounded.run(lambda: None, by=soon())
    ends.set()


def test_no_more_than_four_threads_hang_and_it_goes_on_when_one_of_them_ends(bounded):
    ends = threading.Event()
    for _ in range(4):
        assert not bounded.run(ends.wait, by=soon(0.01))
        bounded.leave_behind()
    assert not bounded.run(lambda: None, by=soon(0.01))
    assert len(names()) == 4
    ends.set()
    wait_until_none()
    assert bounded.run(lambda: None, by=soon())


def test_a_job_that_raises_even_an_exit_leaves_the_thread_alive(bounded):
    def leave() -> None:
        raise SystemExit

    assert bounded.run(leave, by=soon())
    assert bounded.run(lambda: None, by=soon())


def test_no_thread_means_that_nothing_runs(bounded, monkeypatch):
    def none(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_deadline, "start_thread", none)
    assert not bounded.run(lambda: None, by=soon())


def test_two_threads_may_use_it_at_once(bounded):
    ran: list[int] = []
    threads = [
        threading.Thread(target=lambda: [bounded.run(lambda: ran.append(1), by=soon()) for _ in range(50)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ran) == 200


def test_its_thread_ends_with_it():
    one = Bounded("a-test")
    assert one.run(lambda: None, by=soon())
    gone = weakref.ref(one)
    del one
    assert gone() is None
    wait_until_none()
    assert names() == []


FORKS = """
import os, threading
from protectwork._clock import steady_now
from protectwork.backends._deadline import Bounded
one, ends = Bounded("a-test"), threading.Event()
assert not one.run(ends.wait, by=steady_now() + 0.01)
if (pid := os.fork()) == 0:
    os._exit(0 if one.run(lambda: None, by=steady_now() + 20) else 1)
ends.set()
print(os.waitpid(pid, 0)[1])
"""


def test_a_forked_child_begins_anew_while_a_job_of_the_parent_s_hangs():
    done = run(FORKS, PYTHONWARNINGS="ignore")
    assert (done.out, done.err, done.code) == ("0\n", "", 0)
