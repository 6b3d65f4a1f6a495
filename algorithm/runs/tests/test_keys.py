"""The command flower-v6 keys: names, files, and what it tells to do with them."""

import shlex
from pathlib import Path

import pytest

from algorithm.flower.environment import Flower
from algorithm.runs.keys import keys_for
from algorithm.tests.fake_flower import make_flower
from proxy.errors import FlowerError, UsageError
from proxy.transport.identity import Identity, key_paths, make_keys


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


def test_a_key_is_never_overwritten_but_one_that_was_never_written_is_made(tmp_path: Path) -> None:
    (tmp_path / "north").touch()  # as a kill or a full disk may leave it
    make_keys(tmp_path, ["north"])
    Identity(tmp_path / "north").close()
    with pytest.raises(UsageError, match="a key is never overwritten"):
        make_keys(tmp_path, ["north"])


@pytest.mark.parametrize("names", [[""], ["north", "north"], ["0"], ["9" * 5000]])
def test_what_cannot_be_names_is_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(UsageError):
        keys_for(names, tmp_path / "keys", flower(tmp_path, "1.41.0"))
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("../north", "a/b", "/etc/passwd", ".", "..", ".ssh", "a.pub", "a.node", "x" * 300),
        *("ü" * 150, "nul\0", "new\nline", "-rf ", "a\x1b[1m", "*"),
    ],
)
def test_whatever_a_station_is_called_its_key_is_a_file_in_the_folder(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "keys"
    (command,) = keys_for([name], folder, flower(tmp_path, "1.41.0"))
    (key,) = key_paths(folder, [name])
    Identity(key).close()
    assert key.parent == folder
    assert key.name.isprintable()
    assert {path.parent for path in tmp_path.rglob(f"{key.name}*")} == {folder}
    assert shlex.split(command)[-2] == f"{key}.pub"


@pytest.mark.parametrize("name", ["north", "Hospital North", "station-1", "Zürich (UZH)", "a.b"])
def test_a_name_that_is_safe_is_the_files_own(tmp_path: Path, name: str) -> None:
    assert key_paths(tmp_path, [name]) == [tmp_path / name]


def test_names_that_differ_by_case_have_files_that_differ_by_more(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    keys_for(["North"], folder, flower(tmp_path, "1.41.0"))
    keys_for(["north", "other"], folder, flower(tmp_path, "1.26.1"))
    made = {path.name.casefold() for path in key_paths(folder, ["North", "north", "other"])}
    assert len(made) == 3
    for order in (["North", "north"], ["north", "North"]):
        for path in key_paths(folder, order):
            Identity(path).close()
    assert key_paths(folder, ["North"]) == [folder / "North"]


@pytest.mark.parametrize("suffix", [".pub", ".node", ".message", ".lock", ".Lock"])
def test_no_key_takes_the_place_of_what_is_kept_beside_another(tmp_path: Path, suffix: str) -> None:
    key, other = key_paths(tmp_path, ["north", f"north{suffix}"])
    assert not other.name.casefold().startswith(f"{key.name}.")
