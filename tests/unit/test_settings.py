"""Settings: what is accepted, what is refused and in which words, and which source wins."""

from __future__ import annotations

import dataclasses
import math
from datetime import timedelta
from pathlib import Path

import pytest

from protectwork._errors import SettingsError
from protectwork._settings import Settings, seconds, unknown_variables


def test_the_defaults_are_those_of_the_documentation():
    settings = Settings()
    assert (settings.backend, settings.on_unprotected, settings.when_refused) == ("auto", "run", None)
    assert (settings.lease_s, settings.linger_s, settings.acquire_timeout_s) == (7200.0, 30.0, 15.0)
    assert (settings.retire_when_superseded, settings.state_dir, settings.allow_endpoint) == (False, None, ())


@pytest.mark.parametrize(
    ("field", "value", "expected_s"),
    [
        ("lease", 60, 60.0),
        ("lease", 172_800, 172_800.0),
        ("lease", timedelta(hours=48), 172_800.0),
        ("lease", 90.5, 90.5),
        ("linger", 0, 0.0),
        ("linger", timedelta(minutes=15), 900.0),
        ("acquire_timeout", 0.0, 0.0),
        ("acquire_timeout", timedelta(milliseconds=1), 0.001),
        ("acquire_timeout", 300, 300.0),
    ],
)
def test_a_duration_is_seconds_or_a_timedelta_and_its_limits_belong_to_it(field, value, expected_s):
    got = getattr(Settings(**{field: value}), f"{field}_s")
    assert (got, type(got)) == (expected_s, float)


REFUSED = [
    ("lease", 3, "lease must be from 1 min to 48 h, got 3 s"),
    ("lease", 59.999, "lease must be from 1 min to 48 h, got 59.999 s"),
    ("lease", 172_801, "lease must be from 1 min to 48 h, got 172801 s"),
    ("lease", timedelta(days=3), "lease must be from 1 min to 48 h, got 72 h"),
    ("lease", timedelta(hours=-1), "lease must be from 1 min to 48 h, got -1 h"),
    ("lease", timedelta.max, "lease must be from 1 min to 48 h, got 2.4e+10 h"),
    ("lease", math.nan, "lease must be from 1 min to 48 h, got nan s"),
    ("lease", math.inf, "lease must be from 1 min to 48 h, got inf s"),
    ("lease", 10**400, "lease must be from 1 min to 48 h, got inf s"),
    ("lease", -(10**400), "lease must be from 1 min to 48 h, got -inf s"),
    ("lease", True, "lease must be a number of seconds or a timedelta, got True"),
    ("lease", "2h", "lease must be a number of seconds or a timedelta, got '2h'"),
    ("lease", None, "lease must be a number of seconds or a timedelta, got None"),
    ("lease", [7200], "lease must be a number of seconds or a timedelta, got [7200]"),
    ("lease", 7200j, "lease must be a number of seconds or a timedelta, got 7200j"),
    ("linger", -1, "linger must be from 0 s to 15 min, got -1 s"),
    ("linger", 5400, "linger must be from 0 s to 15 min, got 1.5 h"),
    ("acquire_timeout", 301, "acquire_timeout must be from 0 s to 5 min, got 301 s"),
    ("acquire_timeout", 330, "acquire_timeout must be from 0 s to 5 min, got 5.5 min"),
    ("backend", "api", "backend must be auto, agent, ecs or off, got 'api'"),
    ("backend", "AUTO", "backend must be auto, agent, ecs or off, got 'AUTO'"),
    ("backend", None, "backend must be auto, agent, ecs or off, got None"),
    ("backend", ["auto"], "backend must be auto, agent, ecs or off, got ['auto']"),
    ("on_unprotected", "stop", "on_unprotected must be run or raise, got 'stop'"),
    ("on_unprotected", "", "on_unprotected must be run or raise, got ''"),
    ("on_unprotected", None, "on_unprotected must be run or raise, got None"),
    ("when_refused", "raise", "when_refused must be run or pause, got 'raise'"),
    ("when_refused", False, "when_refused must be run or pause, got False"),
    ("retire_when_superseded", "off", "retire_when_superseded must be True or False, got 'off'"),
    ("retire_when_superseded", 1, "retire_when_superseded must be True or False, got 1"),
    ("retire_when_superseded", None, "retire_when_superseded must be True or False, got None"),
    ("state_dir", "", "state_dir must be an absolute path, got ''"),
    ("state_dir", "run/protectwork", "state_dir must be an absolute path, got 'run/protectwork'"),
    ("state_dir", "/run/\0", "state_dir must be an absolute path, got '/run/\\x00'"),
    ("state_dir", b"/run", "state_dir must be an absolute path, got b'/run'"),
    ("state_dir", 5, "state_dir must be an absolute path, got 5"),
    ("allow_endpoint", "agent", "allow_endpoint must be a tuple of host names, addresses or networks, got 'agent'"),
    ("allow_endpoint", ["agent"], "allow_endpoint must be a tuple of host names, addresses or networks, got ['agent']"),
    ("allow_endpoint", None, "allow_endpoint must be a tuple of host names, addresses or networks, got None"),
    ("allow_endpoint", ("ok", 5), "allow_endpoint must be host names, addresses or networks such as 10.0.0.0/8, got 5"),
]


