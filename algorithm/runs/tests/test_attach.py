"""The stations that a command line asks for, and the node config that their ClientApps find."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm.flower.node_config import node_config
from algorithm.runs.stations import local_stations
from proxy.errors import UsageError
from proxy.platforms import VANTAGE6_4
from proxy.vantage6.container import Container, Database


def as_flower_reads(config: str) -> dict[str, object]:
    """Read a node config as flwr 1.41 does (`parse_config_args`, flwr/common/config.py)."""
    pairs = re.findall(r"""(\S+?)=('[^']*'|"[^"]*"|\S+)""", config)
    return tomllib.loads("\n".join(f"{key} = {value}" for key, value in pairs))


def container(**uris: str) -> Container:
    databases = {label: Database(uri, "csv") for label, uri in uris.items()}
    return Container(Path("in"), Path("out"), Path("tmp"), databases)


# Stations


def test_stations_are_numbered_and_so_are_their_partitions() -> None:
    stations = local_stations(3, [])
    assert [station.name for station in stations] == ["station-1", "station-2", "station-3"]
    assert [as_flower_reads(station.node_config) for station in stations] == [
        {"partition-id": 0, "num-partitions": 3},
        {"partition-id": 1, "num-partitions": 3},
        {"partition-id": 2, "num-partitions": 3},
    ]


def test_each_station_gets_the_node_config_that_was_given_for_it() -> None:
    stations = local_stations(2, ["device='gpu 0' speed=1.5", 'on=true name="north"'])
    assert [as_flower_reads(station.node_config) for station in stations] == [
        {"device": "gpu 0", "speed": 1.5, "partition-id": 0, "num-partitions": 2},
        {"on": True, "name": "north", "partition-id": 1, "num-partitions": 2},
    ]


def test_what_was_given_is_not_overridden() -> None:
    (station,) = local_stations(1, ["partition-id=7 num-partitions=10"])
    assert as_flower_reads(station.node_config) == {"partition-id": 7, "num-partitions": 10}


def test_a_value_that_mentions_a_key_does_not_count_as_it() -> None:
    (station,) = local_stations(1, ["note='partition-id=7'"])
    assert as_flower_reads(station.node_config) == {
        "note": "partition-id=7",
        "partition-id": 0,
        "num-partitions": 1,
    }


def test_a_config_may_be_a_file_so_that_no_command_line_shows_it(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text('password = "it\'s secret"\n[table]\nage = 3\n')
    (station,) = local_stations(1, [str(file)])
    assert as_flower_reads(station.node_config) == {
        **{"password": "it's secret", "table": {"age": 3}},
        **{"partition-id": 0, "num-partitions": 1},
    }


@pytest.mark.parametrize("content", [None, "password = ", "\udcff"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "station.toml"
    if content is not None:
        file.write_text(content, errors="surrogateescape")
    with pytest.raises(UsageError, match=r"node config .*station\.toml cannot be read"):
        local_stations(1, [str(file)])


@pytest.mark.parametrize("given_configs", [["a=1"], ["a=1", "b=2", "c=3"]])
def test_as_many_node_configs_as_stations_are_needed(given_configs: list[str]) -> None:
    with pytest.raises(UsageError, match=f"2 stations but {len(given_configs)} node configs"):
        local_stations(2, given_configs)


@pytest.mark.parametrize(
    "config",
    ["device=gpu", "a=1 a=2", "a=", "device", "a=1 b", "a='1", '"a b"=1', "=", "a=1, b=2"],
)
def test_a_node_config_that_flower_would_not_understand_is_refused(config: str) -> None:
    with pytest.raises(UsageError) as caught:
        local_stations(1, [config])
    assert repr(config) in caught.value.message


# Databases in the node config


def test_the_first_database_is_the_default_one_and_each_has_its_label() -> None:
    config = node_config("partition-id=0", container(scans="/data/scans", labs="/data/labs"))
    assert as_flower_reads(config) == {
        "partition-id": 0,
        "database-uri": "/data/scans",
        "database-type": "csv",
        "database-scans-uri": "/data/scans",
        "database-scans-type": "csv",
        "database-labs-uri": "/data/labs",
        "database-labs-type": "csv",
    }


@pytest.mark.parametrize("given_config", ["", "a=1"])
def test_without_databases_a_node_config_stays_as_it_was(given_config: str) -> None:
    assert node_config(given_config, container()) == given_config


@pytest.mark.parametrize(
    "uri",
    [
        "/data/my scans.csv",
        "C:\\data\\scans",
        "/daten/größe.csv",
        "/data/it's.csv",
        '/data/the "new" scans.csv',
        "/data/\U0001f34e.csv",
        "postgresql://user:p=w@host/db?x=1",
    ],
)
def test_a_clientapp_finds_the_uri_of_its_database_as_the_owner_wrote_it(uri: str) -> None:
    assert as_flower_reads(node_config("", container(default=uri)))["database-uri"] == uri


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])))
def test_any_uri_survives(uri: str) -> None:
    assert as_flower_reads(node_config("", container(default=uri)))["database-uri"] == uri


# What a central may say


def from_central(config: str) -> str:
    return node_config(config, Container(Path("in"), Path("out"), Path("tmp"), platform=VANTAGE6_4))


def test_a_central_says_which_partition_a_station_is() -> None:
    config = "partition-id=1 num-partitions=3"
    assert from_central(config) == config


@pytest.mark.parametrize(
    "config",
    [
        'partition-id="../../mnt/data"',
        "partition-id=-1",
        "partition-id=1.5",
        "partition-id=true",
        "num-partitions=9223372036854775808",
        "partition-id=[1]",
        "partition-id=1 data='/mnt/data'",
        "partition-id.x=1",
    ],
)
def test_whatever_else_a_central_says_is_refused(config: str) -> None:
    with pytest.raises(UsageError):
        from_central(config)
