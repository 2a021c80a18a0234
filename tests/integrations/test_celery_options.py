"""What a Celery worker is told, by `install` and by its configuration: checked once, clear when wrong, in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import protectwork_celery
import pytest
from celery import Celery
from protectwork_celery import install, uninstall
from protectwork_celery._install import options_of
from protectwork_celery._options import Options, configured_settings, unmatched

from protectwork import Settings, SettingsError

NewApp = Callable[..., Celery]


@pytest.fixture
def new_app() -> Iterator[NewApp]:
    """Makes apps that are nobody's current one."""
    apps: list[Celery] = []

    def new(**conf: object) -> Celery:
        apps.append(Celery("proj", broker="memory://localhost/", set_as_current=False))
        apps[-1].conf.update(conf)
        return apps[-1]

    yield new
    for app in apps:
        app.close()


# --- install and uninstall


def test_install_twice_is_install_once_and_uninstall_undoes_it(new_app: NewApp) -> None:
    app = new_app()
    install(app, tasks="reports.*")
    install(app, tasks=["reports.*"])
    assert len(app.steps["consumer"]) == 1
    uninstall(app)
    uninstall(app)
    assert app.steps["consumer"] == set()
    assert options_of(app) == Options()


def test_other_arguments_for_the_same_app_are_an_error_that_names_uninstall(new_app: NewApp) -> None:
    app = new_app()
    install(app, tasks="reports.*")
    with pytest.raises(SettingsError) as caught:
        install(app, tasks="ping")
    assert "must be called with the same arguments for one app" in str(caught.value)
    assert str(caught.value).endswith("call uninstall(app) in between")
    assert options_of(app).tasks == ("reports.*",)
    uninstall(app)
    install(app, tasks="ping")
    assert options_of(app).tasks == ("ping",)


def test_each_app_has_arguments_of_its_own(new_app: NewApp) -> None:
    one, other = new_app(), new_app()
    install(one, exclude="ping")
    install(other)
    uninstall(other)
    assert options_of(one).exclude == ("ping",)
    assert len(one.steps["consumer"]) == 1


@pytest.mark.parametrize("act", [install, uninstall])
@pytest.mark.parametrize("wrong", [None, "proj", Celery, object()])
def test_what_is_no_app_is_an_error_that_says_what_to_pass(act: Callable[[object], None], wrong: object) -> None:
    with pytest.raises(SettingsError) as caught:
        act(wrong)
    assert "app must be a Celery application, got " in str(caught.value)
    assert str(caught.value).endswith("pass the object that Celery(...) made")


def test_install_neither_finalises_nor_configures_the_app(new_app: NewApp) -> None:
    app = new_app()
    fresh = Celery("fresh", autofinalize=False, set_as_current=False)
    install(fresh)
    assert (fresh.finalized, fresh.configured) == (False, False)
    fresh.close()
    install(app)
    app.conf.protectwork_lease = 600  # after install, and yet in force
    assert configured_settings(app) == {"lease": 600}


# --- which Celery tasks deserve protection


@pytest.mark.parametrize(
    ("told", "protected"),
    [
        ({}, {"reports.make", "reports.mail", "ping"}),
        ({"tasks": "reports.*"}, {"reports.make", "reports.mail"}),
        ({"tasks": "reports.make, ping"}, {"reports.make", "ping"}),
        ({"tasks": ["reports.m?k*", "ping"]}, {"reports.make", "ping"}),
        ({"exclude": ("*.mail",)}, {"reports.make", "ping"}),
        ({"tasks": "reports.*", "exclude": "*.mail"}, {"reports.make"}),
        ({"tasks": "REPORTS.*"}, set()),
        ({"tasks": (glob for glob in ("ping",))}, {"ping"}),
    ],
)
def test_names_and_globs_choose_what_is_protected(told: dict[str, Any], protected: set[str]) -> None:
    options = Options.of(**told)
    assert {name for name in ("reports.make", "reports.mail", "ping") if options.deserves(name)} == protected


@pytest.mark.parametrize("setting", ["tasks", "exclude"])
@pytest.mark.parametrize("wrong", ["", " ", "ping,", ["ping", ""], ["ping", 5], 5, [5], b"ping", [None], [print]])
def test_what_names_no_celery_task_is_an_error(setting: str, wrong: object, new_app: NewApp) -> None:
    with pytest.raises(
        SettingsError, match=rf"^{setting} must be names of Celery tasks, or globs such as 'reports\.\*'"
    ):
        install(new_app(), **{setting: wrong})


