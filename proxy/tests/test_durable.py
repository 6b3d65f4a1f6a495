"""A file is there in full or not at all."""

from pathlib import Path

import pytest

from proxy.durable import read_or_nothing, write_durably


def test_a_file_that_could_not_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_durably(file, b"before")
    (tmp_path / "file.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_durably(file, b"after")
    assert file.read_bytes() == b"before"


def test_a_file_takes_the_place_of_the_one_before_and_leaves_nothing_else(tmp_path: Path) -> None:
    for content in (b"before", b"after"):
        write_durably(tmp_path / "file", content)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"file": b"after"}


def test_no_file_holds_nothing(tmp_path: Path) -> None:
    assert read_or_nothing(tmp_path / "file") == b""
