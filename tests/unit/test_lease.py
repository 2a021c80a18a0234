"""The lease machine's rules, one by one, in virtual time: every test counts the calls."""

from __future__ import annotations

import itertools
from math import inf

import pytest
from virtual_ecs import Driver, VirtualEcs, Weather, protected_driver, state

from protectwork._events import (
    LeaseAtRisk,
    LeaseConfirmed,
    LeaseLost,
    LeaseRecovered,
    LeaseRefused,
    LeaseReleased,
    LeaseRenewed,
)
from protectwork._steps import Answered, Call, Linger, Policy, Retire, Tick
from protectwork._types import Answer, Outcome, State

HOUR = 3600.0


# -- a busy period


@pytest.mark.parametrize("seed", range(5))
def test_three_busy_hours_of_short_jobs_cost_five_calls(seed: int) -> None:
    driver = Driver(seed=seed)
    while driver.now < 1000.0 + 3 * HOUR:
        driver.work(20.0)
        driver.run(5.0)
    assert driver.calls() == ["get", *["enable"] * 4]


@pytest.mark.parametrize("seed", range(3))
def test_a_busy_day_of_short_jobs_costs_at_most_thirty_calls_release_included(seed: int) -> None:
    driver = Driver(seed=seed)
    while driver.now < 1000.0 + 24 * HOUR:
        driver.work(20.0)
        driver.run(5.0)
    driver.run(60.0)
    assert not driver.ecs.protected()
    assert len(driver.sent) <= 30


def test_equal_jobs_that_declare_their_length_do_not_ask_each_for_themselves() -> None:
    driver = Driver()
    while driver.now < 1000.0 + 3 * HOUR:
        driver.work(20.0, declared_s=2 * HOUR)
        driver.run(5.0)
    assert len(driver.sent) <= 8


def test_nested_holds_share_one_lease() -> None:
    driver = protected_driver()
    driver.begin()
    driver.end()
    driver.run(600.0)
    assert driver.ecs.protected()
    assert driver.calls() == ["get", "enable"]


def test_an_idle_lease_is_released_once_after_the_linger() -> None:
    driver = protected_driver()
    driver.end()
    driver.run(0.7 * 30.0)
    assert driver.ecs.protected()
    assert state(driver) is State.LINGERING
    driver.run(0.6 * 30.0)
    assert not driver.ecs.protected()
    assert driver.calls() == ["get", "enable", "disable"]
    assert state(driver) is State.IDLE
    assert isinstance(driver.told[-1][1], LeaseReleased)


def test_a_lease_that_ran_out_while_idle_is_taken_anew_by_the_next_hold() -> None:
    driver = protected_driver(policy=Policy(lease_s=60.0))
    driver.weather = Weather(kind="unavailable")
    driver.end()
    driver.run(HOUR)
    assert not driver.ecs.protected()
    driver.weather = Weather()
    driver.begin()
    driver.run(1.0)
    assert driver.ecs.protected()
    assert not [event for _, event in driver.told if isinstance(event, LeaseLost)]


# -- length


def test_the_first_lease_covers_the_declared_work() -> None:
    driver = Driver()
    driver.begin(declared_s=6 * HOUR)
    driver.run(2.0)
    assert driver.lease.covered_until >= 1000.0 + 6 * HOUR
    driver.weather = Weather(kind="refused")
    driver.run(6 * HOUR - 3.0)
    assert driver.ecs.protected()


def test_a_longer_hold_extends_the_lease_at_once() -> None:
    driver = protected_driver()
    driver.begin(declared_s=5 * HOUR)
    driver.run(2.0)
    assert driver.calls() == ["get", "enable", "enable"]
    assert driver.sent[-1][2] == 330  # five hours and the headroom of a quarter lease


def test_a_lease_is_never_longer_than_ecs_accepts() -> None:
    driver = Driver()
    driver.begin(declared_s=48 * HOUR)
    driver.run(100.0)
    assert [minutes for _, call, minutes in driver.sent if call is Call.ENABLE] == [2880]


