"""A Flower app as a folder: is it one, what of it does Flower take, and the FAB that Flower builds.

Flower alone decides which files are part of an app; each release has rules of its own. It decides
by their names, by pyproject.toml and by .gitignore, and never by what else is in a file (flwr 1.15
to 1.41, `cli/build.py`).
"""

import os
import shutil
import subprocess
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from algorithm.flower import strict_toml
from algorithm.flower.environment import Flower
from proxy.errors import AppError, reason_of

# The name of a copy; `flwr build` refuses folders whose name could not be an app's.
_COPY = "app"
# An app's folder up to this size is copied as a whole. A larger one may hold data: there Flower is
# asked which files it takes, at the cost of a build, and the others are empty in the copy.
_COPIED_BYTES = 64 << 20
# A folder with this file is a virtual environment (PEP 405): tens of thousands of files. flwr 1.41
# does not take them; older releases do without a .gitignore, and then refuse the app for its size.
_ENVIRONMENT = "pyvenv.cfg"
_PATTERNS = (b"fab-include", b"fab-exclude")
# What Flower looks into to decide.
_SOURCES = (".py", ".toml")


def check_app(app: Path) -> None:
    """Refuse a folder that cannot be a Flower app.

    Raises
    ------
    AppError
        If there is no folder with the description of a Flower app.
    """
    if not app.is_dir():
        raise AppError(
            f"There is no app at {app}: no such folder.",
            "Name the folder of a Flower app: the one with its pyproject.toml.",
        )
    components: Any = None
    try:
        project = strict_toml.loads((app / "pyproject.toml").read_text("utf-8"))
        components = project["tool"]["flwr"]["app"]["components"]
    except FileNotFoundError:
        raise AppError(
            f"{app} is no Flower app: it has no pyproject.toml.",
            "Name the folder of a Flower app; `flwr new` makes one.",
        ) from None
    except (OSError, ValueError) as error:
        raise AppError(f"{app / 'pyproject.toml'} cannot be read: {reason_of(error)}.") from error
    except (KeyError, TypeError):
        pass  # the section is not there
    if not isinstance(components, dict) or not {"serverapp", "clientapp"} <= components.keys():
        raise AppError(
            f"{app} is no Flower app: its pyproject.toml names no serverapp and clientapp.",
            "A Flower app has both in the section [tool.flwr.app.components].",
        )


@dataclass(frozen=True)
class AppCopy:
    """A copy of an app's folder, of which Flower builds the same FAB.

    Attributes
    ----------
    folder : Path
        Where it is.
    stand_ins : frozenset[str]
        Files that are empty in the copy, by their names from there: Flower does not take them.
    """

    folder: Path
    stand_ins: frozenset[str]


def copy_app(
    app: Path, folder: Path, flower: Flower | None, left_out: Sequence[Path] = ()
) -> AppCopy:
    """Copy an app into a folder.

    Links stay links: releases differ in what they make of them. What no release can take is left
    out: links that lead nowhere, sockets, pipes and devices. So are virtual environments.

    Parameters
    ----------
    app : Path
        The app's folder.
    folder : Path
        Where the copy is made; made itself if it is missing.
    flower : Flower | None
        Says what it takes of a large folder.
    left_out : Sequence[Path]
        Folders that are no part of the app, should they lie in it: for example a run's results.

    Raises
    ------
    AppError
        If that fails, or Flower refuses the app.
    """
    source, copy = app.resolve(), folder / _COPY
    try:
        copy.mkdir(parents=True)
        # The file that Flower looks into to decide comes first, then what is nearest to the top.
        without = {path.resolve() for path in left_out} - {source}
        sizes = dict(sorted(_files(source, copy, without), key=lambda file: _rank(*file)))
        room, stand_ins = _COPIED_BYTES, set()
        for name, size in sizes.items():
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if size <= room and _copied(source / name, target):
                room -= size
            else:
                target.touch()
                stand_ins.add(name)
        if stand_ins:
            if flower is None:
                raise AppError(
                    f"The app's folder {app} holds more than {_COPIED_BYTES >> 20} MiB, and there"
                    " is no Flower here to say what of it is the app.",
                    "Install flwr beside flower-v6, or keep data outside of the app's folder.",
                )
            for name in stand_ins & _names(_built(copy, flower, app)):
                shutil.copyfile(source / name, copy / name)
                stand_ins.remove(name)
    except OSError as error:
        raise AppError(f"The app at {app} cannot be copied: {reason_of(error)}.") from error
    return AppCopy(copy, frozenset(stand_ins))


def build(app: Path, flower: Flower, left_out: Sequence[Path] = ()) -> bytes:
    """Have Flower build an app, without some folders (see `copy_app`); returns the FAB.

    Raises
    ------
    AppError
        If Flower refuses the app.
    """
    with TemporaryDirectory() as folder:
        return _built(copy_app(app, Path(folder), flower, left_out).folder, flower, app)


def _files(source: Path, copy: Path, without: Collection[Path]) -> Iterator[tuple[str, int]]:
    """Yield the names and sizes of an app's files; copy its links."""
    # A pattern that matches nothing is an error to Flower, and one may name an environment's files.
    patterns = any(key in (source / "pyproject.toml").read_bytes() for key in _PATTERNS)
    for parent, folders, names in os.walk(source):
        environment = _ENVIRONMENT in names and Path(parent) != source and not patterns
        if environment or Path(parent) in without:
            folders.clear()
            names.clear()
        for name in (*folders, *names):
            path = Path(parent, name)
            if path.is_symlink():
                if path.exists():
                    _copy_link(path, source, copy)
            elif path.is_file():
                yield path.relative_to(source).as_posix(), path.stat().st_size


def _copy_link(link: Path, source: Path, copy: Path) -> None:
    """Copy a link: one within the app stays within the copy, any other leads where it led."""
    end = link.readlink()
    path = Path(os.path.normpath(link.parent / end))
    if not path.is_relative_to(source):
        end = link.parent / end
    elif end.is_absolute():
        end = Path(os.path.relpath(path, link.parent))
    target = copy / link.relative_to(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(end)


def _copied(source: Path, target: Path) -> bool:
    """Copy a file; returns whether it may be read."""
    try:
        shutil.copyfile(source, target)
    except PermissionError:
        return False
    return True


def _rank(name: str, size: int) -> tuple[bool, int, int]:
    file = Path(name)
    return not (file.suffix in _SOURCES or file.name[0] == "."), len(file.parts), size


def _built(copy: Path, flower: Flower, app: Path) -> bytes:
    """Have Flower build an app's copy."""
    with TemporaryDirectory() as folder:
        built = subprocess.run(
            flower.command("flwr", "build", "--app", str(copy)),
            cwd=folder,
            env=dict(flower.environment(Path(folder, "flwr"))),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        fabs = list(Path(folder).glob("*.fab"))
        if built.returncode or len(fabs) != 1:
            raise AppError(f"Flower did not build the app at {app}:\n{built.stdout}")
        return fabs[0].read_bytes()


def _names(fab: bytes) -> set[str]:
    """Return the names of the files in a FAB that Flower built here."""
    with zipfile.ZipFile(BytesIO(fab)) as archive:
        return set(archive.namelist())
