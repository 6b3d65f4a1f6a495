"""What a power cut may leave of a file, at each moment."""

import os
import stat
from pathlib import Path

import pytest


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


def watched(path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Return the disk of a file, which is looked at whenever something is synced or renamed."""
    disk = Disk(path.parent, path.name)
    monkeypatch.setattr(os, "fsync", disk.sync)
    replace = Path.replace

    def renamed(path: Path, target: Path) -> Path:
        disk.look()
        moved = replace(path, target)
        disk.look()
        return moved

    monkeypatch.setattr(Path, "replace", renamed)
    return disk
