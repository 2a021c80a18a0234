"""The process's own manager: built once, at first use, from what it was told; and outside ECS it costs nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from programs import run

from protectwork import (
    ProtectionManager,
    ProtectionUnavailableError,
    Settings,
    SettingsError,
    State,
    configure,
    get_manager,
    protect,
    protected,
)
from protectwork._process import reset_manager
from protectwork.testing import FakeAgent, RecordingBackend


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch) -> Iterator[None]:
    for name in ("ECS_AGENT_URI", "AWS_EXECUTION_ENV"):
        monkeypatch.delenv(name, raising=False)
    reset_manager()
    yield
    reset_manager()


# --- one manager


def test_there_is_one_manager_whoever_asks_first() -> None:
    managers: list[ProtectionManager] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait(10)
        managers.append(get_manager())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(managers) == 8
    assert set(managers) == {get_manager()}


def test_decorators_and_protect_and_the_manager_share_one_count() -> None:
    @protected(label="decorated")
    def decorated() -> list[str]:
        with protect("explicit"), get_manager().protect("of the manager"):
            hold = get_manager().acquire("acquired")
            try:
                return asyncio.run(in_asyncio())
            finally:
                hold.release()

    @protected(label="decorated async")
    async def in_asyncio() -> list[str]:
        async with protect("async"):
            return [hold.label for hold in get_manager().status().holds]

    assert decorated() == ["decorated", "explicit", "of the manager", "acquired", "decorated async", "async"]
    assert get_manager().status().in_flight == 0


def test_a_manager_of_ones_own_has_a_count_of_its_own() -> None:
    with ProtectionManager(settings=Settings(backend="off")) as own, own.protect():
        assert (own.status().in_flight, get_manager().status().in_flight) == (1, 0)


def test_a_reset_closes_the_manager_and_forgets_what_it_was_told() -> None:
    configure(lease=600)
    first = get_manager()
    reset_manager()
    assert first.status().state is State.CLOSED
    assert get_manager() is not first
    assert get_manager().settings.lease_s == 7200
    reset_manager()
    reset_manager()
    configure(lease=600)
    assert get_manager().settings.lease_s == 600


def test_a_decorated_function_uses_the_manager_of_the_moment() -> None:
    @protected
    def work() -> int:
        return get_manager().status().in_flight

    assert work() == 1
    reset_manager()
    assert work() == 1


def test_a_signal_handler_may_hold_while_the_status_is_asked() -> None:
    holds = [get_manager().acquire() for _ in range(500)]
    taken = []
    before = signal.signal(signal.SIGALRM, lambda *_: taken.append(get_manager().acquire()))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        while len(taken) < 100:
            assert get_manager().status().in_flight >= 500
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        for hold in holds + taken:
            hold.release()


# --- who wins


def test_configure_wins_over_the_environment_and_that_over_the_default(monkeypatch) -> None:
    monkeypatch.setenv("PROTECTWORK_LEASE", "10m")
    monkeypatch.setenv("PROTECTWORK_LINGER", "20")
    configure(lease=1200)
    settings = get_manager().settings
    assert (settings.lease_s, settings.linger_s, settings.acquire_timeout_s) == (1200, 20, 15)


def test_whole_settings_leave_the_environment_unread(monkeypatch) -> None:
    monkeypatch.setenv("PROTECTWORK_LEASE", "nonsense")
    configure(settings=Settings(linger=20))
    settings = get_manager().settings
    assert (settings.lease_s, settings.linger_s) == (7200, 20)


def test_an_override_makes_the_variable_that_it_replaces_harmless(monkeypatch, caplog) -> None:
    monkeypatch.setenv("PROTECTWORK_LEASE", "nonsense")
    configure(lease=600)
    assert get_manager().settings.lease_s == 600
    assert caplog.records == []


def test_an_argument_wins_over_configure() -> None:
    backend = RecordingBackend()
    configure(backend=backend, on_unprotected="raise", acquire_timeout=0)
    with backend.paused():
        with pytest.raises(ProtectionUnavailableError, match="ECS has not answered yet"), protect():
            raise AssertionError("the work was started")
        with protect(on_unprotected="run"):
            assert get_manager().status().in_flight == 1
    assert get_manager().status().backend == "recording"


def test_the_environment_is_read_at_first_use_and_not_before(monkeypatch) -> None:
    configure(linger=20)
    monkeypatch.setenv("PROTECTWORK_LEASE", "10m")
    assert get_manager().settings.lease_s == 600
    monkeypatch.setenv("PROTECTWORK_LEASE", "20m")
    assert get_manager().settings.lease_s == 600


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lease": 3}, "lease must be from 1 min to 48 h, got 3 s"),
        ({"backend": RecordingBackend(), "linger": -1}, "linger must be from 0 s to 15 min, got -1 s"),
        (
            {"settings": Settings(), "lease": 600},
            "configure() must be given settings= or single settings, got both (lease)",
        ),
        (
            {"settings": Settings(), "backend": "off"},
            "configure() must be given settings= or single settings, got both (backend)",
        ),
        ({"settings": 5}, "settings must be a Settings, got 5; make one: Settings(lease=3600), say"),
        ({"settings": {}}, "settings must be a Settings, got {}; make one: Settings(lease=3600), say"),
        ({"backend": 5}, "backend must be an object with enable(), disable(), get() and a name, got 5"),
        ({"backend": "moon"}, "backend must be auto, agent, ecs or off, got 'moon'"),
    ],
)
def test_configure_refuses_what_is_wrong_and_keeps_nothing_of_it(arguments, message) -> None:
    with pytest.raises(SettingsError) as caught:
        configure(**arguments)
    assert str(caught.value) == message
    assert get_manager().settings == Settings()


def test_a_backend_is_chosen_by_name_as_any_setting_is(monkeypatch) -> None:
    monkeypatch.setenv("PROTECTWORK_BACKEND", "agent")
    monkeypatch.setenv("PROTECTWORK_LEASE", "10m")
    configure(backend="off")
    assert (get_manager().settings.backend, get_manager().settings.lease_s) == ("off", 600)
    assert get_manager().status().backend == "off"


def test_a_backend_that_counts_as_false_is_used_all_the_same() -> None:
    class Empty(RecordingBackend):
        def __len__(self) -> int:
            return 0

    configure(backend=Empty())
    assert get_manager().status().backend == "recording"


def test_an_unknown_setting_is_told_by_name() -> None:
    with pytest.raises(TypeError, match="leese"):
        configure(leese=600)


@pytest.mark.parametrize("use", [get_manager, protect, lambda: protected(len)("")], ids=["get", "protect", "decorated"])
def test_configure_after_the_first_use_is_refused_with_its_remedy(use) -> None:
    use()
    manager = get_manager()
    with pytest.raises(SettingsError, match="call it at start-up"):
        configure(lease=600)
    assert get_manager() is manager


def test_configure_before_the_first_use_may_be_repeated() -> None:
    configure(lease=600)
    configure(linger=20)
    assert (get_manager().settings.lease_s, get_manager().settings.linger_s) == (7200, 20)


# --- a bad environment


REMEDY = "ECS sets it from agent 1.65.0 on; elsewhere leave backend at auto"
BAD = [
    ({"PROTECTWORK_LEASE": "3s"}, "PROTECTWORK_LEASE must be from 1 min to 48 h, got 3 s"),
    (
        {"PROTECTWORK_LINGER": "soon"},
        "PROTECTWORK_LINGER must be seconds, or a duration such as 90s, 30m or 2h, got 'soon'",
    ),
    ({"PROTECTWORK_BACKEND": "moon\n"}, "PROTECTWORK_BACKEND must be auto, agent, ecs or off, got 'moon'"),
    (
        {"PROTECTWORK_BACKEND": "agent"},
        f"ECS_AGENT_URI must be set for the backend agent, got nothing; {REMEDY}",
    ),
]


def use_in_every_way() -> int:
    """Do some work in every way there is; return how much of it was done."""

    @protected
    def decorated() -> int:
        return 1

    @protected(on_unprotected="raise", max_duration=60)
    async def decorated_async() -> int:
        return 1

    @protected
    def generator() -> Iterator[int]:
        yield 1

    with protect(on_unprotected="raise"):
        return decorated() + asyncio.run(decorated_async()) + sum(generator())


def told(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(("environ", "message"), BAD, ids=[next(iter(environ)) for environ, _ in BAD])
def test_a_bad_environment_is_one_error_and_breaks_no_job(monkeypatch, caplog, environ, message) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    threads = threading.active_count()
    assert [use_in_every_way() for _ in range(3)] == [3, 3, 3]
    assert told(caplog) == [f"protection is off: {message}"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert get_manager().status().state is State.OFF
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    "uri", ["ftp://127.0.0.1/api/x", "http://8.8.8.8/api/x", "169.254.170.2", "http://[::1", "\x1b"]
)
def test_an_endpoint_that_may_not_be_called_is_one_error_and_breaks_no_job(monkeypatch, caplog, uri) -> None:
    monkeypatch.setenv("ECS_AGENT_URI", uri)
    assert use_in_every_way() == 3
    [line] = told(caplog)
    assert line.startswith("protection is off: ECS_AGENT_URI must be ")
    assert line.isprintable()
    assert get_manager().status().state is State.OFF


def test_a_bad_environment_is_told_once_however_many_threads_come_first(monkeypatch, caplog) -> None:
    monkeypatch.setenv("PROTECTWORK_LEASE", "3s")
    threads = [threading.Thread(target=use_in_every_way) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(told(caplog)) == 1


class Handler(logging.Handler):
    """A handler of the user's, which does as it is told."""

    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self._then = then

    def createLock(self) -> None:  # noqa: N802 - logging's own name
        self.lock = None  # what hangs here is not to be logging itself

    def emit(self, record: logging.LogRecord) -> None:
        self._then()


