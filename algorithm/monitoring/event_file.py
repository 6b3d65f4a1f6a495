"""Writes `events.jsonl` as things happen."""

import errno
import fcntl
import logging
import os
import threading
from pathlib import Path

from algorithm.monitoring.entries import FILE, Entry
from proxy.errors import AppError, UsageError

log = logging.getLogger(__name__)


class EventFile:
    """An `events.jsonl`, open for one writer.

    Each line is with the system before `write` returns, so a kill of the process loses none; only a
    power cut may. A disk that is full does no harm: what cannot be written is missing, which is
    said once.

    Parameters
    ----------
    folder : Path
        An existing folder.
    anew : bool
        Whether the first entry takes the place of all that is there; else it is added to that.

    Raises
    ------
    UsageError
        If another command is writing it.
    AppError
        If it cannot be written.
    """

    def __init__(self, folder: Path, anew: bool) -> None:
        self._path = folder / FILE
        self._writing = threading.Lock()
        self._failed = False
        self._anew = anew
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o666)
        except OSError as error:
            raise AppError(f"{self._path} cannot be written: {error.strerror}.") from error
        try:
            self._claim()
            self._torn = not self._ends_with_a_line()
        except BaseException:
            os.close(self._descriptor)
            raise

    def write(self, entry: Entry) -> None:
        """Add an entry."""
        with self._writing:
            try:
                if self._anew:
                    os.truncate(self._descriptor, 0)
                    self._anew = self._torn = False
                # What was torn, by a kill or a full disk, must not tear this line too.
                line = self._torn * b"\n" + entry.text().encode() + b"\n"
                self._torn = os.write(self._descriptor, line) != len(line)
            except OSError as error:
                self._say(error.strerror)
            else:
                if self._torn:
                    self._say(os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _claim(self) -> None:
        """Keep others from writing it, where the file system can do that."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"Another flower-v6 is writing {self._path}.", "Name another folder as --output."
            ) from None
        except OSError as error:
            log.debug("%s cannot be locked: %s", self._path, error)

    def _ends_with_a_line(self) -> bool:
        size = os.fstat(self._descriptor).st_size
        return not size or os.pread(self._descriptor, 1, size - 1) == b"\n"

    def _say(self, reason: str | None) -> None:
        if not self._failed:
            log.warning("%s lacks events from here on: %s", self._path, reason)
        self._failed = True
