"""The lease machine in the corners: each test here kills a way to get it wrong that the plain rules let live."""

from __future__ import annotations

import itertools

import pytest
from virtual_ecs import NO, Driver, VirtualEcs, Weather, protected_driver, state

from protectwork._events import LeaseAtRisk, LeaseConfirmed, LeaseLost, LeaseRecovered, LeaseReleased
from protectwork._steps import Call, Linger, Policy, Retire, Tick
from protectwork._types import Answer, Outcome, State

HOUR = 3600.0


def told(driver: Driver, kind: type) -> list[float]:
    return [at for at, event in driver.told if isinstance(event, kind)]


def until_in_flight(driver: Driver, call: Call) -> None:
    """Let time pass until `call` is under way."""
    while driver.answer_at is None or driver.sent[-1][1] is not call:
        driver.run(0.1)


# -- spread


def test_renewals_and_releases_are_spread_over_the_fleet() -> None:
    renewals, releases = set(), set()
    for seed in range(30):
        driver = protected_driver(seed=seed)
        confirmed = driver.sent[1][0]
        driver.run(1.1 * HOUR)
        renewals.add(round(driver.sent[2][0] - confirmed))
        driver.end()
        idle = driver.now
        driver.run(60.0)
        releases.add(round(driver.sent[-1][0] - idle))
    assert min(renewals) < 3320
    assert max(renewals) > 3520
    assert 22 <= min(releases) < 25
    assert 35 < max(releases) <= 38


# -- losses


def test_a_loss_is_told_at_the_moment_the_lease_runs_out() -> None:
    driver = protected_driver(policy=Policy(lease_s=60.0))
    ends = driver.lease.record.sure_until
    driver.weather = Weather(kind="misconfigured")
    driver.run(120.0)
    assert told(driver, LeaseLost) == pytest.approx([ends])


def test_a_loss_is_told_on_time_even_while_a_call_is_under_way() -> None:
    driver = protected_driver(policy=Policy(lease_s=60.0))
    ends = driver.lease.record.sure_until
    driver.weather = Weather(kind="unavailable", takes_s=100.0)
    driver.run(80.0)
    assert driver.answer_at is not None
    assert told(driver, LeaseLost) == pytest.approx([ends])


def test_work_that_never_lost_its_lease_is_confirmed_and_not_recovered() -> None:
    driver = protected_driver(policy=Policy(lease_s=60.0))
    driver.weather = Weather(kind="refused")
    driver.run(100.0)
    assert len(told(driver, LeaseLost)) == 1
    driver.begin()
    driver.end(0)  # what was protected has ended; what began since has lost nothing
    driver.weather = Weather()
    driver.run(301.0)
    assert driver.ecs.protected()
    assert told(driver, LeaseRecovered) == []
    assert len(told(driver, LeaseConfirmed)) == 2


def test_each_outage_is_told() -> None:
    driver = protected_driver()
    for _ in range(2):
        driver.weather = Weather(kind="unavailable")
        driver.run(1.2 * HOUR)
        driver.weather = Weather()
        driver.run(120.0)
    assert len(told(driver, LeaseAtRisk)) == 2


def test_the_trouble_is_known_as_long_as_it_lasts() -> None:
    driver = Driver(weather=Weather(kind="unavailable"))
    driver.begin()
    driver.run(3.0)
    assert driver.lease.trouble == NO["unavailable"]
    driver.weather = Weather()
    driver.run(10.0)
    assert driver.lease.trouble is None


# -- who waits


def test_holds_that_come_before_any_answer_wait_no_longer_than_the_first() -> None:
    driver = Driver(weather=Weather(kind="ambiguous", takes_s=6.0))
    driver.begin()
    ends = driver.lease.waits_until(driver.now)
    driver.run(5.0)
    driver.begin()
    assert driver.lease.waits_until(driver.now) == ends


def test_the_one_new_attempt_of_a_lone_hold_is_one() -> None:
    driver = Driver(weather=Weather(kind="unavailable"))
    driver.begin()
    driver.run(20.0)
    driver.end()
    driver.run(10.0)
    tries = driver.calls().count("enable")
    driver.begin()
    assert driver.lease.waits_until(driver.now) is not None
    driver.run(1.1)
    assert driver.calls().count("enable") == tries + 1
    assert driver.lease.waits_until(driver.now) is None, "it failed: nobody waits for the next"


