"""Configs hold what Flower has a form for, and reach it as they were meant."""

import math
from pathlib import Path

import pytest

from algorithm.flower.node_config import check_keys, node_config, pairs, parsed, run_config
from proxy.errors import UsageError
from proxy.vantage6.container import Container, Database

PYPROJECT = """
[tool.flwr.app.config]
rounds = 3
optimizer.name = "sgd"
"""


@pytest.mark.parametrize(
    "value", ["[1, 2]", "1979-05-27", "07:32:00", "9223372036854775808", "-9223372036854775809"]
)
def test_a_value_that_flower_has_no_form_for_is_refused_by_its_key(value: str) -> None:
    pair = f"some-key={value.replace(' ', '')}"
    with pytest.raises(UsageError, match="node config has some-key="):
        parsed(pair, "node config")
    with pytest.raises(UsageError, match="run config has some-key="):
        run_config([pair])
    with pytest.raises(UsageError, match="node config has some-key="):
        node_config(pair, Container(Path(), Path(), Path()))


def test_a_table_takes_the_place_of_that_in_an_option_before_as_in_flower() -> None:
    assert run_config(["opt.lr=1.0 rounds=3", "opt.mom=2.0"]) == {"opt.mom": 2.0, "rounds": 3}


def test_a_file_is_held_to_the_same(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("some-key = [1]")
    with pytest.raises(UsageError, match="run config has some-key="):
        run_config([str(file)])


@pytest.mark.parametrize(
    "value",
    [True, 0, -(1 << 63), (1 << 63) - 1, 0.1, 1e300, math.inf, -math.inf, "", "é 'a' \"b\""],
)
def test_values_come_back_from_pairs_as_they_were(value: bool | int | float | str) -> None:
    (found,) = parsed(pairs({"key": value}), "run config").values()
    assert (type(found), found) == (type(value), value)


def test_nan_comes_back_as_nan() -> None:
    assert math.isnan(parsed(pairs({"key": math.nan}), "run config")["key"])


@pytest.mark.parametrize("label", ["default", "données", "a b", "a=b", "a.b", 'a"b', "a..b"])
def test_any_label_of_a_database_is_a_key(label: str) -> None:
    container = Container(Path(), Path(), Path(), databases={label: Database("/data.csv", "csv")})
    found = parsed(node_config("partition-id=0", container), "node config")
    assert found[f"database-{label}-uri"] == "/data.csv"


def test_a_key_that_the_app_does_not_declare_is_refused_with_those_that_it_does(
    tmp_path: Path,
) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    check_keys({"rounds": 4, "optimizer.name": "adam"}, tmp_path)
    for key in ("unknown", "optimizer", "rounds.a"):
        with pytest.raises(UsageError, match=f"no key '{key}'") as caught:
            check_keys({key: 1}, tmp_path)
        assert caught.value.hint == "There are: rounds, optimizer.name."


def test_keys_of_what_is_no_app_are_its_builds_business(tmp_path: Path) -> None:
    check_keys({"unknown": 1}, tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool]\nflwr = 1")
    check_keys({"unknown": 1}, tmp_path)
