"""A database that was extracted into a session: its copy, and what is noted of it.

    <session's folder>/<dataframe>.parquet               what vantage6 knows of, and keeps
    <session's folder>/flower-v6/data/<dataframe>/
        about.json                                       the label, the type, whose it is
        <the database's own name>                        its copy, a file or a folder

A dataframe that another function extracted is the Parquet file alone.
"""

import errno
import json
import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from proxy import strict_json
from proxy.errors import CarrierError, reason_of
from proxy.vantage6.container import Database


def keep(session: Path, name: str, label: str, source: Database, for_one_run: bool) -> None:
    """Copy a database into the session.

    Parameters
    ----------
    session : Path
        The session's folder.
    name : str
        The dataframe's.
    label : str
        The database's.
    source : Database
        Where it is; a file or a folder.
    for_one_run : bool
        Whether the copy may be removed when one run has ended.

    Raises
    ------
    CarrierError
        If it is neither, or cannot be copied.
    """
    original, folder = Path(source.uri), _folder(session, name)
    if not original.exists():
        raise CarrierError(
            f"The database {label!r} of type {source.type!r} is no file and no folder, so it"
            " cannot be copied into the session.",
            "In vantage6 5 a ClientApp reads files: have the owner offer the data as one.",
        )
    copy = folder / original.name
    about = {"label": label, "type": source.type, "file": copy.name, "for_one_run": for_one_run}
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        # First, so that whoever removes copies finds one that was begun.
        noted = folder / "about.json"
        noted.write_text(json.dumps(about))
        if original.is_dir():
            # Links stay links: one to a folder above it would be followed until the disk is full.
            shutil.copytree(original, copy, symlinks=True)
            if leading_out := _leading_out(copy):
                raise OSError(errno.EXDEV, f"links in it lead elsewhere ({leading_out})")
        else:
            shutil.copyfile(original, copy)
        if not noted.exists():
            raise OSError(errno.ECANCELED, "it is not wanted any more")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        reason = reason_of(error)
        if isinstance(error, shutil.Error):
            # It has the names of all these files, which may tell of the data.
            reason = f"files in it cannot be read ({len(error.args[0])})"
        raise CarrierError(
            f"The database {label!r} cannot be copied into the session: {reason}."
        ) from error


def read_extracted(session: Path, name: str) -> tuple[str, Database]:
    """Return the label of a dataframe's database, and where a ClientApp finds it.

    Raises
    ------
    CarrierError
        If what is noted of it is damaged.
    """
    folder = _folder(session, name)
    about = folder / "about.json"
    if not about.exists():
        return name, Database(str(session / f"{name}.parquet"), "parquet")
    try:
        noted = strict_json.loads(about.read_bytes())
        # Others can write to the folder: what is named lies in it.
        file = Path(str(noted["file"])).name
        if file in ("", ".."):
            raise ValueError("no file")
        copy = folder / file
        return str(noted["label"]), Database(str(copy), str(noted["type"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CarrierError(f"What is noted of the dataframe {name!r} is damaged.") from error


def forget_those_for_one_run(session: Path) -> None:
    """Remove the copies that were made for one run."""
    for about in session.glob("flower-v6/data/*/about.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if strict_json.loads(about.read_bytes())["for_one_run"] is True:
                # Whoever is still copying must not add to what is being removed.
                shutil.rmtree(about.parent.rename(about.parent.with_name(uuid.uuid4().hex)))


def _leading_out(folder: Path) -> int:
    """Return how many links in a folder lead out of it, or to nothing."""
    root = os.path.realpath(folder)
    links = (path for path in folder.rglob("*") if path.is_symlink())
    return sum(
        not (link.exists() and Path(os.path.realpath(link)).is_relative_to(root)) for link in links
    )


def _folder(session: Path, name: str) -> Path:
    return session / "flower-v6" / "data" / name
