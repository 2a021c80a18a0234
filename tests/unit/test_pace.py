"""The waits after failures and the limit on releases, one by one."""

from __future__ import annotations

import random
from math import inf

import pytest

from protectwork._backoff import Backoff
from protectwork._governor import Governor
from protectwork._types import Outcome


class _High:
    """Jitter that is always the most."""

    def uniform(self, a: float, b: float, /) -> float:
        return max(a, b)


def waits(outcome: Outcome, *, slack_s: float, times: int, source: object = None) -> list[float]:
    backoff, now, found = Backoff(source or _High()), 0.0, []
    for _ in range(times):
        backoff.failed(now, outcome, slack_s=slack_s)
        found.append(backoff.retry_at - now)
        now = backoff.retry_at
    return found


def test_the_waits_double_from_one_second_to_a_minute() -> None:
    assert waits(Outcome.UNAVAILABLE, slack_s=inf, times=8) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_throttled_calls_wait_twice_as_long_at_first() -> None:
    assert waits(Outcome.THROTTLED, slack_s=inf, times=3) == [2, 4, 8]


def test_the_waits_grow_to_no_more_than_an_eighth_of_the_slack_or_five_seconds() -> None:
    assert waits(Outcome.UNAVAILABLE, slack_s=80.0, times=6)[-1] == 10
    assert waits(Outcome.UNAVAILABLE, slack_s=-inf, times=6)[-1] == 5


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.MISCONFIGURED, Outcome.AMBIGUOUS])
def test_no_wait_is_longer_than_the_time_left(outcome: Outcome) -> None:
    assert waits(outcome, slack_s=3.0, times=5)[-1] == 3
    assert waits(outcome, slack_s=0.0, times=5)[-1] > 3, "when nothing is left there is nothing to be in time for"


def test_the_waits_are_spread() -> None:
    found = {waits(Outcome.UNAVAILABLE, slack_s=inf, times=1, source=random.Random(n))[0] for n in range(50)}
    assert len(found) == 50
    assert min(found) < 0.6
    assert max(found) > 0.9


def test_a_wait_never_overflows_however_long_the_outage() -> None:
    assert waits(Outcome.UNAVAILABLE, slack_s=inf, times=5000)[-1] == 60


def test_success_begins_anew() -> None:
    backoff = Backoff(_High())
    for _ in range(5):
        backoff.failed(0.0, Outcome.UNAVAILABLE, slack_s=inf)
    backoff.clear()
    assert (backoff.outcome, backoff.retry_at) == (None, -inf)
    backoff.failed(0.0, Outcome.UNAVAILABLE, slack_s=inf)
    assert backoff.retry_at == 1.0


def test_to_wait_for_a_moment_never_shortens_a_wait() -> None:
    backoff = Backoff(_High())
    backoff.wait_until(20.0)
    backoff.wait_until(10.0)
    assert backoff.retry_at == 20.0


def released(governor: Governor, now: float) -> bool:
    governor.new_release()
    if governor.ready_at(now) > now:
        return False
    governor.release(now)
    return True


def test_three_releases_go_at_once_and_then_one_in_five_minutes() -> None:
    governor = Governor()
    assert [released(governor, 0.0) for _ in range(4)] == [True, True, True, False]
    assert governor.ready_at(0.0) == 300.0
    assert not released(governor, 299.0)
    assert released(governor, 300.0)
    assert not released(governor, 301.0)


def test_a_day_of_quiet_saves_up_no_more_than_three_releases() -> None:
    governor = Governor()
    assert released(governor, 0.0)
    assert [released(governor, 86_400.0) for _ in range(4)] == [True, True, True, False]


def test_to_try_one_release_again_costs_nothing_more() -> None:
    governor = Governor()
    assert all(released(governor, 0.0) for _ in range(3))
    for _ in range(5):
        assert governor.ready_at(0.0) == 0.0, "the last one is paid for"
        governor.release(0.0)
    assert governor.ready_at(0.0) == 0.0
    governor.new_release()
    assert governor.ready_at(0.0) == 300.0