@pytest.mark.parametrize(("field", "value", "message"), REFUSED)
def test_a_value_outside_its_rule_is_refused_with_rule_and_value(field, value, message):
    with pytest.raises(SettingsError) as caught:
        Settings(**{field: value})
    assert str(caught.value) == message
    assert caught.value.setting == field


@pytest.mark.parametrize(
    "entry",
    [
        "",
        " ",
        "*",
        "a b",
        "agent:80",
        "http://agent",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0",
        "300.1.1.1",
        "::/200",
        "[::1]",
        "-",
        "x" * 300,
        "é.example",
        "a\n",
    ],
)
def test_an_allowed_endpoint_that_could_never_match_is_refused(entry):
    with pytest.raises(SettingsError, match="allow_endpoint must be host names"):
        Settings(allow_endpoint=(entry,))


def test_allowed_endpoints_are_names_addresses_and_networks():
    entries = ("agent", "Fake_Agent.example.com", "203.0.113.7", "203.0.113.0/24", "2001:db8::1", "2001:db8::/32")
    assert Settings(allow_endpoint=entries).allow_endpoint == entries


@pytest.mark.parametrize("directory", ["/run/protectwork", Path("/run/protectwork")])
def test_a_state_directory_is_an_absolute_path(directory):
    assert Settings(state_dir=directory).state_dir == directory


def test_a_huge_value_is_shown_cut_and_an_evil_one_escaped():
    with pytest.raises(SettingsError) as caught:
        Settings(backend="\x1b\n" + "x" * 10_000)  # type: ignore[arg-type]
    assert len(caught.value.value) <= 200
    assert str(caught.value).isprintable()


def test_a_value_that_cannot_even_be_shown_is_refused():
    class Evil:
        def __repr__(self) -> str:
            raise RuntimeError

        __eq__ = __hash__ = None  # type: ignore[assignment]

    class EvilText(str):
        __slots__ = ()
        __repr__ = Evil.__repr__
        __eq__ = __hash__ = None  # type: ignore[assignment]

    for field in dataclasses.fields(Settings):
        for value in (Evil(), EvilText("off")):
            with pytest.raises(SettingsError, match=f"^{field.name} must be .*, got "):
                Settings(**{field.name: value})


def test_a_value_whose_text_could_forge_lines_is_shown_escaped():
    class Forging:
        def __repr__(self) -> str:
            return "5\nERROR all is lost"

    with pytest.raises(SettingsError) as caught:
        Settings(lease=Forging())  # type: ignore[arg-type]
    assert caught.value.value == "5\\nERROR all is lost"