def test_a_hold_that_comes_beside_others_during_a_retry_does_not_wait_for_it() -> None:
    driver = Driver(weather=Weather(kind="refused", takes_s=3.0))
    driver.begin()
    driver.run(20.0)
    until_in_flight(driver, Call.ENABLE)
    driver.begin()
    assert driver.lease.waits_until(driver.now) is None


def test_a_lone_hold_before_the_back_off_has_elapsed_does_not_wait() -> None:
    driver = Driver(weather=Weather(kind="unavailable", takes_s=0.001))
    driver.begin()
    tries = 0
    while tries < 5:
        driver.run(0.01)
        tries = driver.calls().count("enable") if driver.answer_at is None else tries
    assert driver.lease.waits_until(driver.now) is not None
    driver.end()
    driver.begin()
    assert driver.lease.waits_until(driver.now) is None


def test_work_beside_what_has_lost_its_lease_starts_at_once() -> None:
    driver = protected_driver()
    driver.suspend(9 * HOUR)
    driver.begin()
    assert driver.lease.waits_until(driver.now) is None
    driver = protected_driver(policy=Policy(lease_s=60.0, acquire_timeout_s=300.0))
    driver.weather = Weather(kind="unavailable")
    driver.run(70.0)
    driver.begin()
    assert state(driver) is State.LOST
    assert driver.lease.waits_until(driver.now) is None, "what the first hold waited for was answered"


def test_at_risk_the_hot_path_stays_hot_until_the_lease_runs_out() -> None:
    driver = protected_driver()
    driver.weather = Weather(kind="unavailable")
    driver.run(1.5 * HOUR)
    assert state(driver) is State.AT_RISK
    assert driver.lease.settled_until(driver.now) == driver.lease.record.sure_until


# -- length and renewal


def test_a_lease_covers_its_whole_term() -> None:
    driver = protected_driver()
    assert driver.lease.covered_until == driver.sent[1][0] + 7200.0


def test_a_lease_that_ecs_shortened_is_renewed_by_what_is_left_of_it() -> None:
    driver = protected_driver(lie_s=-3600.0)
    confirmed = driver.sent[1][0]
    driver.run(HOUR)
    assert 0.44 * 3600 <= driver.sent[2][0] - confirmed <= 0.50 * 3600


def test_missing_credentials_of_another_day_count_anew() -> None:
    driver = protected_driver()
    driver.weather = Weather(kind="may pass")
    driver.run(HOUR + 60.0)
    assert driver.lease.last_outcome is Outcome.UNAVAILABLE
    driver.weather = Weather()
    driver.run(0.5 * HOUR)
    driver.weather = Weather(kind="may pass")
    until_in_flight(driver, Call.ENABLE)
    driver.run(10.0)
    assert driver.lease.last_outcome is Outcome.UNAVAILABLE


# -- release


def test_throttling_stretches_the_linger_to_fifteen_minutes_and_no_further() -> None:
    driver = protected_driver(policy=Policy(lease_s=48 * HOUR))
    driver.weather = Weather(kind="throttled")
    driver.end()
    driver.run(6 * HOUR)
    tries = [at for at, call, _ in driver.sent if call is Call.DISABLE]
    gaps = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert max(gaps) <= 1.25 * 900.0 + 1.0
    assert max(gaps) > 600.0


def test_success_shrinks_the_linger_again() -> None:
    driver = protected_driver(policy=Policy(lease_s=60.0))
    driver.weather = Weather(kind="throttled")
    driver.run(60.0)
    driver.weather = Weather()
    driver.run(HOUR)
    driver.end()
    driver.run(1.25 * 30.0 + 2.0)
    assert driver.calls()[-1] == "disable"
    assert not driver.ecs.protected()