def test_a_longer_lease_of_an_earlier_container_is_not_shortened() -> None:
    driver = Driver(ecs=VirtualEcs(protected_until=1000.0 + 9 * HOUR))
    driver.begin()
    driver.run(2.0)
    assert driver.ecs.protected_until >= 1000.0 + 9 * HOUR
    assert driver.calls() == ["get", "enable"]


def test_endless_ambiguous_answers_do_not_lengthen_the_lease_that_is_asked_for() -> None:
    driver = Driver(weather=Weather(kind="ambiguous", lands_after_s=11.0, takes_s=6.0))
    driver.begin()
    driver.run(HOUR)
    assert {minutes for _, call, minutes in driver.sent if call is Call.ENABLE} <= {120, 121}


# -- renewal, retry, refusal


def test_a_renewal_comes_at_between_45_and_50_percent_of_the_term() -> None:
    for seed in range(20):
        driver = protected_driver(seed=seed)
        confirmed = driver.sent[1][0]
        driver.run(2 * HOUR)
        assert 0.45 * 7200 <= driver.sent[2][0] - confirmed <= 0.50 * 7200


def test_the_stamp_is_the_sending_time() -> None:
    driver = Driver(weather=Weather(takes_s=5.0))
    driver.begin()
    driver.run(20.0)
    sent = driver.sent[1][0]
    assert driver.lease.record.sure_until == sent + 7200.0 - 2.0


def test_the_back_off_is_really_waited() -> None:
    driver = protected_driver()
    driver.weather = Weather(kind="unavailable", takes_s=0.001)
    driver.run(1.5 * HOUR)
    tries = [at for at, _, _ in driver.sent[2:]]
    gaps = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert all(gap >= 1.0 for gap in gaps)
    assert min(gaps[8:]) >= 30.0, "with an hour of slack the waits grow to a minute"
    assert len(tries) <= 100
    assert state(driver) is State.AT_RISK


def test_the_less_slack_is_left_the_shorter_the_waits() -> None:
    driver = protected_driver()
    driver.weather = Weather(kind="unavailable", takes_s=0.001)
    driver.run(2 * HOUR + 60.0)
    tries = [at for at, _, _ in driver.sent]
    assert max(later - earlier for earlier, later in zip(tries[-10:], tries[-9:], strict=False)) <= 5.01
    assert state(driver) is State.LOST


def test_refusals_are_retried_from_thirty_seconds_to_five_minutes() -> None:
    driver = Driver(weather=Weather(kind="refused"))
    driver.begin()
    driver.run(2 * HOUR)
    tries = [at for at, call, _ in driver.sent if call is Call.ENABLE]
    gaps = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert 27.0 <= gaps[0] <= 30.0
    assert 270.0 <= gaps[-1] <= 300.0
    assert [type(event) for _, event in driver.told] == [LeaseRefused]
    assert state(driver) is State.REFUSED


def test_a_wrong_set_up_is_told_once_and_retried_every_ten_minutes() -> None:
    driver = Driver(weather=Weather(kind="misconfigured"))
    driver.begin()
    driver.run(HOUR)
    assert len(driver.sent) <= 9
    assert [type(event) for _, event in driver.told] == [LeaseAtRisk]
    assert state(driver) is State.REFUSED


def test_missing_credentials_count_as_unavailable_for_three_minutes() -> None:
    driver = Driver(weather=Weather(kind="may pass"))
    driver.begin()
    driver.run(170.0)
    assert state(driver) is State.ACQUIRING
    tries = len(driver.sent)
    assert tries > 30
    driver.run(30.0)
    assert state(driver) is State.REFUSED
    driver.run(500.0)
    assert len(driver.sent) <= tries + 8


def test_a_task_of_no_service_turns_protection_off_for_good_and_says_so_once() -> None:
    driver = Driver()
    driver.begin()
    answer = Answer(outcome=Outcome.NOT_A_SERVICE_TASK, reason="TASK_NOT_VALID")
    driver.answer_at = (driver.now, answer)
    driver.run(HOUR)
    driver.end()
    driver.begin()
    driver.run(HOUR)
    assert driver.calls() == ["get"]
    assert [event for _, event in driver.told] == [LeaseRefused(answer=answer, in_flight=1, slack_s=0.0)]
    assert state(driver) is State.OFF


