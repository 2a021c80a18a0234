"""A task that is to go takes no new work: against a whole fake ECS, through the agent, the metadata and boto3."""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from protectwork import AdmissionClosed, AdmissionOpened, Event, ProtectionManager, Settings, State
from protectwork._retirement import STOPPING, SUPERSEDED
from protectwork.backends.agent import AgentBackend
from protectwork.testing import FakeAgent, FakeClock, FakeEcsApi, RecordingBackend
from protectwork.testing.faults import Ecs, Error, Hang, Throttle

BOUND_S = 30.0
MINUTE, HOUR = 60.0, 3600.0
THREAD = "protectwork-retirement"


class Task:
    """One task of a service in virtual time, and one manager in it."""

    def __init__(self, **settings: object) -> None:
        self.clock = FakeClock(patience_s=BOUND_S)
        self.ecs = FakeEcsApi(clock=self.clock)
        self.agent = FakeAgent(self.ecs.task, quota=self.ecs.quota)
        self.events: list[Event] = []
        self._state = tempfile.TemporaryDirectory()  # which the last process leaves, while nobody may ask again
        settings = {"retire_when_superseded": True, "lease": 30 * MINUTE, "state_dir": self._state.name, **settings}
        self._settings = Settings(**settings)
        self.manager = self.new_manager()
        self.manager.subscribe(self)

    def new_manager(self) -> ProtectionManager:
        backend = AgentBackend(self.agent.uri, clock=self.clock)
        manager = ProtectionManager(backend, settings=self._settings, clock=self.clock)
        manager.start()
        self.clock.advance(10)
        return manager

    def on_event(self, event: Event) -> None:
        if isinstance(event, AdmissionClosed | AdmissionOpened):
            self.events.append(event)

    def close(self) -> None:
        self.manager.close()
        self.clock.advance(1)
        self.agent.close()
        self.ecs.close()
        self._state.cleanup()

    def works(self) -> Callable[[], None]:
        """Begin a piece of work, which is protected; what is returned ends it."""
        hold = self.manager.acquire("job", timeout=0)
        self.clock.advance(2)
        assert hold.confirmed
        return hold.release

    def deploys(self) -> None:
        """A newer deployment, which waits for the protected tasks of the older one."""
        self.ecs.service.deploy()
        self.ecs.service.blocked = True

    def run_until(self, fact: Callable[[], bool], *, within_s: float) -> None:
        ends = self.clock.now() + within_s
        while not fact():
            assert self.clock.now() < ends
            self.clock.advance(1)

    @property
    def reasons(self) -> tuple[str, ...]:
        return self.manager.admission.reasons

    def times(self, operation: str) -> list[float]:
        return [call.time for call in self.ecs.calls_of(operation)]


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeEcsApi], None]:
    def set_environ(ecs: FakeEcsApi) -> None:
        for name, value in ecs.environ().items():
            monkeypatch.setenv(name, value)

    return set_environ


@pytest.fixture
def task(environ) -> Iterator[Task]:
    task = Task()
    environ(task.ecs)
    yield task
    task.close()


