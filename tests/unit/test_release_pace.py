"""A release that fails is tried again slowly, as every other call is."""

from __future__ import annotations

import itertools

from virtual_ecs import Driver, Weather

from protectwork._steps import Call


def test_the_back_off_of_a_release_is_really_waited() -> None:
    driver = Driver()
    driver.work(5.0)
    driver.weather = Weather(kind="unavailable", takes_s=0.001)
    driver.run(900.0)
    tries = [at for at, call, _ in driver.sent if call is Call.DISABLE]
    gaps = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert min(gaps[7:]) >= 30.0
    assert len(tries) <= 40
