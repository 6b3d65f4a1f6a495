"""What an image runs: its app (FAB), noted in the image's manifest when the image is built.

`python -m algorithm.manifest APP FILE` is a step of that build. It has Flower build the app, in
the image's own Flower environment, and describes the result. Flower builds the same FAB again when
the image's central function submits the app: a FAB depends on the contents of the app's files
only (flwr 1.41, `cli/build.py`).
"""

import hashlib
import json
import shutil
import struct
import subprocess
import sys
import tomllib
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from algorithm.flower import Flower
from proxy.errors import AppError, BridgeError, reason_of

# Where a container finds its image's manifest; set in the image, so not encoded as what the node
# sets. Without it nothing was baked in: every app may run, as with stations on this machine.
ENVIRONMENT_VARIABLE = "FLOWER_V6_MANIFEST"
# Flower builds no larger FAB (FAB_MAX_SIZE, flwr 1.41, `common/constant.py`).
_MAX_FAB_BYTES = 10 << 20
_MAX_FILES = 10_000
_MAX_EXPANDED_BYTES = 256 << 20
_PYPROJECT = "pyproject.toml"
# Flower's list of the files; it is in every FAB and follows from the rest.
_FLOWERS_OWN_LIST = ".info/CONTENT"
_MAX_PYPROJECT_BYTES = 1 << 20
_PIECE_BYTES = 1 << 20
# What a damaged or hostile archive makes `zipfile` raise.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    IndexError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class Manifest:
    """A description of an app.

    Attributes
    ----------
    publisher, name, version : str
        Of the app.
    flwr : str
        The release that built the FAB.
    fab_sha256 : str
        Of the FAB; Flower calls it the FAB hash.
    files : Mapping[str, str]
        The SHA-256 of each file in the FAB, by its name there.
    run_config_keys : Sequence[str]
        The keys of the run config that a run may override: those that the app declares, nested
        ones joined by dots, as Flower does.
    """

    publisher: str
    name: str
    version: str
    flwr: str
    fab_sha256: str
    files: Mapping[str, str]
    run_config_keys: Sequence[str]

    @classmethod
    def of_fab(cls, fab: bytes, flwr: str = "") -> Self:
        """Describe a FAB.

        Raises
        ------
        AppError
            If it is none, or larger than one can be.
        """
        with _opened(fab) as archive:
            config = tomllib.loads(
                b"".join(_content(archive, _PYPROJECT, _MAX_PYPROJECT_BYTES)).decode()
            )
            try:
                project, app = config["project"], config["tool"]["flwr"]["app"]
                return cls(
                    publisher=str(app["publisher"]),
                    name=str(project["name"]),
                    version=str(project["version"]),
                    flwr=flwr,
                    fab_sha256=hashlib.sha256(fab).hexdigest(),
                    files=_hashes(archive),
                    run_config_keys=sorted(_flat_keys(app.get("config", {}))),
                )
            except (KeyError, TypeError, AttributeError) as error:
                raise AppError(f"The app's {_PYPROJECT} is not valid: {error}.") from (error)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an image's manifest.

        Raises
        ------
        AppError
            If it cannot be read.
        """
        try:
            return cls.parse(path.read_text())
        except (OSError, ValueError, TypeError) as error:
            raise AppError(
                f"The image's manifest {path} cannot be read: {reason_of(error)}.",
                "Build the image with `flower-v6 image`.",
            ) from error

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the manifest that stands in a file; `ValueError` or `TypeError` if none does."""
        return cls(**json.loads(text))

    def write(self, path: Path) -> None:
        """Write it."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def file_hashes(fab: bytes) -> dict[str, str]:
    """Return the SHA-256 of each file in a FAB, by its name there.

    Raises
    ------
    AppError
        If it is no FAB, or larger than one can be.
    """
    with _opened(fab) as archive:
        return _hashes(archive)


def build(app: Path, flower: Flower) -> bytes:
    """Have Flower build an app; returns the FAB.

    Raises
    ------
    AppError
        If Flower refuses the app.
    """
    with TemporaryDirectory() as folder:
        # `flwr build` takes an app only from a folder with a name that pleases it; `flwr run` any.
        copy = shutil.copytree(app, Path(folder, "app"))
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
            raise AppError(f"`flwr build` failed for the app at {app}:\n{built.stdout}")
        return fabs[0].read_bytes()


@contextmanager
def _opened(fab: bytes) -> Iterator[zipfile.ZipFile]:
    """Open a FAB, which may come from anybody."""
    if len(fab) > _MAX_FAB_BYTES:
        raise AppError(f"The app (FAB) has {len(fab):,} bytes; the limit is {_MAX_FAB_BYTES:,}.")
    # Each entry of the archive's directory starts with these bytes; it is read as a whole.
    if fab.count(b"PK\1\2") > _MAX_FILES:
        raise AppError(f"The app (FAB) has too many files; the limit is {_MAX_FILES:,}.")
    try:
        with zipfile.ZipFile(BytesIO(fab)) as archive:
            yield archive
    except _UNREADABLE as error:
        raise AppError(f"The app (FAB) cannot be read: {error!r}.") from error


def _hashes(archive: zipfile.ZipFile) -> dict[str, str]:
    left, hashes = _MAX_EXPANDED_BYTES, {}
    for name in archive.namelist():
        if name == _FLOWERS_OWN_LIST:
            continue
        digest = hashlib.sha256()
        for piece in _content(archive, name, left):
            digest.update(piece)
            left -= len(piece)
        hashes[name] = digest.hexdigest()
    return hashes


def _content(archive: zipfile.ZipFile, name: str, limit: int) -> Iterator[bytes]:
    """Yield a file's content in pieces, up to a limit."""
    try:
        entry = archive.getinfo(name)
    except KeyError:
        raise AppError(f"The app (FAB) has no {name}.") from None
    # zipfile expands what is compressed otherwise without any limit. Flower uses these two.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise AppError(
            f"The app (FAB) has a file with a compression that Flower does not use: {name!r}."
        )
    if entry.file_size > limit:
        raise AppError(
            f"The app (FAB) is too large when it is unpacked: {name!r} is over the limit."
        )
    with archive.open(entry) as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _flat_keys(config: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat_keys(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"


def main() -> int:
    """Write the manifest of an app; returns the exit code."""
    app, target = map(Path, sys.argv[1:])
    try:
        flower = Flower.from_environment()
        Manifest.of_fab(build(app, flower), flower.release).write(target)
    except BridgeError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