def logged(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    ends = time.monotonic() + BOUND_S
    while not (found := [record.getMessage() for record in caplog.records if text in record.getMessage()]):
        assert time.monotonic() < ends, text
        time.sleep(0.01)
    return found


# -- a newer deployment


def test_a_superseded_task_finishes_its_work_protected_and_takes_no_more(task: Task) -> None:
    end = task.works()
    began = task.clock.now()
    task.deploys()
    task.run_until(lambda: not task.manager.admission.is_open, within_s=20 * MINUTE)
    assert task.reasons == (SUPERSEDED,)
    assert task.manager.status().state is State.AT_RISK
    task.clock.advance(10 * MINUTE)
    ended = task.clock.now()
    end()
    task.clock.advance(1)
    assert not task.ecs.protected, "and without lingering"
    assert task.ecs.was_protected(began, ended)
    assert len(task.agent.disables) == 1


def test_a_refusal_of_the_first_lease_is_looked_into_within_seconds(task: Task) -> None:
    task.deploys()
    with task.manager.protect("job"):
        task.clock.advance(7)
        assert task.reasons == (SUPERSEDED,)
    task.clock.advance(1)


def test_a_task_of_the_primary_deployment_works_on_however_often_it_is_refused(task: Task) -> None:
    task.ecs.service.blocked = True
    with task.manager.protect("job"):
        task.clock.advance(25 * MINUTE)
        assert task.manager.admission.is_open
        asked = task.times("DescribeServices")
        assert 4 <= len(asked) <= 6
        assert min(later - sooner for sooner, later in itertools.pairwise(asked)) >= 300.0
        assert len(task.times("DescribeTasks")) == 1


def test_admission_opens_and_the_lease_lingers_again_when_the_newer_deployment_is_rolled_back(task: Task) -> None:
    end = task.works()
    task.deploys()
    task.run_until(lambda: not task.manager.admission.is_open, within_s=20 * MINUTE)
    end()
    task.clock.advance(20 * MINUTE)
    assert task.reasons == (SUPERSEDED,), "also while there is nothing to do"
    task.ecs.service.roll_back()
    task.ecs.service.blocked = False
    task.run_until(lambda: task.manager.admission.is_open, within_s=7 * MINUTE)
    task.works()()
    task.clock.advance(15)
    assert task.ecs.protected, "it lingers"
    task.clock.advance(30)
    assert not task.ecs.protected
    assert task.events == [AdmissionClosed(reason=SUPERSEDED), AdmissionOpened()]
    asked = len(task.times("DescribeServices"))
    task.clock.advance(HOUR)
    assert len(task.times("DescribeServices")) == asked


def test_plain_holds_begin_all_the_same_while_admission_is_closed(task: Task) -> None:
    task.deploys()
    with task.manager.protect("job"):
        task.clock.advance(7)
        with task.manager.protect("another"):
            assert task.manager.status().in_flight == 2
    task.clock.advance(1)


def test_a_refusal_that_is_no_blocked_deployment_asks_nothing(task: Task) -> None:
    task.agent.fail(Ecs("missing"), times=None, only="enable")
    with task.manager.protect("job"):
        task.clock.advance(20 * MINUTE)
    assert task.times("DescribeServices") == []
    assert task.manager.admission.is_open


# -- a task that ECS stops


def test_a_task_that_ecs_stops_takes_no_more_and_is_not_lingering(task: Task) -> None:
    end = task.works()
    began = task.clock.now()
    task.ecs.placement.stop()
    task.run_until(lambda: not task.manager.admission.is_open, within_s=38)
    assert task.reasons == (STOPPING,)
    task.clock.advance(20)
    ended = task.clock.now()
    end()
    task.clock.advance(1)
    assert task.ecs.was_protected(began, ended)
    assert not task.ecs.protected
    assert task.times("DescribeServices") == [], "the metadata has no quota, and is all that it takes"


def test_the_metadata_is_read_about_every_30_s_while_there_is_work_and_not_without(task: Task) -> None:
    task.clock.advance(HOUR)
    assert task.times("metadata") == []
    end = task.works()
    task.clock.advance(10 * MINUTE)
    assert 15 <= len(task.times("metadata")) <= 28
    end()
    task.clock.advance(MINUTE)
    read = len(task.times("metadata"))
    task.clock.advance(HOUR)
    assert len(task.times("metadata")) == read


# -- several processes


def test_the_processes_of_a_task_ask_no_more_often_than_one_and_all_close(task: Task) -> None:
    others = [task.new_manager() for _ in range(2)]
    idle = task.new_manager()
    task.deploys()
    holds = [manager.acquire("job", timeout=0) for manager in (task.manager, *others)]
    task.clock.advance(12 * MINUTE)
    asked = task.times("DescribeServices")
    assert min(later - sooner for sooner, later in itertools.pairwise(asked)) >= 300.0
    assert {manager.admission.reasons for manager in (task.manager, *others, idle)} == {(SUPERSEDED,)}
    task.ecs.service.roll_back()
    task.clock.advance(7 * MINUTE)
    assert all(manager.admission.is_open for manager in (task.manager, *others, idle))
    task.ecs.service.blocked = False
    for hold in holds:
        hold.release()
    for manager in (*others, idle):
        manager.close()


# -- what cannot be asked


def test_without_permissions_it_is_told_once_with_its_remedy_and_off(task: Task, caplog) -> None:
    task.ecs.fail(Ecs("access_denied"), times=None, only="describe-services")
    task.deploys()
    with task.manager.protect("job"):
        task.clock.advance(20 * MINUTE)
        assert task.manager.admission.is_open
    [line] = logged(caplog, "retire_when_superseded")
    assert "asks no more" in line
    assert "ecs:DescribeServices" in line
    assert len(task.times("DescribeServices")) == 1


def test_what_may_pass_is_asked_again_5_min_later(task: Task, caplog) -> None:
    task.ecs.fail(Throttle(), times=2, only="describe-services")  # boto3 tries twice
    task.deploys()
    with task.manager.protect("job"):
        task.clock.advance(MINUTE)
        assert task.manager.admission.is_open
        task.clock.advance(6 * MINUTE)
        assert task.reasons == (SUPERSEDED,)
    assert len(logged(caplog, "retire_when_superseded")) == 1


def test_what_was_answered_before_stands_while_there_is_no_answer_and_falls_when_nobody_may_ask(task: Task) -> None:
    task.deploys()
    with task.manager.protect("job"):
        task.clock.advance(7)
        task.ecs.fail(Error(500), times=None, only="describe-services")
        task.clock.advance(20 * MINUTE)
        assert task.reasons == (SUPERSEDED,)
        task.ecs.heal()
        task.ecs.fail(Ecs("access_denied"), times=None, only="describe-services")
        task.clock.advance(7 * MINUTE)
        assert task.manager.admission.is_open, "nobody would ever open it"


def test_without_boto3_a_stop_is_seen_all_the_same(task: Task, caplog, monkeypatch) -> None:
    monkeypatch.setattr("protectwork._retiring.boto3_missing", lambda: 'pip install "protectwork[ecs]"')
    task.deploys()
    with task.manager.protect("job"):
        task.clock.advance(20 * MINUTE)
        [line] = logged(caplog, "retire_when_superseded")
        assert line.endswith('pip install "protectwork[ecs]"')
        assert task.times("DescribeTasks") == []
        task.ecs.placement.stop()
        task.clock.advance(38)
        assert task.reasons == (STOPPING,)


@pytest.mark.parametrize("uri", [None, "http://example.com/v4/id"])
def test_where_there_is_no_metadata_to_be_asked_it_is_told_once_and_over(monkeypatch, caplog, uri) -> None:
    monkeypatch.delenv("ECS_CONTAINER_METADATA_URI_V4", raising=False)
    if uri:
        monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", uri)
    task = Task()
    with task.manager.protect("job"):
        task.clock.advance(10 * MINUTE)
        [line] = logged(caplog, "retire_when_superseded")
        assert "and is off: ECS_CONTAINER_METADATA_URI_V4 must be" in line
        assert THREAD not in {thread.name for thread in threading.enumerate()}
        assert task.manager.admission.is_open
    task.close()


def test_metadata_that_cannot_be_read_for_a_while_changes_nothing(task: Task, caplog) -> None:
    end = task.works()
    task.ecs.fail(Error(500), times=None, only="metadata")
    task.clock.advance(10 * MINUTE)
    assert task.manager.admission.is_open
    assert len(logged(caplog, "retire_when_superseded")) == 1
    task.ecs.placement.stop()
    task.ecs.heal()
    task.clock.advance(38)
    assert task.reasons == (STOPPING,)
    end()


# -- what it never does


def test_nothing_runs_when_the_setting_is_off(environ) -> None:
    task = Task(retire_when_superseded=False)
    environ(task.ecs)
    task.deploys()
    with task.manager.protect("job"):
        task.clock.advance(10 * MINUTE)
        assert task.manager.admission.is_open
        assert THREAD not in {thread.name for thread in threading.enumerate()}
    assert task.times("metadata") == task.times("DescribeServices") == []
    task.close()


def test_nothing_runs_outside_ecs(monkeypatch) -> None:
    monkeypatch.delenv("ECS_AGENT_URI", raising=False)
    monkeypatch.delenv("ECS_CONTAINER_METADATA_URI_V4", raising=False)
    with ProtectionManager(settings=Settings(retire_when_superseded=True)) as manager:
        manager.start()
        with manager.protect("job"):
            assert THREAD not in {thread.name for thread in threading.enumerate()}


class Soonest:
    """Randomness that wants everything as soon as may be."""

    def uniform(self, a: float, b: float, /) -> float:
        return a


@pytest.mark.parametrize("hangs", ["metadata", "describe-services"])
def test_an_endpoint_that_hangs_holds_up_neither_work_nor_the_end(environ, tmp_path, hangs) -> None:
    tmp_path.chmod(0o700)
    with FakeEcsApi() as ecs, FakeAgent(ecs.task) as agent:
        environ(ecs)
        ecs.fail(Hang(), times=None, only=hangs)
        ecs.service.deploy()
        ecs.service.blocked = True
        settings = Settings(retire_when_superseded=True, linger=0, state_dir=tmp_path)
        with ProtectionManager(AgentBackend(agent.uri), settings=settings, random=Soonest()) as manager:
            with manager.protect("job"):
                ecs.wait_until(lambda: any(call.fault for call in ecs.calls), timeout_s=BOUND_S)
                for _ in range(100):
                    with manager.protect("another"):
                        assert manager.status().in_flight == 2
            assert manager.drain(BOUND_S)


def test_the_thread_ends_with_the_manager(environ) -> None:
    backend = RecordingBackend()
    with FakeEcsApi() as ecs:
        environ(ecs)
        settings = Settings(retire_when_superseded=True, linger=0)
        with ProtectionManager(backend, settings=settings) as manager, manager.protect("job"):
            assert THREAD in {thread.name for thread in threading.enumerate()}
        ends = time.monotonic() + BOUND_S
        while THREAD in {thread.name for thread in threading.enumerate()}:
            assert time.monotonic() < ends
            time.sleep(0.01)