@contextmanager
def handling(then: Callable[[], object]) -> Iterator[None]:
    logger, handler = logging.getLogger("protectwork"), Handler(then)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def test_a_log_handler_may_protect_its_own_work(monkeypatch) -> None:
    monkeypatch.setenv("PROTECTWORK_LEASE", "3s")
    handled: list[int] = []
    with handling(lambda: handled.append(use_in_every_way())):
        assert use_in_every_way() == 3
    assert handled == [3]


def test_a_log_handler_that_hangs_stops_nobody_else(monkeypatch) -> None:
    monkeypatch.setenv("PROTECTWORK_LEASE", "3s")
    entered, over = threading.Event(), threading.Event()
    with handling(lambda: (entered.set(), over.wait(30))):
        first, second = (threading.Thread(target=use_in_every_way) for _ in range(2))
        first.start()
        assert entered.wait(10)
        second.start()
        second.join(2)
        stopped = second.is_alive()
        over.set()
        first.join(10)
        second.join(10)
    assert not stopped


def test_an_explicit_manager_raises_on_a_bad_environment(monkeypatch) -> None:
    monkeypatch.setenv("PROTECTWORK_LEASE", "3s")
    with pytest.raises(SettingsError, match="PROTECTWORK_LEASE must be from 1 min to 48 h, got 3 s"):
        ProtectionManager()