def test_throttling_doubles_the_linger_and_success_shrinks_it() -> None:
    driver = protected_driver()
    driver.weather = Weather(kind="throttled")
    driver.end()
    driver.run(40.0)
    assert driver.calls()[2:] == ["disable"]
    driver.run(40.0)
    assert driver.calls()[2:] == ["disable"], "not again before the longer linger"
    driver.run(20.0 * 60)
    assert len(driver.calls()) <= 8
    driver.weather = Weather()
    driver.run(20.0 * 60)
    assert not driver.ecs.protected()


def test_a_release_in_trouble_gives_way_to_new_work() -> None:
    driver = protected_driver()
    driver.weather = Weather(kind="unavailable")
    driver.end()
    driver.run(60.0)
    releases = driver.calls().count("disable")
    assert releases > 2, "the release is tried again"
    driver.begin()
    assert state(driver) is State.PROTECTED, "a definite no to a disable leaves the lease as it was"
    driver.run(60.0)
    assert driver.calls().count("disable") == releases
    assert driver.ecs.protected()


def test_the_governor_spaces_the_releases_of_a_flapping_worker() -> None:
    driver = Driver(policy=Policy(linger_s=0.5))
    for _ in range(1800):
        driver.work(0.5)
        driver.run(1.5)
    releases = driver.calls().count("disable")
    assert 3 <= releases <= 3 + 3600 // 300 + 1


def test_there_is_never_more_than_one_call_a_second() -> None:
    driver = Driver(policy=Policy(linger_s=0.0))
    for _ in range(50):
        driver.work(0.05)
    times = [at for at, _, _ in driver.sent]
    assert all(later - earlier >= 1.0 for earlier, later in itertools.pairwise(times))


# -- late landings


def test_an_enable_over_an_open_disable_is_confirmed_once_more_when_that_has_landed() -> None:
    driver = protected_driver()
    driver.end()
    driver.run(22.0)
    driver.weather = Weather(kind="ambiguous", lands_after_s=11.0, takes_s=0.1)
    while Call.DISABLE not in [call for _, call, _ in driver.sent]:
        driver.run(0.5)
    sent = driver.sent[-1][0]
    driver.run(0.5)
    driver.weather = Weather()
    driver.begin()
    driver.run(5.0)
    assert driver.ecs.protected()
    assert not driver.lease.sure(driver.now), "the disable may still land"
    driver.run(sent + 14.0 - driver.now)
    assert driver.lease.sure(driver.now)
    assert driver.calls()[-3:] == ["disable", "enable", "enable"]


def test_a_disable_over_an_open_enable_is_sent_once_more_when_that_has_landed() -> None:
    driver = protected_driver(policy=Policy(lease_s=60.0, linger_s=0.0))
    driver.weather = Weather(kind="ambiguous", lands_after_s=11.5, takes_s=0.1)
    while driver.calls().count("enable") < 2:
        driver.run(0.5)
    driver.weather = Weather()
    driver.end()
    driver.run(20.0)
    assert not driver.ecs.protected()
    assert driver.calls()[-2:] == ["disable", "disable"]


def test_a_renewal_in_flight_never_lands_after_a_release() -> None:
    driver = protected_driver(policy=Policy(linger_s=0.0))
    driver.weather = Weather(takes_s=5.0)
    while driver.answer_at is None:
        driver.run(10.0)
    driver.end()
    driver.run(30.0)
    assert [call for _, call, _ in driver.sent[-2:]] == [Call.ENABLE, Call.DISABLE]
    assert driver.sent[-1][0] >= driver.sent[-2][0] + 5.0, "one call at a time"
    assert not driver.ecs.protected()


def test_a_hold_during_a_release_in_flight_is_protected_by_a_new_lease() -> None:
    driver = protected_driver(policy=Policy(linger_s=0.0))
    driver.run(2.0)
    driver.weather = Weather(takes_s=3.0)
    driver.end()
    assert state(driver) is State.RELEASING
    driver.begin()
    assert not driver.lease.sure(driver.now)
    driver.run(10.0)
    assert driver.ecs.protected()
    assert driver.calls()[-2:] == ["disable", "enable"]


