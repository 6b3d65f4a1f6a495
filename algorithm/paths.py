"""Paths as a user writes them."""

from pathlib import Path

from proxy.errors import UsageError


def expanded(path: str | Path) -> Path:
    """Return a path with `~` and `~user` replaced.

    Raises
    ------
    UsageError
        If there is no such user, or it is not known where the home folder is.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"The path {str(path)!r} names a home folder that does not exist.",
            "Give the full path.",
        ) from error


def check_folder(path: Path) -> None:
    """Refuse a path to write files to that is there, but is no folder.

    Raises
    ------
    UsageError
        If it is something else.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is not a folder.", "Name a folder; it is made if it is missing.")