def test_the_linger_counts_from_the_end_of_the_work_not_from_when_it_was_seen() -> None:
    driver = protected_driver()
    driver.holds.clear()
    driver.idle_since = driver.now
    driver.suspend(20.0)  # nobody looks
    driver.tick()
    driver.run(18.0)
    assert not driver.ecs.protected()


def test_the_failures_of_an_earlier_release_do_not_delay_the_next() -> None:
    driver = protected_driver(policy=Policy(linger_s=1.0))
    driver.weather = Weather(kind="unavailable")
    driver.end()
    driver.run(600.0)
    while driver.sent[-1][0] < driver.now - 0.5:
        driver.run(0.3)  # it has just failed once more
    driver.weather = Weather()
    driver.begin()
    driver.tick()  # the keeper sees the work
    driver.end()
    driver.run(1.25 + 1.5)
    assert not driver.ecs.protected()


def test_a_task_that_is_to_go_is_not_kept_by_the_governor() -> None:
    driver = Driver(policy=Policy(linger_s=0.5))
    for _ in range(10):
        driver.work(2.0)
        driver.run(3.0)
    assert driver.ecs.protected(), "the governor holds the release back"
    driver.begin()
    driver.lease.step(driver.now, Retire())
    driver.run(2.0)
    driver.end()
    driver.run(0.2)
    assert not driver.ecs.protected()


def test_a_task_that_makes_room_is_still_kept_from_flapping_by_the_governor() -> None:
    driver = Driver(policy=Policy(linger_s=0.5))
    driver.lease.step(driver.now, Linger(wanted=False))
    for _ in range(20):
        driver.work(2.0)
        driver.run(3.0)
    assert driver.calls().count("disable") == 3


# -- late landings


def test_a_write_may_land_until_twelve_seconds_after_it_was_really_sent() -> None:
    for sent_at, lands_by in ((1004.0, 1016.0), (None, 1018.0)):
        driver = Driver(weather=Weather(takes_s=0.5))
        driver.begin()
        until_in_flight(driver, Call.ENABLE)
        driver.answer_at = (1006.0, Answer(outcome=Outcome.AMBIGUOUS, sent_at=sent_at))
        driver.run(1006.01 - driver.now)
        assert driver.lease.record.open_until(enables=True) == pytest.approx(lands_by)


def test_a_release_is_repeated_once_and_told_once_when_an_open_enable_has_landed() -> None:
    driver = protected_driver(policy=Policy(lease_s=60.0, linger_s=0.0))
    driver.weather = Weather(kind="ambiguous", lands_after_s=11.5, takes_s=0.1)
    while driver.calls().count("enable") < 2:
        driver.run(0.5)
    driver.weather = Weather()
    driver.end()
    driver.run(5.0)
    assert told(driver, LeaseReleased) == [], "it may be protected again at any moment"
    driver.run(15.0)
    assert not driver.ecs.protected()
    assert driver.calls().count("disable") == 2
    assert len(told(driver, LeaseReleased)) == 1


def test_a_release_whose_answer_outlasts_an_open_enable_is_repeated() -> None:
    driver = protected_driver(policy=Policy(lease_s=60.0, linger_s=0.0))
    driver.weather = Weather(kind="ambiguous", lands_after_s=11.9, takes_s=0.1)
    while driver.calls().count("enable") < 2:
        driver.run(0.05)
    sent = driver.sent[-1][0]
    driver.holds.clear()
    driver.idle_since = sent
    driver.weather = Weather(takes_s=4.0)  # lands after 2 s, before the enable; is answered after it
    driver.suspend(sent + 10.0 - driver.now)  # nobody looks, until two seconds before the enable lands
    driver.run(60.0)
    assert not driver.ecs.protected()


def test_the_machine_closes_what_can_no_longer_land_before_it_looks_at_anything() -> None:
    driver = Driver(weather=Weather(kind="ambiguous"))
    driver.begin()
    driver.run(2.0)
    assert driver.lease.record.writes
    driver.lease.step(driver.now + 60.0, Tick(demand=driver.demand()))
    assert all(write.lands_by is None for write in driver.lease.record.writes)


# -- work that declares its length


