"""A file of records that only grows, and is whole whatever ends its writer.

Each line is a record: a CRC-32 in hex, a space, JSON, and a newline. The CRC is over the JSON of
all records up to that one, so none can be taken out, doubled or moved. The first names the format.
What a kill or a power cut leaves at the end of the file, a line that was begun, is cut off when the
file is opened: nothing hung on it yet. Any other damage is an error. A record that could not be
written whole is taken back, so that the next one does not stand behind half a line.

SQLite would do for the order of writes, but has no checksums over what it keeps, and a person
cannot read it with `less`.
"""

import errno
import json
import os
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proxy.errors import BridgeError
from proxy.system import durable

Record = Mapping[str, Any]

_FORMAT = "flower-v6 records"
_VERSION = 2
_CRC_BYTES = 8
_FAILED = "The disk failed earlier"


class DamagedRecords(BridgeError):
    """A file of records was altered, or is of a newer format; it names the place."""

    code = "damaged-records"


class Records:
    """The file, open for more. Safe to use from several threads, of one process at a time.

    Parameters
    ----------
    path : Path
        The file; made if it is missing.

    Attributes
    ----------
    before : list[Record]
        The records that it held when it was opened.

    Raises
    ------
    DamagedRecords
        If it is damaged elsewhere than at its end, or is no such file.
    OSError
        If it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self.before, self._end, self._crc = _read(path)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._broken = ""  # why no record can be added any more
        try:
            os.ftruncate(self._fd, self._end)
            if not self._end:
                self.append({"format": _FORMAT, "version": _VERSION})
                durable.sync(path.parent)
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, record: Record, sync: bool = True) -> None:
        """Add a record.

        Parameters
        ----------
        record : Mapping[str, Any]
            What JSON can say.
        sync : bool
            Whether it has to survive a power cut: then it is on the disk afterwards.

        Raises
        ------
        OSError
            If it cannot be written. The file is as before then. If that cannot be said, because
            the disk failed, no record can be added any more.
        """
        encoded = json.dumps(record, separators=(",", ":")).encode()
        with self._lock:
            crc = zlib.crc32(encoded, self._crc)
            line = b"%08x %s\n" % (crc, encoded)
            if self._broken:
                raise OSError(errno.EIO, self._broken, str(self.path))
            try:
                written = os.pwrite(self._fd, line, self._end)
                while written < len(line):
                    written += os.pwrite(self._fd, line[written:], self._end + written)
                self._end, self._crc = self._end + len(line), crc
            except BaseException as error:  # a signal's, too
                self._take_back()
                if isinstance(error, OSError):
                    error.filename = str(self.path)
                raise
            if sync:
                self._sync()

    def close(self) -> None:
        """Close the file; whoever adds a record later gets an OSError."""
        with self._lock:
            self._broken = "It is closed"
            os.close(self._fd)

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._fd, self._end)
        except OSError:
            self._broken = _FAILED

    def _sync(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            # What is on the disk now, nobody knows; a second attempt would not tell either.
            self._broken = _FAILED
            error.filename = str(self.path)
            raise


def read(path: Path) -> list[Record]:
    """Return the records in a file that somebody else may be writing; raises as `Records`."""
    return _read(path)[0]


def _read(path: Path) -> tuple[list[Record], int, int]:
    """Return the records in a file, where the last one ends, and the CRC-32 up to there."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], 0, 0
    records: list[Record] = []
    place = crc = 0
    while place < len(content):
        end = content.find(b"\n", place)
        line = content[place:] if end < 0 else content[place:end]
        encoded = line[_CRC_BYTES + 1 :]
        record = _record(line, crc)
        if end < 0 and _record(line[:-1], crc) is None:
            break  # a line that was begun
        if record is None and end == len(content) - 1 and b"\0" in line:
            break  # after a power cut a file may have its length, but not yet its bytes
        if record is None:
            raise DamagedRecords(
                f"{path} is damaged at byte {place}: a record there is not what was written.",
                "Restore the file, or begin with another folder.",
            )
        if not place and record != {"format": _FORMAT, "version": _VERSION}:
            raise DamagedRecords(
                f"{path} is no file of records in format {_VERSION}, but {str(record)[:80]}.",
                "Use the flower-v6 release that wrote it, or begin with another folder.",
            )
        records.append(record)
        place, crc = end + 1, zlib.crc32(encoded, crc)
    return records[1:], place, crc


def _record(line: bytes, before: int) -> Record | None:
    """Return the record in a line; None if it is not what was written after the one before."""
    encoded = line[_CRC_BYTES + 1 :]
    if line[: _CRC_BYTES + 1] != b"%08x " % zlib.crc32(encoded, before):
        return None
    try:
        record: Record = json.loads(encoded)
    except ValueError:  # the CRC-32 of an empty line is that of the line before
        return None
    return record
