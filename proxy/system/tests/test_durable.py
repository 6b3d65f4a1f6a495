"""What a power cut leaves of a file: all of it or what was there before, at whatever moment."""

import os
import stat
from pathlib import Path

import pytest

from proxy.system import durable
from proxy.system.tests.power_cuts import Disk, watched

OLD, NEW = b"what was there", b"what is to be there" * 1000


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return watched(tmp_path / "file", monkeypatch)


def test_a_new_file_is_there_in_full_or_not_at_all(disk: Disk) -> None:
    durable.write(disk.path, NEW)
    assert set(disk.left) == {None, NEW}
    assert disk.surely() == NEW


def test_a_file_that_is_replaced_is_the_old_one_or_the_new_one(disk: Disk) -> None:
    durable.write(disk.path, OLD)
    disk.left.clear()
    durable.write(disk.path, NEW)
    assert set(disk.left) == {OLD, NEW}
    assert disk.surely() == NEW


def test_a_file_that_others_wrote_is_published_in_full_or_not_at_all(disk: Disk) -> None:
    part = disk.path.with_suffix(".part")
    part.write_bytes(NEW)
    durable.publish(part, disk.path)
    assert set(disk.left) == {None, NEW}
    assert disk.surely() == NEW
    assert not part.exists()


def test_a_mark_stays(disk: Disk) -> None:
    durable.mark(disk.path)
    assert disk.surely() == b""
    durable.mark(disk.path)
    assert disk.surely() == b""


def test_a_folder_stays(disk: Disk) -> None:
    durable.make_folder(disk.path / "in it")
    assert disk.surely() is not None
    durable.make_folder(disk.path / "in it")


def test_a_folder_that_was_made_by_somebody_who_was_killed_stays(disk: Disk) -> None:
    disk.path.mkdir()
    durable.make_folder(disk.path)
    assert disk.surely() is not None


def test_what_cannot_be_written_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    path = tmp_path / "file"
    path.write_bytes(OLD)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        durable.write(path, NEW)
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_only_its_owner_may_read_is_never_anything_else(tmp_path: Path) -> None:
    durable.write(tmp_path / "file", NEW, mode=0o600)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
