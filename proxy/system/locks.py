"""Locks between processes: files that one of them holds, whatever ends it.

Process ids mean nothing across containers, and a lock is let go when its process ends, so a crash
leaves none behind. Standard library only: couriers start quickly.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


def try_lock(path: Path) -> TextIO | None:
    """Lock a file, which is made if it is missing; None if somebody else holds the lock.

    The lock is held until what is returned is closed.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until nobody else holds the lock, then hold it; raises as `try_lock`."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Wait until nobody holds the lock alone, then hold it with others; raises as `try_lock`."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield
