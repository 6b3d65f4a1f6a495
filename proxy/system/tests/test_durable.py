"""What a power cut leaves of a file: all of it or what was there before, at whatever moment."""

import os
import stat
from pathlib import Path

import pytest

from proxy.system import durable

OLD, NEW = b"what was there", b"what is to be there" * 1000


class Disk:
    """A folder, and what of it is on the disk for sure.

    Without a sync, a file's content may be lost, and so may a name, or its change: or not.

    Attributes
    ----------
    left : list[bytes | None]
        What a power cut at some moment might leave under the name of the file; None for nothing.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name
        self.left: list[bytes | None] = []
        self._contents: dict[int, bytes] = {}
        self._names: dict[str, int] = {}

    def sync(self, descriptor: int) -> None:
        """Take the place of `os.fsync`."""
        self.look()
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self._names = self._now()
        else:
            content = Path(f"/proc/self/fd/{descriptor}").read_bytes()
            self._contents[os.fstat(descriptor).st_ino] = content
        self.look()

    def look(self) -> None:
        """Note what a power cut now might leave."""
        for names in (self._names, self._now()):
            inode = names.get(self.path.name)
            self.left.append(None if inode is None else self._contents.get(inode, b""))

    def surely(self) -> bytes | None:
        """Return what is left of the file if nothing but what was synced survives."""
        inode = self._names.get(self.path.name)
        return None if inode is None else self._contents.get(inode, b"")

    def _now(self) -> dict[str, int]:
        return {each.name: each.stat().st_ino for each in self.path.parent.iterdir()}


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(tmp_path, "file")
    monkeypatch.setattr(os, "fsync", disk.sync)
    replace = Path.replace

    def renamed(path: Path, target: Path) -> Path:
        disk.look()
        moved = replace(path, target)
        disk.look()
        return moved

    monkeypatch.setattr(Path, "replace", renamed)
    return disk


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
