"""What a release of Flower publishes, read without importing it: from its wheel or installed."""

import configparser
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.errors import FlowerError

# The nightly releases are a distribution of their own.
_METADATA = re.compile(r"flwr(_nightly)?-(?P<release>[^/-]+)\.dist-info/entry_points\.txt")


@dataclass(frozen=True)
class Distribution:
    """One release of Flower.

    Attributes
    ----------
    release : str
        Its version, for example "1.41.0".
    modules : Mapping[str, str]
        The source of each of its modules, by path: "flwr/cli/app.py".
    programs : Mapping[str, str]
        Where each of its programs starts: "flwr.cli.app:app" for `flwr`.
    """

    release: str
    modules: Mapping[str, str]
    programs: Mapping[str, str]

    def mentions(self, text: str) -> bool:
        """Whether the text is written in any of the modules, as a whole string."""
        quoted = (f'"{text}"', f"'{text}'")
        return any(literal in source for source in self.modules.values() for literal in quoted)

    def mentions_path(self, path: str) -> bool:
        """Whether a path is written there, as a whole or as a prefix and the last part."""
        prefix, _, last = path.rpartition("/")
        return self.mentions(path) or (self.mentions(prefix) and self.mentions(f"/{last}"))


def from_wheel(wheel: Path) -> Distribution:
    """Read a wheel.

    Raises
    ------
    FlowerError
        If it is no wheel of flwr.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            files = {
                name: archive.read(name).decode() for name in archive.namelist() if _read(name)
            }
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise FlowerError(f"{wheel} cannot be read: {error}.") from error
    return _distribution(files, wheel)


def from_environment(folder: Path) -> Distribution:
    """Read what is installed in a virtual environment.

    Raises
    ------
    FlowerError
        If flwr is not.
    """
    files = {}
    for packages in folder.glob("lib/python*/site-packages"):
        for path in (*packages.glob("flwr/**/*.py"), *packages.glob("flwr*-*/entry_points.txt")):
            files[path.relative_to(packages).as_posix()] = path.read_text()
    return _distribution(files, folder)


def _read(name: str) -> bool:
    return bool(_METADATA.fullmatch(name)) or (name.startswith("flwr/") and name.endswith(".py"))


def _distribution(files: Mapping[str, str], where: Path) -> Distribution:
    for name, text in files.items():
        if match := _METADATA.fullmatch(name):
            entry_points = configparser.ConfigParser(delimiters="=")
            entry_points.read_string(text)
            modules = {path: source for path, source in files.items() if path.endswith(".py")}
            return Distribution(match["release"], modules, dict(entry_points["console_scripts"]))
    raise FlowerError(f"flwr is not installed in {where}.")
