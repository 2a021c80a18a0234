"""A bound that an enable took over from another is not handed on when that one is closed."""

from __future__ import annotations

import pytest
from virtual_ecs import Driver, Weather

from protectwork._record import Record, answered, closed, entered
from protectwork._types import Outcome

HOUR = 3600.0


def test_an_enable_that_has_closed_bounds_none_that_was_sent_later() -> None:
    record = Record(settled_maybe=0.0)
    for number, at in enumerate((0.0, 10.0, 20.0), start=1):
        record = entered(closed(record, at), number=number, now=at, term_s=HOUR)
        record = answered(record, number=number, now=at, outcome=Outcome.AMBIGUOUS, lands_by=at + 12.0)
    record = entered(closed(record, 30.0), number=4, now=30.0, term_s=HOUR)
    record = answered(record, number=4, now=30.0, outcome=Outcome.CONFIRMED, lands_by=42.0)
    assert record.sure_until == 20.0 + HOUR - 2.0, "the third may still land; the first two no longer can"


@pytest.mark.parametrize("lasts_h", [1.9, 5.0])
def test_after_a_long_silence_the_first_confirmed_lease_is_sure_for_its_whole_term(lasts_h: float) -> None:
    driver = Driver()
    driver.begin()
    driver.run(0.9)
    driver.weather = Weather(kind="ambiguous", takes_s=0.5)
    driver.run(lasts_h * HOUR)
    driver.weather = Weather()
    driver.run(6.0)
    assert driver.ecs.protected()
    assert driver.lease.record.sure_until >= driver.now + 2 * HOUR - 30.0