def test_settings_are_frozen_and_a_changed_copy_is_checked_again():
    settings = Settings(lease=3600)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.lease = 60  # type: ignore[misc]
    assert dataclasses.replace(settings, linger=60).linger_s == 60.0
    with pytest.raises(SettingsError, match="lease must be from 1 min"):
        dataclasses.replace(settings, lease=1)


def test_settings_take_no_positional_arguments():
    with pytest.raises(TypeError):
        Settings("off")  # type: ignore[misc]


def test_seconds_gives_a_float_or_names_the_argument():
    assert seconds("max_duration", timedelta(minutes=1), low_s=0.001, high_s=172_800) == 60.0
    with pytest.raises(SettingsError, match=r"^max_duration must be from 0\.001 s to 48 h, got 0 s$"):
        seconds("max_duration", 0, low_s=0.001, high_s=172_800)
    with pytest.raises(SettingsError, match=r"^max_duration must be from 0\.001 s to 48 h, got 49 h$"):
        seconds("max_duration", timedelta(hours=49), low_s=0.001, high_s=172_800)


# --- the environment


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("PROTECTWORK_BACKEND", "off", "backend", "off"),
        ("PROTECTWORK_BACKEND", "Agent", "backend", "agent"),
        ("PROTECTWORK_LEASE", "3600", "lease", 3600.0),
        ("PROTECTWORK_LEASE", "90s", "lease", 90.0),
        ("PROTECTWORK_LEASE", "30m", "lease", 1800.0),
        ("PROTECTWORK_LEASE", "2h", "lease", 7200.0),
        ("PROTECTWORK_LEASE", "1.5 H", "lease", 5400.0),
        ("PROTECTWORK_LEASE", " 2h ", "lease", 7200.0),
        ("PROTECTWORK_LINGER", "0", "linger", 0.0),
        ("PROTECTWORK_ACQUIRE_TIMEOUT", "2.5", "acquire_timeout", 2.5),
        ("PROTECTWORK_ON_UNPROTECTED", "raise", "on_unprotected", "raise"),
        ("PROTECTWORK_WHEN_REFUSED", "pause", "when_refused", "pause"),
        ("PROTECTWORK_RETIRE_WHEN_SUPERSEDED", "on", "retire_when_superseded", True),
        ("PROTECTWORK_RETIRE_WHEN_SUPERSEDED", "TRUE", "retire_when_superseded", True),
        ("PROTECTWORK_RETIRE_WHEN_SUPERSEDED", "1", "retire_when_superseded", True),
        ("PROTECTWORK_RETIRE_WHEN_SUPERSEDED", "off", "retire_when_superseded", False),
        ("PROTECTWORK_RETIRE_WHEN_SUPERSEDED", "false", "retire_when_superseded", False),
        ("PROTECTWORK_RETIRE_WHEN_SUPERSEDED", "0", "retire_when_superseded", False),
        ("PROTECTWORK_STATE_DIR", "/run/Protectwork", "state_dir", "/run/Protectwork"),
        ("PROTECTWORK_ALLOW_ENDPOINT", "agent, 203.0.113.0/24,", "allow_endpoint", ("agent", "203.0.113.0/24")),
    ],
)
def test_each_setting_is_read_from_the_environment(variable, text, field, value):
    settings = Settings.from_env({variable: text, "HOME": "/"})
    assert getattr(settings, field) == value
    assert settings == dataclasses.replace(Settings(), **{field: value})


def test_every_setting_has_its_variable():
    environ = {f"PROTECTWORK_{field.name.upper()}": "\0" for field in dataclasses.fields(Settings)}
    assert unknown_variables(environ) == ()
    for variable in environ:
        with pytest.raises(SettingsError) as caught:
            Settings.from_env({variable: "\0"})
        assert caught.value.setting == variable


def test_an_empty_environment_gives_the_defaults():
    assert Settings.from_env({}) == Settings()


