"""Files that are there in full or not at all, whenever the process or the machine dies."""

import os
from pathlib import Path


def write_durably(path: Path, content: bytes) -> None:
    """Write a whole file; until it is on the disk, the one before stays.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_or_nothing(path: Path) -> bytes:
    """Return a file's content; nothing if there is no such file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
