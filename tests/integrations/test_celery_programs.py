"""What a Celery worker makes of what it was told, in a process of its own: what wins, and what it says of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from integrations.celery_programs import PROJECT, environ_of, outcome
from integrations.celery_worker.redis_server import RedisServer
from nursery import CELERY
from programs import Done, run

from protectwork.testing import FakeAgent, faults


@pytest.fixture
def environ(agent: FakeAgent, tmp_path: Path) -> dict[str, str]:
    return environ_of(agent, tmp_path)


# --- who wins


LADDER = {
    "environment": "",
    "configuration": "app.conf.protectwork_lease = '20m'",
    "configure": "app.conf.protectwork_lease = '20m'; protectwork.configure(lease=1800)",
    "argument": """
app.conf.protectwork_lease = '20m'
protectwork.configure(lease=1800)
told["manager"] = protectwork.ProtectionManager(settings=protectwork.Settings(lease=2400))
""",
}
JUDGED = """
protectwork_celery.install(app, **told)
print(step_of(consumer()).manager.settings.lease_s)
"""


@pytest.mark.parametrize(("highest", "lease_s"), [*zip(LADDER, (600, 1200, 1800, 2400), strict=True)])
def test_the_argument_wins_over_configure_the_configuration_and_the_environment(
    highest: str, lease_s: int, environ: dict[str, str]
) -> None:
    done = run(PROJECT + "told = {}\n" + LADDER[highest] + JUDGED, loaded=CELERY, **environ, PROTECTWORK_LEASE="10m")
    assert [float(line) for line in outcome(done).lines] == [lease_s]
    assert "too late" not in done.err


def test_a_namespace_as_of_django_reaches_the_worker(environ: dict[str, str]) -> None:
    django = """
django = {"CELERY_PROTECTWORK_LEASE": "30m", "CELERY_PROTECTWORK_WHEN_REFUSED": "pause"}
app.config_from_object(django, namespace="CELERY")
protectwork_celery.install(app)
settings = step_of(consumer()).manager.settings
print(settings.lease_s, settings.when_refused)
"""
    assert outcome(run(PROJECT + django, loaded=CELERY, **environ)).lines == ["1800.0 pause"]


def test_a_configuration_that_comes_too_late_is_one_warning_and_the_worker_runs(environ: dict[str, str]) -> None:
    late = """
app.conf.protectwork_lease, app.conf.protectwork_linger = 600, 5
protectwork_celery.install(app)
protectwork.get_manager()
print(step_of(consumer()).manager.settings.lease_s)
"""
    done = outcome(run(PROJECT + late, loaded=CELERY, **environ))
    assert done.lines == ["7200.0"]
    warned = "protectwork_lease, protectwork_linger of the Celery configuration come too late: protectwork is in use"
    assert done.err.count(warned) == 1
    assert "WARNING protectwork" in done.err


TOLD_OF_A_PAUSE = """
class Observer:
    def on_event(self, event):
        if isinstance(event, protectwork.AdmissionClosed):
            print("paused: " + event.reason, flush=True)
            paused()

paused = lambda: None
app.conf.protectwork_when_refused = "run"
protectwork_celery.install(app, **told)
consumer()  # the configuration is in force from now on
protectwork.get_manager().subscribe(Observer())
"""
PAUSED = "paused: ECS does not protect this task"


def test_the_argument_when_refused_wins_and_what_was_sent_before_still_runs(
    agent: FakeAgent, environ: dict[str, str]
) -> None:
    agent.fail(faults.Refuse("DEPLOYMENT_BLOCKED"), times=None, only="enable")
    program = f"{PROJECT}\ntold = dict(when_refused='pause')\n{TOLD_OF_A_PAUSE}\nping.delay(last=True); work()"
    done = outcome(run(program, loaded=CELERY, **environ, PROTECTWORK_WHEN_REFUSED="run"))
    assert sorted(done.lines) == [PAUSED, "ping"]


# --- which Celery tasks are protected


CHOSEN = """
protectwork_celery.install(app, exclude="ping")
ping.delay()
ping.delay(last=True)
work()
"""


def test_what_is_excluded_runs_without_a_call_to_protect_it(agent: FakeAgent, environ: dict[str, str]) -> None:
    assert outcome(run(PROJECT + CHOSEN, loaded=CELERY, **environ)).lines == ["ping", "ping"]
    assert [call.call for call in agent.calls] in ([], ["get"])


def test_what_is_chosen_is_protected(agent: FakeAgent, environ: dict[str, str]) -> None:
    chosen = CHOSEN.replace('exclude="ping"', 'tasks="pi*"')
    assert outcome(run(PROJECT + chosen, loaded=CELERY, **environ)).lines == ["ping", "ping"]
    assert [call.call for call in agent.calls] == ["get", "enable", "disable"]


INSISTS = """
paused = stop
ping.delay(last=True)
work()
with app.connection_for_read() as connection:
    print("left in the queue:", connection.default_channel._size("celery"))