def test_an_empty_variable_counts_as_not_set():
    environ = {f"PROTECTWORK_{field.name.upper()}": " " for field in dataclasses.fields(Settings)}
    assert Settings.from_env(environ) == Settings()


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("PROTECTWORK_LEASE", "3s", "PROTECTWORK_LEASE must be from 1 min to 48 h, got 3 s"),
        ("PROTECTWORK_LEASE", "-2h", "PROTECTWORK_LEASE must be from 1 min to 48 h, got -2 h"),
        ("PROTECTWORK_LEASE", "9" * 400, "PROTECTWORK_LEASE must be from 1 min to 48 h, got inf s"),
        *(
            (
                "PROTECTWORK_LEASE",
                text,
                f"PROTECTWORK_LEASE must be seconds, or a duration such as 90s, 30m or 2h, got {text!r}",
            )
            for text in ("soon", "2d", "h", "1h30m", "1e3", "nan", "inf", "0x10", "2,5", "٣", "1_000", "True")
        ),
        ("PROTECTWORK_BACKEND", "api", "PROTECTWORK_BACKEND must be auto, agent, ecs or off, got 'api'"),
        ("PROTECTWORK_WHEN_REFUSED", "none", "PROTECTWORK_WHEN_REFUSED must be run or pause, got 'none'"),
        (
            "PROTECTWORK_RETIRE_WHEN_SUPERSEDED",
            "yes",
            "PROTECTWORK_RETIRE_WHEN_SUPERSEDED must be on or off, got 'yes'",
        ),
        ("PROTECTWORK_STATE_DIR", "tmp", "PROTECTWORK_STATE_DIR must be an absolute path, got 'tmp'"),
        (
            "PROTECTWORK_ALLOW_ENDPOINT",
            "agent,10.0.0/8",
            "PROTECTWORK_ALLOW_ENDPOINT must be host names, addresses or networks such as 10.0.0.0/8, got '10.0.0/8'",
        ),
    ],
)
def test_a_bad_variable_is_named_with_its_rule_and_value(variable, text, message):
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({variable: text})
    assert str(caught.value) == message
    assert caught.value.setting == variable


def test_an_argument_wins_over_the_environment_which_is_not_even_looked_at():
    environ = {"PROTECTWORK_LEASE": "nonsense", "PROTECTWORK_LINGER": "5"}
    settings = Settings.from_env(environ, lease=timedelta(hours=1), linger=None)
    assert (settings.lease_s, settings.linger_s) == (3600.0, 5.0)


def test_a_false_or_zero_argument_wins_too():
    environ = {"PROTECTWORK_RETIRE_WHEN_SUPERSEDED": "on", "PROTECTWORK_LINGER": "5"}
    settings = Settings.from_env(environ, retire_when_superseded=False, linger=0)
    assert (settings.retire_when_superseded, settings.linger_s) == (False, 0.0)


def test_a_bad_argument_is_named_as_the_user_wrote_it():
    with pytest.raises(SettingsError, match=r"^lease must be "):
        Settings.from_env({"PROTECTWORK_LEASE": "2h"}, lease=1)


def test_an_argument_that_is_no_setting_is_a_type_error():
    with pytest.raises(TypeError, match="leese"):
        Settings.from_env({}, leese=3600)


def test_a_variable_that_is_no_setting_is_told_with_the_one_that_may_be_meant():
    environ = {
        "PROTECTWORK_LEASE": "2h",
        "PROTECTWORK_LEESE": "2h",
        "PROTECTWORK_linger": "2h",
        "PROTECTWORK_FOO": "",
        "PROTECTWORK_": "",
        "PROTECTWORK": "",
        "PATH": "",
    }
    assert unknown_variables(environ) == (
        "PROTECTWORK_ is no setting",
        "PROTECTWORK_FOO is no setting",
        "PROTECTWORK_LEESE is no setting; did you mean PROTECTWORK_LEASE?",
        "PROTECTWORK_linger is no setting; did you mean PROTECTWORK_LINGER?",
    )


def test_an_unknown_variable_is_shown_cut_and_escaped():
    [message] = unknown_variables({"PROTECTWORK_\n" + "x" * 10_000: ""})
    assert message.isprintable()
    assert len(message) < 250
