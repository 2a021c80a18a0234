"""The promises I1 to I7 of the lease, held against a reference ECS through any weather, in virtual time.

More examples than the suite's 60 of 50 steps, and the gate's 400: `pytest tests/properties --examples 20000`.
"""

from __future__ import annotations

import itertools
from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from virtual_ecs import NO, Driver, VirtualEcs, Weather

from protectwork._events import LeaseLost, LeaseRecovered
from protectwork._steps import Call, Policy

SOFT = {"fine", "ambiguous", "unavailable", "throttled"}
WITHIN_S = {"refused": 300.0 + 6, "misconfigured": 600.0 + 6, "may pass": 600.0 + 6}
ONE_CALL_S = 1.0 + 6.0  # the cap, and the call itself


class LeasePromises(RuleBasedStateMachine):
    @initialize(
        seed=st.integers(0, 2**16),
        lease_min=st.sampled_from([1, 2, 10, 120]),
        linger_s=st.sampled_from([0.0, 0.5, 30.0]),
        left_by_another_s=st.sampled_from([None, 30.0, 600.0, 36_000.0]),
        lie_s=st.sampled_from([0.0, 0.0, -45.0, -4000.0, 4000.0]),
    )
    def start(self, seed, lease_min, linger_s, left_by_another_s, lie_s) -> None:
        policy = Policy(lease_s=lease_min * 60.0, linger_s=linger_s)
        ecs = VirtualEcs()
        if left_by_another_s:
            ecs.protected_until = ecs.now + left_by_another_s
            lie_s = 0.0  # whose date a wrong clock of ours would misread
        self.driver = Driver(seed=seed, policy=policy, ecs=ecs, lie_s=lie_s)
        self.kinds = {"fine"}
        self.throttled = False

    @rule()
    def adapter_starts(self) -> None:
        self.driver.start()

    @rule(declared_s=st.sampled_from([None, None, 5.0, 3600.0, 7200.0, 172_800.0]))
    def hold(self, declared_s) -> None:
        self.driver.begin(declared_s)

    @precondition(lambda self: self.driver.holds)
    @rule(which=st.integers(0, 10))
    def release(self, which) -> None:
        self.driver.end(which % len(self.driver.holds))

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 3.0, 7.0, 13.0, 31.0, 61.0, 301.0, 1900.0, 4000.0]))
    def time_passes(self, seconds) -> None:
        self.driver.run(seconds)

    @rule(seconds=st.sampled_from([5.0, 500.0, 9000.0]))
    def machine_is_suspended(self, seconds) -> None:
        self.driver.suspend(seconds)
        self.driver.check()
        self.driver.run(0.0)

    @rule(kind=st.sampled_from(sorted(NO)), takes_s=st.sampled_from([0.001, 0.05, 6.0]))
    def refuses(self, kind, takes_s) -> None:
        self._change(Weather(kind=kind, takes_s=takes_s))

    @rule(
        lands_after_s=st.sampled_from([None, 0.0, 0.01, 3.0, 6.5, 8.0, 11.99]),
        takes_s=st.sampled_from([0.001, 1.0, 6.0]),
    )
    def answers_nothing_of_use(self, lands_after_s, takes_s) -> None:
        self._change(Weather(kind="ambiguous", lands_after_s=lands_after_s, takes_s=takes_s))

    @rule(takes_s=st.sampled_from([0.001, 0.05, 3.0]))
    def clears_up(self, takes_s) -> None:
        self._change(Weather(takes_s=takes_s))

    @rule()
    def quiet(self) -> None:
        """I2, I3, I4: when the faults end, ECS's state becomes the wanted one, within the bound of the last faults."""
        driver = self.driver
        driver.start()  # a keeper lives
        self._change(Weather())
        within_s = max((WITHIN_S.get(kind, 90.0) for kind in self.kinds), default=90.0)
        if driver.holds:
            driver.run(within_s)
            assert driver.ecs.protected(), "I3, I4: work in flight, and not protected"
            assert driver.lease.sure(driver.now)
        else:
            # Throttling stretches the linger up to 15 min, the governor spaces releases by 5 min.
            patience_s = 900.0 * 1.25 + 300.0 if self.throttled else within_s + 300.0
            driver.run(max(patience_s, 90.0 + 1.25 * driver.policy.linger_s))
            assert not driver.ecs.protected(), "I2, I4: nothing in flight, and protected"
        self.kinds = {"fine"}

    @precondition(lambda self: len(self.driver.holds) == 1 and self.kinds == {"fine"} and not self.throttled)
    @rule()
    def last_work_ends(self) -> None:
        """I2: released within 1.25 linger and one call, while the governor has tokens."""
        driver = self.driver
        driver.run(90.0)
        releases = sum(1 for at, call, _ in driver.sent if call is Call.DISABLE and at > driver.now - 900.0)
        driver.end()
        driver.run(1.25 * driver.policy.linger_s + ONE_CALL_S)
        assert releases >= 3 or not driver.ecs.protected(), "I2: idle, and still protected"

    def _change(self, weather: Weather) -> None:
        self.driver.weather = weather
        self.kinds.add(weather.kind)
        self.throttled = self.throttled or weather.kind == "throttled"

    @invariant()
    def never_a_lie(self) -> None:
        """I1, here between the steps; the driver looks at every step as well."""
        if hasattr(self, "driver"):
            self.driver.check()

    @invariant()
    def calls_are_bounded(self) -> None:
        """I5: never two calls within a second."""
        if hasattr(self, "driver"):
            times = [at for at, _, _ in self.driver.sent]
            assert all(later - earlier >= 1.0 - 1e-6 for earlier, later in itertools.pairwise(times))

    @invariant()
    def losses_and_recoveries_alternate(self) -> None:
        """I6: one LeaseLost per loss, one LeaseRecovered per recovery."""
        if hasattr(self, "driver"):
            told = [event for _, event in self.driver.told if isinstance(event, LeaseLost | LeaseRecovered)]
            for earlier, later in itertools.pairwise(told):
                assert not (isinstance(earlier, LeaseRecovered) and isinstance(later, LeaseRecovered))
            assert not told or isinstance(told[0], LeaseLost)

    @invariant()
    def no_enable_shortens(self) -> None:
        """I7: an enable that was not overtaken never moves the expiry earlier.

        Save one: when the first GET of a new container fails, the work is not made to wait for another.
        """
        if not hasattr(self, "driver") or self.driver.asked_in_vain:
            return
        newest = 0
        for at, number, before, after in self.driver.ecs.landed:
            if number > newest and after > -inf and before > at:
                assert after >= before - 1e-6, f"the enable that landed at {at} took {before - after} s away"
            newest = max(newest, number)


LeasePromises.TestCase.settings = settings(stateful_step_count=50)
TestLeasePromises = LeasePromises.TestCase