# -- unknown start


def test_an_adapter_that_starts_asks_once_and_releases_what_an_earlier_container_left() -> None:
    driver = Driver(ecs=VirtualEcs(protected_until=1000.0 + HOUR))
    driver.start()
    driver.run(60.0)
    assert not driver.ecs.protected()
    assert driver.calls() == ["get", "disable"]
    assert 0.0 < driver.sent[0][0] - 1000.0 < 5.0, "with jitter"


def test_an_adapter_that_starts_and_finds_nothing_makes_no_other_call() -> None:
    driver = Driver()
    driver.start()
    driver.run(24 * HOUR)
    assert driver.calls() == ["get"]


def test_without_a_start_or_a_hold_nothing_is_asked() -> None:
    driver = Driver()
    driver.tick()
    driver.run(HOUR)
    assert driver.sent == []
    assert driver.lease.due(driver.now) == inf


def test_a_failed_question_does_not_keep_the_work_waiting() -> None:
    driver = Driver(weather=Weather(kind="ambiguous"))
    driver.begin()
    driver.run(0.9)
    driver.weather = Weather()
    driver.run(1.0)
    assert driver.ecs.protected()
    assert driver.calls() == ["get", "enable"]


def test_what_could_not_be_asked_is_asked_again_when_idle() -> None:
    driver = Driver(weather=Weather(kind="unavailable"), ecs=VirtualEcs(protected_until=1000.0 + 9 * HOUR))
    driver.begin()
    driver.run(5.0)
    driver.end()
    driver.run(300.0)
    driver.weather = Weather()
    driver.run(300.0)
    assert not driver.ecs.protected()


# -- loss and recovery


def test_a_loss_is_told_once_and_so_is_its_recovery() -> None:
    driver = protected_driver(policy=Policy(lease_s=60.0))
    driver.weather = Weather(kind="refused")
    driver.run(300.0)
    driver.weather = Weather()
    driver.run(301.0)
    kinds = [type(event) for _, event in driver.told]
    assert kinds[:4] == [LeaseConfirmed, LeaseRefused, LeaseLost, LeaseRecovered]
    assert set(kinds[4:]) <= {LeaseRenewed}


def test_a_machine_that_was_suspended_knows_at_once_that_the_lease_is_lost() -> None:
    driver = protected_driver()
    driver.suspend(9 * HOUR)
    assert state(driver) is State.LOST
    driver.run(2.0)
    assert state(driver) is State.PROTECTED
    assert [type(event) for _, event in driver.told] == [LeaseConfirmed, LeaseLost, LeaseRecovered]


def test_work_that_began_after_the_lease_ran_out_has_lost_nothing() -> None:
    driver = protected_driver()
    driver.end()
    driver.suspend(9 * HOUR)
    driver.begin()
    driver.run(2.0)
    assert [type(event) for _, event in driver.told] == [LeaseConfirmed, LeaseConfirmed]


def test_ecs_may_shorten_the_lease_and_never_lengthen_it() -> None:
    driver = protected_driver(lie_s=-3600.0)
    assert driver.lease.record.sure_until < driver.now + 3700.0
    driver = protected_driver(lie_s=3600.0)
    assert driver.lease.record.sure_until == driver.sent[1][0] + 7200.0 - 2.0


def test_a_date_that_only_a_wrong_clock_explains_is_not_believed() -> None:
    driver = protected_driver(lie_s=-9000.0)
    driver.run(600.0)
    assert driver.calls() == ["get", "enable"]
    assert state(driver) is State.PROTECTED


# -- who waits


def test_only_the_first_hold_of_an_outage_waits() -> None:
    driver = Driver(weather=Weather(kind="unavailable"))
    driver.begin()
    assert driver.lease.waits_until(driver.now) == driver.now + 15.0
    driver.run(14.9)
    assert driver.lease.waits_until(driver.now) is not None, "tries are made all the time"
    driver.run(0.2)
    driver.begin()
    assert driver.lease.waits_until(driver.now) is None


