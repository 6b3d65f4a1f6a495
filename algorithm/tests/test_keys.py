"""The command flower-v6 keys: names, files, and what it tells to do with them."""

import shlex
from pathlib import Path

import pytest

from algorithm.flower import Flower
from algorithm.keys import keys_for
from algorithm.tests.fake_flower import make_flower
from proxy.errors import FlowerError, UsageError
from proxy.fleet.identity import Identity


def flower(folder: Path, release: str) -> Flower:
    return Flower(make_flower(folder / release, release))


def test_a_number_makes_keys_for_the_stations_that_attach_numbers(tmp_path: Path) -> None:
    keys_for(["2"], tmp_path / "keys", flower(tmp_path, "1.41.0"))
    for name in ("station-1", "station-2"):
        Identity(tmp_path / "keys" / name).close()


def test_names_make_keys_of_these_names(tmp_path: Path) -> None:
    keys_for(["north", "the south"], tmp_path / "keys", flower(tmp_path, "1.41.0"))
    for name in ("north", "the south"):
        Identity(tmp_path / "keys" / name).close()


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ("1.23.0", ["flwr", "supernode", "register", "{key}", "APP", "SUPERLINK"]),
        ("1.25.0", ["flwr", "supernode", "register", "{key}", "APP", "SUPERLINK"]),
        ("1.26.1", ["flwr", "supernode", "register", "{key}", "SUPERLINK"]),
        ("1.41.0", ["flwr", "supernode", "register", "{key}", "SUPERLINK"]),
    ],
)
def test_the_commands_that_register_them_are_those_of_the_release(
    tmp_path: Path, release: str, command: list[str]
) -> None:
    folder = tmp_path / "the keys"
    (said,) = keys_for(["north"], folder, flower(tmp_path, release))
    key = str(folder / "north.pub")
    assert shlex.split(said) == [part.format(key=key) for part in command]


def test_a_release_that_cannot_register_supernodes_is_said_and_no_key_is_made(
    tmp_path: Path,
) -> None:
    with pytest.raises(FlowerError, match=r"1\.22\.0") as caught:
        keys_for(["north"], tmp_path / "keys", flower(tmp_path, "1.22.0"))
    assert "1.23" in caught.value.hint
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("names", [["../north"], ["a/b"], [""], ["north", "north"]])
def test_what_cannot_be_names_is_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(UsageError):
        keys_for(names, tmp_path / "keys", flower(tmp_path, "1.41.0"))
    assert not (tmp_path / "keys").exists()
