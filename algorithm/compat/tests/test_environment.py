"""Environments of releases are made in folders of ours, and nothing else is cleared for them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from algorithm.compat.environment import environment
from proxy.errors import FlowerError


def linked(folder: Path, data: Path) -> None:
    folder.symlink_to(data.parent)


def filled(folder: Path, data: Path) -> None:
    folder.mkdir()
    data.rename(folder / data.name)


@pytest.mark.parametrize("make", [linked, filled])
def test_a_folder_that_is_not_ours_is_not_cleared(
    tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    data = tmp_path / "mine" / "data.csv"
    data.parent.mkdir()
    data.write_text("years of work")
    folder = tmp_path / "cache" / "1.41.0"
    folder.parent.mkdir()
    make(folder, data)
    with pytest.raises(FlowerError, match="not a Python environment that flower-v6 made"):
        environment("1.41.0", folder.parent)
    assert (folder / "data.csv").read_text() == "years of work"


def test_an_environment_that_is_complete_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "1.41.0").mkdir()
    (tmp_path / "1.41.0" / "installed").touch()
    assert environment("1.41.0", tmp_path) == tmp_path / "1.41.0"