@pytest.mark.parametrize(("declared_s", "lie_s"), [(48 * HOUR, 0.0), (6 * HOUR, -5 * HOUR)])
def test_jobs_that_no_lease_can_cover_in_full_do_not_ask_each_for_themselves(declared_s: float, lie_s: float) -> None:
    driver = Driver(lie_s=lie_s)
    while driver.now < 1000.0 + HOUR:
        driver.work(20.0, declared_s=declared_s)
        driver.run(5.0)
    assert len(driver.sent) <= 12


def test_longer_work_that_begins_while_an_enable_is_under_way_is_covered_by_the_next() -> None:
    driver = Driver(weather=Weather(takes_s=3.0))
    driver.begin()
    until_in_flight(driver, Call.ENABLE)
    driver.begin(declared_s=6 * HOUR)
    driver.weather = Weather()
    driver.run(10.0)
    assert driver.calls() == ["get", "enable", "enable"]
    assert driver.lease.covered_until >= driver.holds[1][1]


def test_a_longer_lease_is_asked_for_once_more_when_a_shorter_enable_can_no_longer_land_on_it() -> None:
    driver = Driver(weather=Weather(kind="ambiguous", lands_after_s=11.0, takes_s=0.1))
    driver.begin()
    until_in_flight(driver, Call.ENABLE)
    driver.run(0.2)
    driver.weather = Weather()
    driver.begin(declared_s=6 * HOUR)
    driver.run(60.0)
    assert driver.ecs.protected_until >= driver.holds[1][1]
    assert driver.lease.covered_until >= driver.holds[1][1]


def test_a_shorter_enable_that_lands_during_a_longer_one_is_never_taken_for_the_longer() -> None:
    driver = Driver(weather=Weather(kind="ambiguous", lands_after_s=11.9, takes_s=6.0))
    driver.begin()
    until_in_flight(driver, Call.ENABLE)
    shorter = driver.sent[-1][0]
    driver.weather = Weather(takes_s=5.9)  # lands after 3 s, is answered when the shorter one can no longer land
    driver.begin(declared_s=6 * HOUR)
    driver.run(shorter + 13.5 - driver.now)
    assert driver.ecs.landed[-1][1] == 2, "the shorter one has landed last"
    driver.weather = Weather(kind="refused")
    driver.run(1.0)
    assert driver.lease.record.sure_until <= driver.ecs.protected_until
    driver.weather = Weather()
    driver.run(301.0)
    assert driver.ecs.protected_until >= driver.holds[1][1]


# -- answers of many kinds


def test_throttling_and_silence_in_turn_are_one_outage_whose_waits_grow() -> None:
    driver = protected_driver()
    driver.run(0.9 * HOUR - driver.now + 1000.0)
    kinds = itertools.cycle([Weather(kind="throttled"), Weather(kind="ambiguous")])
    for _ in range(1800):
        driver.weather = next(kinds) if driver.answer_at is None else driver.weather
        driver.run(1.0)
    assert len(driver.sent) <= 60


def test_work_that_comes_and_goes_does_not_ask_anew_what_could_not_be_asked() -> None:
    driver = Driver(weather=Weather(kind="refused"))
    for _ in range(120):
        driver.work(2.0)
        driver.run(3.0)
    assert driver.calls().count("get") <= 8


def test_a_loss_during_the_call_that_ends_it_is_told_before_its_recovery() -> None:
    driver = protected_driver(policy=Policy(lease_s=60.0))
    driver.weather = Weather(kind="unavailable")
    driver.run(40.0)
    driver.weather = Weather(takes_s=30.0)
    driver.run(80.0)
    kinds = [type(event) for _, event in driver.told if isinstance(event, LeaseLost | LeaseRecovered)]
    assert kinds[:2] == [LeaseLost, LeaseRecovered]


@pytest.mark.parametrize("lie_s", [-100_000.0, 0.0])
def test_protection_that_a_get_found_is_released_even_if_its_date_cannot_be_believed(lie_s: float) -> None:
    driver = Driver(ecs=VirtualEcs(protected_until=1000.0 + HOUR), lie_s=lie_s)
    driver.start()
    driver.run(60.0)
    assert not driver.ecs.protected()
    assert driver.calls() == ["get", "disable"]
