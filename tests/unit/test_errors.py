"""Errors: one tree, facts in fields, the same after a trip to another process."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from protectwork import _errors
from protectwork._errors import (
    HoldError,
    MetadataError,
    ProtectionRefusedError,
    ProtectionUnavailableError,
    ProtectworkError,
    SettingsError,
    UnprotectedError,
)

ERRORS = [
    (
        SettingsError(setting="lease", rule="from 1 min to 48 h", value="3 s"),
        "lease must be from 1 min to 48 h, got 3 s",
    ),
    (
        SettingsError(setting="ECS_AGENT_URI", rule="set", value="nothing", remedy="ask ECS"),
        "ECS_AGENT_URI must be set, got nothing; ask ECS",
    ),
    (
        HoldError(label="batch-17"),
        "the hold 'batch-17' is already in flight; call protect() once for each unit of work",
    ),
    (
        MetadataError(reason="HTTP 404", detail="no such id"),
        (
            "the task's metadata cannot be read: HTTP 404 (no such id); "
            "look at ECS_CONTAINER_METADATA_URI_V4, which must be as ECS set it"
        ),
    ),
    (
        ProtectionRefusedError(label="export", reason="DEPLOYMENT_BLOCKED", detail="why"),
        "'export' was not started: the task is not protected: DEPLOYMENT_BLOCKED (why)",
    ),
    (
        ProtectionUnavailableError(label="export", reason="no connection"),
        "'export' was not started: the task is not protected: no connection",
    ),
]


@pytest.mark.parametrize(("error", "text"), ERRORS)
def test_an_error_says_its_facts(error, text):
    assert str(error) == text


@pytest.mark.parametrize("error", [error for error, _ in ERRORS])
@pytest.mark.parametrize("travel", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_an_error_survives_pickling_and_copying_whole(error, travel):
    arrived = travel(error)
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)


def test_a_settings_error_is_a_value_error_and_keeps_its_facts():
    error = SettingsError(setting="lease", rule="long", value="3 s", remedy="wait")
    assert isinstance(error, ValueError)
    assert (error.setting, error.rule, error.value, error.remedy) == ("lease", "long", "3 s", "wait")


def test_a_hold_error_is_a_runtime_error():
    assert isinstance(HoldError(label="x"), RuntimeError)


def test_an_unprotected_error_keeps_its_facts_whatever_the_cause():
    for kind in (ProtectionRefusedError, ProtectionUnavailableError):
        error = kind(label="x", reason="MISSING", detail=None)
        assert isinstance(error, UnprotectedError)
        assert (error.label, error.reason, error.detail) == ("x", "MISSING", None)


def test_every_error_is_in_the_one_tree_and_drawn_at_the_head_of_the_file():
    errors = [cls for _, cls in inspect.getmembers(_errors, inspect.isclass) if issubclass(cls, Exception)]
    assert {cls.__name__ for cls in errors} == set(_errors.__all__)
    assert all(issubclass(cls, ProtectworkError) for cls in errors)
    assert all(cls.__name__ in (_errors.__doc__ or "") for cls in errors)
