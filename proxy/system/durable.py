"""Files that are whole under their names, whenever the machine or a process stops.

A rename alone is not enough: after a power cut a file may be there by name and empty. So content
goes to the disk first, then the name. Standard library only: couriers start quickly.

What can be had again is written without it: instructions and `missing` answers (the central repeats
the message), bundles at a central without a journal (they end with its process), logs, files that
`fetch` brings home.
"""

import errno
import os
from pathlib import Path

# What a write says on a full disk, or where nothing more may be written.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def write(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file: afterwards, whatever happens, it is as it was before or has this content.

    Parameters
    ----------
    path : Path
        The file; what is there is replaced.
    content : bytes
        All that is in it afterwards.
    mode : int
        Who may read and write it, less the umask.

    Raises
    ------
    OSError
        If it cannot be written, here and below. The file is as before then.
    """
    part = path.with_name(f"{path.name}.{os.urandom(16).hex()}.part")
    try:
        part.touch(mode, exist_ok=False)
        part.write_bytes(content)
        publish(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        error.filename = str(path)  # nobody knows the other one
        raise


def publish(part: Path, path: Path) -> None:
    """Give a complete file, which nobody writes to any more, its name in the same folder."""
    sync(part)
    part.replace(path)
    sync(path.parent)


def mark(path: Path) -> None:
    """Make an empty file that says something by being there; it stays."""
    path.touch()
    sync(path.parent)  # it has no content that could be lost


def remove(path: Path) -> None:
    """Remove a file, if it is there, for good."""
    path.unlink(missing_ok=True)
    sync(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder, with those above it, unless it is there."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
    # Also if it is there: whoever made it may have been killed before it came to this.
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file's content, or what a folder has in it, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot do this for a folder.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
