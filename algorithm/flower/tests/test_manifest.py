"""What an image says of its app, and how an app (FAB) from anybody is read."""

import hashlib
import json
import tracemalloc
import warnings
import zipfile
from contextlib import suppress
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm.flower.app import build
from algorithm.flower.environment import Flower
from algorithm.flower.manifest import Manifest, file_hashes
from algorithm.tests.fabs import FAB, MANIFEST, PYPROJECT, make_fab
from algorithm.tests.fake_flower import make_app, make_flower
from proxy.errors import AppError


def test_a_manifest_names_the_app_its_files_and_what_a_run_may_override() -> None:
    assert (MANIFEST.publisher, MANIFEST.name, MANIFEST.version) == ("me", "app", "1.0")
    assert MANIFEST.fab_sha256 == hashlib.sha256(FAB).hexdigest()
    assert MANIFEST.files["app/client.py"] == hashlib.sha256(b"train()").hexdigest()
    assert MANIFEST.run_config_keys == ["optimizer.name", "optimizer.rate", "rounds"]


def test_an_app_without_a_run_config_lets_a_run_override_nothing() -> None:
    pyproject = '[project]\nname="a"\nversion="1"\n[tool.flwr.app]\npublisher="me"'
    assert Manifest.of_fab(make_fab({"pyproject.toml": pyproject})).run_config_keys == []


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    MANIFEST.write(tmp_path / "manifest.json")
    assert Manifest.read(tmp_path / "manifest.json") == MANIFEST


@pytest.mark.parametrize("content", [None, "", "[]", '{"name": "app"}'])
def test_a_manifest_that_cannot_be_read_is_an_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(AppError, match="flower-v6 image"):
        Manifest.read(tmp_path / "manifest.json")


def test_an_app_is_what_flower_builds_of_it(tmp_path: Path) -> None:
    (tmp_path / "a.fab").write_bytes(FAB)
    flower = make_flower(tmp_path / "flower", build=f'cp "{tmp_path}/a.fab" .')
    assert build(make_app(tmp_path / "app"), Flower(flower)) == FAB


def test_an_app_that_flower_does_not_build_is_an_error_in_flowers_words(tmp_path: Path) -> None:
    flower = make_flower(tmp_path / "flower", build="echo no publisher; exit 1")
    with pytest.raises(AppError, match="no publisher"):
        build(make_app(tmp_path / "app"), Flower(flower))


# Apps from anybody


def test_the_list_that_flower_adds_is_not_a_file_of_the_app() -> None:
    assert file_hashes(make_fab({".info/CONTENT": "x"})) == MANIFEST.files


@given(st.binary(max_size=300))
def test_bytes_that_are_no_app_are_refused(fab: bytes) -> None:
    with pytest.raises(AppError):
        file_hashes(fab)


@given(st.integers(0, len(FAB) - 1), st.integers(1, 255), st.booleans())
def test_a_damaged_app_is_read_or_refused(place: int, change: int, cut: bool) -> None:
    damaged = bytearray(FAB)
    damaged[place] ^= change
    with suppress(AppError):  # any other exception is a failure
        Manifest.of_fab(bytes(damaged[: place if cut else None]))


@pytest.mark.parametrize(
    "name",
    [
        *("../pyproject.toml", "./pyproject.toml", "app/../pyproject.toml", "/pyproject.toml"),
        *("//pyproject.toml", "app//client.py", "app\\client.py", "a.py\0b", ".", "..", "app/"),
    ],
)
def test_a_file_that_would_be_unpacked_elsewhere_than_it_says_is_refused(name: str) -> None:
    fab = renamed(make_fab({"x" * len(name): "config"}), "x" * len(name), name)
    for read in (Manifest.of_fab, file_hashes):
        with pytest.raises(AppError, match="unsafe name"):
            read(fab)


@pytest.mark.parametrize(
    "name", ["pyproject.toml", "PyProject.toml", "app/Client.py", "app/client.py"]
)
def test_a_file_that_would_be_unpacked_over_another_is_refused(name: str) -> None:
    fab = renamed(make_fab({"x" * len(name): "config"}), "x" * len(name), name)
    for read in (Manifest.of_fab, file_hashes):
        with pytest.raises(AppError, match="a file twice"):
            read(fab)


def renamed(fab: bytes, old: str, new: str) -> bytes:
    """Name a file in an archive as `zipfile` itself would not."""
    assert fab.count(old.encode()) == 2
    return fab.replace(old.encode(), new.encode())


def test_an_app_that_expands_without_end_is_refused() -> None:
    bomb = make_fab({f"{number}.json": "0" * (2 << 20) for number in range(14)})
    assert len(bomb) < 1 << 17
    with pytest.raises(AppError, match="too large when it is unpacked"):
        file_hashes(bomb)


def test_an_app_whose_description_is_enormous_is_refused() -> None:
    with pytest.raises(AppError, match="too large when it is unpacked"):
        Manifest.of_fab(make_fab({"pyproject.toml": "#" * (2 << 20)}))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_app_that_is_compressed_as_flower_never_does_is_refused(compression: int) -> None:
    with pytest.raises(AppError, match="Flower does not use"):
        file_hashes(make_fab(compression=compression))


def test_an_app_with_too_many_files_is_refused() -> None:
    with pytest.raises(AppError, match="too many files"):
        file_hashes(make_fab({f"{number}.py": "" for number in range(10_001)}))


def test_an_app_that_is_larger_than_any_is_refused() -> None:
    with pytest.raises(AppError, match="the limit is"):
        file_hashes(bytes((10 << 20) + 1))


DOTTED = "a." * 60_000 + "a = 1"
LONG_ABOVE_MANY = f"[tool.flwr.app.config.{'a' * 100_000}]\n" + "\n".join(
    f"k{number} = 1" for number in range(5000)
)


@pytest.mark.parametrize("text", [DOTTED, f"{PYPROJECT}\n{LONG_ABOVE_MANY}", "a = " + "[" * 10_000])
def test_an_app_whose_description_takes_gigabytes_to_read_is_refused(text: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(AppError):
            Manifest.of_fab(make_fab({"pyproject.toml": text}))
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_an_app_that_has_a_file_twice_is_refused() -> None:
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as archive, warnings.catch_warnings(action="ignore"):
        for content in (PYPROJECT, "something else"):
            archive.writestr(zipfile.ZipInfo("pyproject.toml"), content)
    with pytest.raises(AppError, match=r"a file twice: 'pyproject\.toml'"):
        file_hashes(target.getvalue())


@pytest.mark.parametrize("changed", [{"files": []}, {"files": {"a": 1}}, {"name": {}}, {"x": 1}])
def test_a_manifest_that_does_not_describe_an_app_is_an_error(
    tmp_path: Path, changed: dict[str, object]
) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({**asdict(MANIFEST), **changed}))
    with pytest.raises(AppError, match="flower-v6 image"):
        Manifest.read(tmp_path / "manifest.json")