def test_a_variable_that_is_no_setting_is_a_warning_with_the_one_that_is_meant(monkeypatch, caplog) -> None:
    monkeypatch.setenv("PROTECTWORK_LINGUR", "20")
    use_in_every_way()
    assert told(caplog) == ["PROTECTWORK_LINGUR is no setting; did you mean PROTECTWORK_LINGER?"]


# --- inside ECS, or not


def test_ecs_without_its_variable_is_one_warning(monkeypatch, caplog) -> None:
    monkeypatch.setenv("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE")
    assert [use_in_every_way() for _ in range(3)] == [3, 3, 3]
    [line] = told(caplog)
    assert "AWS_EXECUTION_ENV is 'AWS_ECS_FARGATE', but nothing can be protected: ECS_AGENT_URI is missing" in line
    assert get_manager().status().state is State.OFF


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.12"},
        {"AWS_EXECUTION_ENV": "AWS_ECS_EC2", "PROTECTWORK_BACKEND": "off"},
        {"ECS_AGENT_URI": ""},
    ],
)
def test_where_nothing_is_to_be_protected_nothing_is_said(monkeypatch, caplog, environ) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert use_in_every_way() == 3
    assert caplog.records == []
    status = get_manager().status()
    assert (status.state, status.confirmed, status.expires_at, status.calls) == (State.OFF, False, None, 0)
    assert status.backend == "off"


def test_it_can_be_turned_off_inside_ecs(monkeypatch, caplog) -> None:
    with FakeAgent() as agent:
        monkeypatch.setenv("ECS_AGENT_URI", agent.uri)
        monkeypatch.setenv("PROTECTWORK_BACKEND", "off")
        threads = threading.active_count()
        assert use_in_every_way() == 3
        get_manager().start()
        assert threading.active_count() == threads
        reset_manager()
        assert agent.calls == ()
    assert caplog.records == []


def test_inside_ecs_the_process_manager_calls_the_agent(fake_agent) -> None:
    with protect() as hold:
        assert hold.confirmed
        assert fake_agent.protected
        assert get_manager().status().backend == "agent"
    assert [str(call.call) for call in fake_agent.calls] == ["get", "enable"]


# What Python does for a hold outside ECS, told by the hooks of the interpreter itself.
OUTSIDE = """
import json, os, sys, tempfile, threading
from protectwork import protect, protected
import protectwork._process

def work(): ...

@protected
def decorated(): ...

def standing():
    places = ["/proc/self/fd", tempfile.gettempdir(), "."]  # in /dev/shm other tests are at work: see the events
    return [sorted(os.listdir(place)) for place in places] + [sorted(os.listdir("/proc/self/task"))]

with protect():  # builds the manager
    decorated()
before = standing()
events, listening = [], True
sys.addaudithook(lambda event, _: listening and events.append(event))
for _ in range(50_000):
    with protect():
        pass
    decorated()
listening = False
print(json.dumps([events, before == standing(), threading.active_count(), "httpx" in sys.modules]))
"""


def test_outside_ecs_a_hundred_thousand_holds_make_no_call_no_thread_and_no_file(tmp_path) -> None:
    done = run(OUTSIDE, cwd=tmp_path, TMPDIR=str(tmp_path))
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == [[], True, 1, False]
    assert list(tmp_path.iterdir()) == []