def test_a_computed_list_may_exclude_nothing_but_not_choose_nothing(new_app: NewApp) -> None:
    assert Options.of(exclude=[]) == Options.of()
    with pytest.raises(SettingsError, match="tasks must be names of Celery tasks"):
        install(new_app(), tasks=[])


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"when_refused": "stop"}, "when_refused must be run or pause, got 'stop'"),
        ({"manager": 5}, "manager must be a ProtectionManager, got 5"),
    ],
)
def test_a_wrong_argument_is_an_error_and_installs_nothing(told: dict[str, Any], message: str, new_app: NewApp) -> None:
    app = new_app()
    with pytest.raises(SettingsError) as caught:
        install(app, **told)
    assert str(caught.value) == message
    assert app.steps["consumer"] == set()


def test_a_glob_that_chooses_nothing_is_found() -> None:
    options = Options.of(tasks="reports.*, reprots.*", exclude="pong")
    assert unmatched(options, ["reports.make", "ping"]) == ("reprots.*", "pong")


def test_the_configuration_names_celery_tasks_where_install_was_told_nothing(new_app: NewApp) -> None:
    app = new_app(protectwork_tasks="reports.*, ping", protectwork_exclude=["ping"])
    assert Options().completed(app) == Options.of(tasks=["reports.*", "ping"], exclude="ping")
    told = Options.of(tasks="a", exclude="b")
    assert told.completed(app) == told


# --- settings in the Celery configuration


@pytest.mark.parametrize(
    ("conf", "settings"),
    [
        ({}, {}),
        ({"protectwork_lease": 600, "protectwork_linger": 0}, {"lease": 600, "linger": 0}),
        ({"protectwork_lease": "30m", "protectwork_acquire_timeout": "5"}, {"lease": 1800.0, "acquire_timeout": 5.0}),
        ({"protectwork_on_unprotected": "raise"}, {"on_unprotected": "raise"}),
        ({"protectwork_retire_when_superseded": "on"}, {"retire_when_superseded": True}),
        (
            {"protectwork_allow_endpoint": "agent.example, 10.0.0.0/8"},
            {"allow_endpoint": ("agent.example", "10.0.0.0/8")},
        ),
        ({"protectwork_lease": None, "protectwork_linger": "", "protectwork_exclude": " "}, {}),
    ],
)
def test_a_setting_may_be_a_value_or_a_text_as_in_the_environment(
    conf: dict[str, Any], settings: dict[str, Any], new_app: NewApp
) -> None:
    app = new_app(**conf)
    assert configured_settings(app) == settings
    assert Options().completed(app) == Options()


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"protectwork_lease": 3}, "protectwork_lease must be from 1 min to 48 h, got 3 s"),
        ({"protectwork_lease": "3"}, "protectwork_lease must be from 1 min to 48 h, got 3 s"),
        (
            {"protectwork_linger": "soon"},
            "protectwork_linger must be seconds, or a duration such as 90s, 30m or 2h, got 'soon'",
        ),
        ({"protectwork_when_refused": "stop"}, "protectwork_when_refused must be run or pause, got 'stop'"),
        (
            {"protectwork_tasks": 5},
            "protectwork_tasks must be names of Celery tasks, or globs such as 'reports.*', got 5",
        ),
        (
            {"protectwork_leas": 600},
            "the Celery configuration must be of known settings, got protectwork_leas; did you mean protectwork_lease?",
        ),
    ],
)
def test_a_wrong_setting_is_an_error_by_the_name_that_it_has_in_the_configuration(
    conf: dict[str, Any], message: str, new_app: NewApp
) -> None:
    app = new_app(**conf)
    with pytest.raises(SettingsError) as caught:
        configured_settings(Options().completed(app) and app)
    assert str(caught.value) == message


def test_a_setting_like_no_other_is_an_error_that_lists_them_all(new_app: NewApp) -> None:
    with pytest.raises(SettingsError) as caught:
        configured_settings(new_app(protectwork_xyz=1))
    assert caught.value.remedy is not None
    assert {"tasks", "exclude", *Settings.__dataclass_fields__} <= set(caught.value.remedy.replace(",", "").split())


def test_a_namespace_as_of_django_is_taken_off(new_app: NewApp) -> None:
    app = new_app()
    django = {"CELERY_PROTECTWORK_LEASE": "30m", "CELERY_PROTECTWORK_TASKS": "reports.*", "PROTECTWORK_LINGER": 5}
    app.config_from_object(django, namespace="CELERY")
    assert configured_settings(app) == {"lease": 1800.0}
    assert Options().completed(app).tasks == ("reports.*",)
    app.config_from_object({"CELERY_PROTECTWORK_LEESE": 600}, namespace="CELERY", force=True)
    with pytest.raises(SettingsError, match="did you mean protectwork_lease"):
        configured_settings(app)


def test_a_configuration_module_may_import_us(new_app: NewApp) -> None:
    module = ModuleType("celeryconfig")
    vars(module).update(protectwork_celery=protectwork_celery, protectwork_lease=600)
    app = new_app()
    app.config_from_object(module)
    assert configured_settings(app) == {"lease": 600}
