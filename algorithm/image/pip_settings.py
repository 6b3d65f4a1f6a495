"""Where this machine's pip finds packages, for a pip that runs elsewhere: in an image's build.

A hospital's package mirror, its certificate and folders of wheels are configured once, for pip, in
its files or in PIP_* variables. What `pip config list` says of them is made to hold in the build.
"""

import ast
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

_VALUES = ("trusted-host", "proxy", "timeout", "default-timeout", "retries", "no-index")
_FILES = ("cert", "client-cert", "constraint")
_PLACES = ("index-url", "extra-index-url", "find-links")
_WHEELS = ("*.whl", "*.tar.gz")


def write_pip_settings(folder: Path, there: PurePosixPath) -> None:
    """Write pip's configuration, and the files and wheels that it names, into a folder.

    Indexes that are folders of this machine are left out.

    Parameters
    ----------
    folder : Path
        An existing folder; afterwards `pip.conf` is in it.
    there : PurePosixPath
        Where the folder will be when `pip.conf` is used.
    """
    configured = _settings()
    settings = {name: configured[name] for name in _VALUES if name in configured}
    for name in _FILES:
        # There may be several constraints.
        paths = (
            configured.get(name, "").split() if name == "constraint" else [configured.get(name, "")]
        )
        if files := [path for path in map(Path, paths) if path.is_file()]:
            (folder / name).write_bytes(b"\n".join(path.read_bytes() for path in files))
            settings[name] = str(there / name)
    for name in _PLACES:
        remote = [
            location for location in configured.get(name, "").split() if not _is_local(location)
        ]
        if remote:
            settings[name] = " ".join(remote)
    _copy_wheels(configured.get("find-links", "").split(), folder / "wheels")
    settings["find-links"] = f"{settings.get('find-links', '')} {there / 'wheels'}".strip()
    lines = [f"{name} = {value}\n" for name, value in settings.items()]
    (folder / "pip.conf").write_text("".join(["[global]\n", *lines]))


def _is_local(place: str) -> bool:
    return "://" not in place or place.startswith("file:")


def _copy_wheels(places: Sequence[str], folder: Path) -> None:
    folder.mkdir()
    for place in filter(_is_local, places):
        for pattern in _WHEELS:
            for wheel in Path(place.removeprefix("file://")).glob(pattern):
                shutil.copy(wheel, folder)


def _settings() -> Mapping[str, str]:
    """Return what the pip of this environment is told, variables before files."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    in_files: dict[str, str] = {}
    in_variables: dict[str, str] = {}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in ("global", "install", ":env:"):
            (in_variables if section == ":env:" else in_files)[key] = str(ast.literal_eval(value))
    return {**in_files, **in_variables}