"""


def test_work_that_must_not_run_unprotected_does_not_and_goes_back(agent: FakeAgent, environ: dict[str, str]) -> None:
    agent.fail(faults.Refuse("DEPLOYMENT_BLOCKED"), times=None, only="enable")
    program = f"{PROJECT}\ntold = {{}}\n{TOLD_OF_A_PAUSE}\n{INSISTS}"
    done = outcome(run(program, loaded=CELERY, **environ, PROTECTWORK_ON_UNPROTECTED="raise"))
    assert done.lines == [PAUSED, "left in the queue: 1"]
    assert "'ping[" in done.err
    assert "its message goes back" in done.err


# --- what a worker is told at its start


ADVISED = """
app.conf.protectwork_tasks = "reprots.*, ping"
app.conf.protectwork_exclude = "celery.chord*"

@app.task(name="long", acks_late=True, time_limit=7200)
def long(): pass

@app.task(name="long.softly", acks_late=True, soft_time_limit=3601)
def long_softly(): pass

@app.task(name="long.early", time_limit=7200)
def long_early(): pass

@app.task(name="short", acks_late=True, time_limit=3600)
def short(): pass

protectwork_celery.install(app)
from celery.signals import worker_ready
worker_ready.connect(lambda **_: stop(), weak=False)
work()
"""


def warnings_of(done: Done) -> list[str]:
    return [line.removeprefix("WARNING protectwork: ") for line in done.err.splitlines() if "protectwork: " in line]


def test_a_worker_warns_of_globs_that_match_nothing_and_of_jobs_that_redis_delivers_twice(
    environ: dict[str, str], tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "redis") as server:
        program = f"{PROJECT}\napp.conf.broker_url = {server.database()!r}\n{ADVISED}"
        misspelt, twice = warnings_of(outcome(run(program, loaded=CELERY, **environ)))
    registered = "long, long.early, long.softly, ping, reports.make, short"
    assert misspelt == f"no Celery task matches 'reprots.*'; registered are: {registered}"
    assert "visibility_timeout of 3600 s" in twice
    assert "whatever protection does: long, long.softly; raise broker_transport_options" in twice


@pytest.mark.parametrize(("timeout_s", "warned"), [(3599, True), (7200, False)])
def test_the_visibility_timeout_of_the_configuration_is_the_one_that_counts(
    timeout_s: int, warned: bool, environ: dict[str, str]
) -> None:
    program = f"{PROJECT}\napp.conf.broker_transport_options = dict(visibility_timeout={timeout_s})\n{ADVISED}"
    _, *twice = warnings_of(outcome(run(program, loaded=CELERY, **environ)))
    assert len(twice) == warned
    assert all(f"of {timeout_s} s" in warning and "long, long.softly, short;" in warning for warning in twice)


def test_the_time_limit_of_the_worker_counts_where_a_task_has_none(environ: dict[str, str]) -> None:
    limited = ADVISED.replace("work()", "work(time_limit=7200)").replace("soft_time_limit=3601", "")
    program = f"{PROJECT}\napp.conf.broker_transport_options = dict(visibility_timeout=3600)\n{limited}"
    _, twice = warnings_of(outcome(run(program, loaded=CELERY, **environ)))
    assert "whatever protection does: long, long.softly; raise" in twice


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("leese = 600", "got protectwork_leese; did you mean protectwork_lease?"),
        ("lease = '3'", "protectwork_lease must be from 1 min to 48 h, got 3 s"),
        ("tasks = 5", "protectwork_tasks must be names of Celery tasks, or globs such as 'reports.*', got 5"),
    ],
)
def test_a_wrong_setting_stops_the_worker_before_it_takes_a_job(
    wrong: str, said: str, agent: FakeAgent, environ: dict[str, str]
) -> None:
    program = f"app.conf.protectwork_{wrong}; protectwork_celery.install(app); ping.delay(last=True); work()"
    done = run(PROJECT + program, loaded=CELERY, **environ)
    assert done.code != 0
    assert done.err.splitlines()[-1].endswith(said)
    assert (done.lines, agent.calls) == ([], ())


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("5.3.6", "protectwork_celery needs Celery 5.4 or later, got 5.3.6: pip install -U 'celery>=5.4,<6'"),
        ("4.4.7", "protectwork_celery needs Celery 5.4 or later, got 4.4.7: pip install -U 'celery>=5.4,<6'"),
        ("5.4.0rc1", ""),
        ("5.10.0", ""),
        ("6.0.0", ""),
    ],
)
def test_a_celery_that_is_too_old_is_an_import_error_that_says_what_to_install(version: str, said: str) -> None:
    done = run(f"import celery; celery.__version__ = {version!r}; import protectwork_celery")
    assert done.err.splitlines()[-1:] == ([f"ImportError: {said}"] if said else [])
    assert done.code == bool(said)


def test_no_celery_is_an_import_error_that_says_what_to_install() -> None:
    done = run("import sys; sys.modules['celery'] = None; import protectwork_celery")
    assert done.err.splitlines()[-1] == (
        "ImportError: protectwork_celery needs Celery: pip install 'protectwork[celery]'"
    )
