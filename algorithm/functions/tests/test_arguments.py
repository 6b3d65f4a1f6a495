"""The arguments of a task, as a researcher writes them: what makes sense, and what is told else."""

from typing import Any

import pytest

from algorithm.functions.arguments import Arguments
from proxy.calls import LONGEST_SECONDS, Lifetime, Mode
from proxy.errors import UsageError

KEYS = ["rounds", "optimizer.name"]


def refused(given: object, keys: list[str] | None = None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        Arguments.checked(given, KEYS if keys is None else keys)
    return caught.value


def test_without_arguments_all_have_their_defaults() -> None:
    assert Arguments.checked({}, KEYS) == Arguments(
        run_config={},
        organizations=(),
        supernodes=Lifetime.WARM,
        mode=Mode.BRIDGE,
        deadline=3600.0,
        idle_limit=0.0,
    )


def test_null_stands_for_the_default() -> None:
    names = ["run_config", "organizations", "supernodes", "mode", "deadline", "idle_limit"]
    assert Arguments.checked(dict.fromkeys(names), KEYS) == Arguments()


def test_arguments_that_make_sense_are_taken_as_they_are() -> None:
    given = {
        "run_config": {"rounds": 3, "optimizer.name": "sgd"},
        "organizations": ["Alpha", 2],
        "supernodes": "per-round",
        "mode": "bridge",
        "deadline": 60,
        "idle_limit": 0.5,
    }
    made = Arguments.checked(given, KEYS)
    assert {name: getattr(made, name) for name in given} == given


@pytest.mark.parametrize("value", [3, 0.5, True, "three", ""])
def test_a_run_config_may_have_any_plain_value(value: object) -> None:
    made = Arguments.checked({"run_config": {"rounds": value}}, KEYS)
    assert made.run_config == {"rounds": value}


@pytest.mark.parametrize("given", [None, [], "kwargs", 7])
def test_arguments_that_are_no_object_are_refused(given: object) -> None:
    assert "not a JSON object" in refused(given).message


def test_an_unknown_argument_is_refused_naming_those_that_there_are() -> None:
    error = refused({"round": 3})
    assert error.message == "The central function has no argument 'round'."
    assert error.hint == (
        "There are: run_config, organizations, supernodes, mode, deadline, idle_limit, dataframes."
    )


@pytest.mark.parametrize(
    ("given", "said", "allowed"),
    [
        ({"run_config": "rounds=3"}, "run_config cannot be 'rounds=3'", "a value for each key"),
        ({"run_config": []}, "run_config cannot be []", "a value for each key"),
        ({"run_config": {"rounds": None}}, "run_config['rounds'] cannot be None", "a number"),
        ({"run_config": {"rounds": [1]}}, "run_config['rounds'] cannot be [1]", "a string"),
        ({"organizations": "Alpha"}, "organizations cannot be 'Alpha'", "a list of ids or names"),
        ({"organizations": 1}, "organizations cannot be 1", "a list of ids or names"),
        ({"organizations": [None]}, "organizations cannot be [None]", "a list of ids or names"),
        ({"organizations": [True]}, "organizations cannot be [True]", "a list of ids or names"),
        ({"organizations": [1.5]}, "organizations cannot be [1.5]", "a list of ids or names"),
        ({"supernodes": "hot"}, "supernodes cannot be 'hot'", "warm, per-round"),
        ({"supernodes": ["warm"]}, "supernodes cannot be ['warm']", "warm, per-round"),
        ({"mode": "fast"}, "mode cannot be 'fast'", "bridge, direct"),
    ],
)
def test_a_value_that_an_argument_cannot_have_is_refused_saying_what_it_can(
    given: dict[str, Any], said: str, allowed: str
) -> None:
    error = refused(given)
    assert said in error.message
    assert allowed in error.hint


@pytest.mark.parametrize(
    "value", [0, -1, "60", True, float("inf"), float("nan"), 1e308, 10**400, [60]]
)
@pytest.mark.parametrize("name", ["deadline", "idle_limit"])
def test_a_duration_is_a_number_above_zero_and_no_longer_than_the_longest(
    name: str, value: object
) -> None:
    error = refused({name: value})
    assert f"{name} cannot be {value!r}" in error.message
    assert "a number of seconds above 0" in error.hint


def test_a_key_that_may_not_be_overridden_is_refused_naming_those_that_may() -> None:
    error = refused({"run_config": {"lr": 0.5}})
    assert error.message == "The app's run config has no key 'lr' to override."
    assert error.hint == "There are: rounds, optimizer.name."


def test_an_app_without_a_run_config_says_so() -> None:
    assert refused({"run_config": {"lr": 0.5}}, keys=[]).hint == "There are: none."


# How long a host stays


def test_a_host_stays_for_twice_the_deadline_of_a_message() -> None:
    assert Arguments.checked({"deadline": 60}, KEYS).host_idle_limit == 120.0


def test_no_host_stays_for_longer_than_the_longest() -> None:
    assert Arguments.checked({"deadline": LONGEST_SECONDS}, KEYS).host_idle_limit == LONGEST_SECONDS


def test_a_host_stays_for_as_long_as_was_asked_for() -> None:
    given = {"deadline": 60, "idle_limit": 30}
    assert Arguments.checked(given, KEYS).host_idle_limit == 30


def test_per_round_there_is_no_host() -> None:
    given = {"supernodes": "per-round", "idle_limit": 30}
    assert Arguments.checked(given, KEYS).host_idle_limit is None
