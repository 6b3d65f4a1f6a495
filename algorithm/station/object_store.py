"""The objects that a station holds, so that they need not be sent again. Today: apps (FABs).

    generation      names this store: what a central sent under another name is not here
    <object id>     an object: its id is the SHA-256 of its content

All containers of a job share it. It is bounded: the objects that were not used for longest go
first. Each is checked whenever it is read. Standard library only: couriers start quickly.
"""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from proxy.errors import BundleError
from proxy.system import durable

# Flower builds no app of more than 10 MiB.
MAX_BYTES = 256 << 20
MAX_OBJECTS = 64
_GENERATION = "generation"
_OBJECT_ID = re.compile("[0-9a-f]{64}")
_NAME = re.compile("[0-9a-f]{32}")


class ObjectStore:
    """The objects in a folder.

    Parameters
    ----------
    folder : Path
        The folder; made when there is something to keep.
    max_bytes, max_objects : int
        How much is kept.
    """

    def __init__(
        self, folder: Path, max_bytes: int = MAX_BYTES, max_objects: int = MAX_OBJECTS
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_objects = max_objects

    def generation(self) -> str:
        """Return the name of the store, the same for all containers of the job.

        Raises
        ------
        OSError
            If it has none yet, and the folder cannot be written.
        """
        path = self._folder / _GENERATION
        while (name := _read(path)) is None or not _NAME.fullmatch(name):
            if name is not None:  # a crash left it
                path.unlink(missing_ok=True)
            durable.make_folder(self._folder)
            mine = path.with_name(os.urandom(16).hex())
            durable.write(mine, mine.name.encode())
            with suppress(FileExistsError):  # then another container was first
                os.link(mine, path)
            mine.unlink()
        return name

    def keep(self, object_id: str, content: bytes) -> Path:
        """Keep an object; returns where it is.

        Raises
        ------
        BundleError
            If it is not what its id says, or larger than all that is kept.
        OSError
            If the folder cannot be written.
        """
        if _sha256(content) != object_id:
            raise BundleError(f"Object {object_id} is not what its id says: it was altered.")
        if len(content) > self._max_bytes:
            raise BundleError(
                f"Object {object_id} has {len(content):,} bytes; a station keeps"
                f" {self._max_bytes:,} at most."
            )
        path = self._folder / object_id
        if self.get(object_id) is None:
            durable.make_folder(self._folder)
            self._make_room(len(content))
            durable.write(path, content)
        return path

    def get(self, object_id: str) -> bytes | None:
        """Return an object, if it is here and whole; a damaged one is removed."""
        if not _OBJECT_ID.fullmatch(object_id):
            return None
        path = self._folder / object_id
        try:
            content = path.read_bytes()
            if _sha256(content) == object_id:
                os.utime(path)  # it was used now
                return content
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass  # perhaps removed by another container, to make room
        return None

    def missing(self, object_ids: Iterable[str]) -> list[str]:
        """Return those of some objects that are not here."""
        return [object_id for object_id in object_ids if self.get(object_id) is None]

    def _make_room(self, size: int) -> None:
        """Remove the objects that were not used for longest, and what a crash left of others."""
        files = [
            (path, stat)
            for path in self._folder.iterdir()
            if path.name != _GENERATION and (stat := _stat(path)) is not None
        ]
        files.sort(key=lambda file: file[1].st_mtime_ns)
        number, total = len(files) + 1, sum(stat.st_size for _, stat in files) + size
        for path, stat in files:
            if number <= self._max_objects and total <= self._max_bytes:
                break
            path.unlink(missing_ok=True)
            number, total = number - 1, total - stat.st_size


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _sha256(content: bytes) -> str:
    import hashlib  # noqa: PLC0415 - takes some milliseconds, and a courier never needs it

    return hashlib.sha256(content).hexdigest()
