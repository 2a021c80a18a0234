"""The waits after failures and the limit on releases, one by one."""

from __future__ import annotations

import random
from math import inf

import pytest

from protectwork._backoff import Backoff
from protectwork._governor import Governor
from protectwork._types import Answer, Outcome


class _High:
    """Jitter that is always the most."""

    def uniform(self, a: float, b: float, /) -> float:
        return max(a, b)


def waits(outcome: Outcome, *, slack_s: float, times: int, source: object = None) -> list[float]:
    backoff, now, found = Backoff(), 0.0, []
    for _ in range(times):
        backoff = backoff.failed(now, Answer(outcome=outcome), slack_s=slack_s, random=source or _High())
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


def test_a_fresh_back_off_stands_in_no_way() -> None:
    backoff = Backoff()
    assert (backoff.outcome, backoff.retry_at) == (None, -inf)
    assert backoff.failed(0.0, Answer(outcome=Outcome.UNAVAILABLE), slack_s=inf, random=_High()).retry_at == 1.0


def test_to_wait_for_a_moment_never_shortens_a_wait() -> None:
    assert Backoff().not_before(20.0).not_before(10.0).retry_at == 20.0


class Releases:
    """A governor, and the releases that it lets go."""

    def __init__(self) -> None:
        self.governor = Governor()

    def released(self, now: float) -> bool:
        """Whether another release may go now."""
        self.governor = self.governor.new_release()
        if self.governor.ready_at(now) > now:
            return False
        self.governor = self.governor.released(now)
        return True


def test_three_releases_go_at_once_and_then_one_in_five_minutes() -> None:
    releases = Releases()
    assert [releases.released(0.0) for _ in range(4)] == [True, True, True, False]
    assert releases.governor.ready_at(0.0) == 300.0
    assert not releases.released(299.0)
    assert releases.released(300.0)
    assert not releases.released(301.0)


def test_a_day_of_quiet_saves_up_no_more_than_three_releases() -> None:
    releases = Releases()
    assert releases.released(0.0)
    assert [releases.released(86_400.0) for _ in range(4)] == [True, True, True, False]


def test_to_try_one_release_again_costs_nothing_more() -> None:
    releases = Releases()
    assert all(releases.released(0.0) for _ in range(3))
    for _ in range(5):
        assert releases.governor.ready_at(0.0) == 0.0, "the last one is paid for"
        releases.governor = releases.governor.released(0.0)
    assert releases.governor.ready_at(0.0) == 0.0
    assert releases.governor.new_release().ready_at(0.0) == 300.0