def test_holds_that_come_while_the_first_one_waits_wait_no_longer_than_it() -> None:
    driver = Driver(weather=Weather(kind="unavailable"))
    driver.begin()
    ends = driver.lease.waits_until(driver.now)
    driver.run(10.0)
    driver.begin()
    assert driver.lease.waits_until(driver.now) == ends


@pytest.mark.parametrize("kind", ["refused", "misconfigured"])
def test_nobody_waits_where_waiting_is_hopeless(kind: str) -> None:
    driver = Driver(weather=Weather(kind=kind, takes_s=0.001))
    driver.begin()
    assert driver.lease.waits_until(driver.now) is not None
    driver.run(1.1)
    assert driver.lease.waits_until(driver.now) is None
    driver.begin()
    assert driver.lease.waits_until(driver.now) is None


def test_a_hold_that_comes_alone_when_the_back_off_has_elapsed_waits_for_one_new_attempt() -> None:
    driver = Driver(weather=Weather(kind="refused"))
    driver.begin()
    driver.run(2.0)
    driver.end()  # it raised, say
    tries = len(driver.sent)
    driver.begin()
    assert driver.lease.waits_until(driver.now) is None, "the back-off has not elapsed"
    driver.end()
    driver.run(31.0)
    tries = driver.calls().count("enable")
    driver.weather = Weather(takes_s=0.5)
    driver.begin()
    assert driver.lease.waits_until(driver.now) is not None
    driver.run(1.0)
    assert driver.calls().count("enable") == tries + 1
    assert state(driver) is State.PROTECTED


def test_at_risk_a_hold_joins_the_lease_that_is_still_sure() -> None:
    driver = protected_driver()
    driver.weather = Weather(kind="unavailable")
    driver.run(1.5 * HOUR)
    assert state(driver) is State.AT_RISK
    calls = len(driver.sent)
    driver.begin()
    assert driver.lease.waits_until(driver.now) is None
    assert driver.lease.sure(driver.now)
    assert len(driver.sent) == calls


# -- the end


def test_a_task_that_is_to_go_is_released_without_lingering() -> None:
    driver = protected_driver()
    driver.lease.step(driver.now, Retire())
    driver.run(600.0)
    assert driver.ecs.protected(), "work in flight is protected to its end"
    driver.end()
    driver.run(0.2)
    assert not driver.ecs.protected()
    assert driver.calls() == ["get", "enable", "disable"]


def test_a_task_that_makes_room_is_released_without_lingering_and_lingers_again_when_it_may_stay() -> None:
    driver = protected_driver(policy=Policy(linger_s=30.0))
    driver.lease.step(driver.now, Linger(wanted=False))
    driver.run(600.0)
    assert driver.ecs.protected(), "work in flight is protected to its end"
    driver.end()
    driver.run(0.2)
    assert not driver.ecs.protected()
    driver.lease.step(driver.now, Linger(wanted=True))
    driver.work(5.0)
    driver.run(20.0)
    assert driver.ecs.protected()
    assert driver.calls() == ["get", "enable", "disable", "enable"]


def test_a_lease_that_lingers_ends_at_once_when_the_task_has_to_make_room() -> None:
    driver = protected_driver(policy=Policy(linger_s=900.0))
    driver.end()
    driver.run(60.0)
    assert driver.ecs.protected()
    driver.lease.step(driver.now, Linger(wanted=False))
    driver.run(0.2)
    assert not driver.ecs.protected()


def test_an_answer_that_nobody_waits_for_changes_nothing() -> None:
    driver = protected_driver()
    before = driver.lease.record
    answer = Answer(outcome=Outcome.CONFIRMED, protected=False)
    assert driver.lease.step(driver.now, Answered(answer=answer)) == []
    assert driver.lease.record == before


def test_a_step_tells_when_the_next_one_is_wanted() -> None:
    driver = protected_driver()
    due = driver.lease.due(driver.now)
    assert driver.lease.step(due - 0.001, Tick(demand=driver.demand())) == []
    assert driver.lease.step(due, Tick(demand=driver.demand())) != []
