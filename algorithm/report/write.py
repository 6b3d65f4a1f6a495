"""Leaves a page where the user wants it."""

from pathlib import Path

from proxy.errors import AppError, UsageError, reason_of
from proxy.system import durable

# Every page has this line, and only our pages are replaced.
GENERATOR = '<meta name="generator" content="flower-v6 report">'
_HEAD_BYTES = 4096


def write_page(page: str, path: Path) -> None:
    """Write a page; an older one is replaced, anybody else's file is not.

    Raises
    ------
    UsageError
        If there is another file of that name.
    AppError
        If it cannot be written.
    """
    try:
        if path.exists() and GENERATOR.encode() not in _head(path):
            raise UsageError(
                f"{path} is there already, and no page of `flower-v6 report`.",
                "Name another file with --output.",
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write(path, page.encode())
    except OSError as error:
        raise AppError(f"{path} cannot be written: {reason_of(error)}.") from error


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)
