"""A Flower app as a folder: is it one, and what of it belongs to it."""

import shutil
import tomllib
from pathlib import Path
from typing import Any

from proxy.errors import AppError, reason_of

# A FAB cannot hold more than this (FAB_MAX_SIZE, flwr 1.41), so larger files are no part of an app.
_MAX_APP_FILE_BYTES = 10 << 20
_NOT_THE_APP = shutil.ignore_patterns(".git", "__pycache__", ".venv", "venv", "node_modules")


def check_app(app: Path) -> None:
    """Refuse what cannot be a Flower app.

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
        with (app / "pyproject.toml").open("rb") as file:
            components = tomllib.load(file)["tool"]["flwr"]["app"]["components"]
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


def copy_app(app: Path, folder: Path) -> Path:
    """Copy an app into a folder, under its name; returns the copy.

    Raises
    ------
    AppError
        If that fails.
    """

    def ignored(parent: str, names: list[str]) -> set[str]:
        large = {
            name
            for name in names
            if (path := Path(parent, name)).is_file() and path.stat().st_size > _MAX_APP_FILE_BYTES
        }
        return large | _NOT_THE_APP(parent, names)

    source = app.resolve()
    target = folder / source.name
    try:
        shutil.copytree(source, target, ignore=ignored, ignore_dangling_symlinks=True)
    except (OSError, shutil.Error) as error:
        raise AppError(f"The app at {app} cannot be copied: {reason_of(error)}.") from error
    return target
