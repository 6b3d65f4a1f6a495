"""What an image runs: its app (FAB), noted in the image's manifest when the image is built.

`python -m algorithm.flower.manifest APP FILE CHART` is a step of that build. It has Flower build
the app, in the image's own Flower environment, and describes the result. Flower builds the same FAB
again when the image's central function submits the app: a FAB depends on the contents of the app's
files only (flwr 1.41, `cli/build.py`).
"""

import hashlib
import json
import struct
import sys
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, Self

from algorithm.flower import strict_toml
from algorithm.flower.app import build
from algorithm.flower.environment import Flower
from proxy import strict_json
from proxy.errors import AppError, BridgeError, reason_of

# Where a container finds its image's manifest; set in the image, so not encoded as what the node
# sets. Without it nothing was baked in: every app may run, as with stations on this machine.
ENVIRONMENT_VARIABLE = "FLOWER_V6_MANIFEST"
# Flower builds no larger FAB (FAB_MAX_SIZE, flwr 1.41, `common/constant.py`).
_MAX_FAB_BYTES = 10 << 20
_MAX_FILES = 10_000
# All files together, expanded: so much, and so many times the FAB, but never more than the last.
_FREE_BYTES = 16 << 20
_MAX_EXPANSION = 100
_MAX_EXPANDED_BYTES = 256 << 20
# Keys of a run config that the app declares.
_MAX_KEYS = 1000
_MAX_KEY_LENGTH = 1000
_PYPROJECT = "pyproject.toml"
# Flower's list of the files; it is in every FAB and follows from the rest.
_FLOWERS_OWN_LIST = ".info/CONTENT"
_PIECE_BYTES = 1 << 20
_NAME_LENGTH = 80  # of a name that an error quotes
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
    chart : str
        The metric that vantage6's web interface draws; empty for none.
    """

    publisher: str
    name: str
    version: str
    flwr: str
    fab_sha256: str
    files: Mapping[str, str]
    run_config_keys: Sequence[str]
    chart: str = ""

    @classmethod
    def of_fab(cls, fab: bytes, flwr: str = "") -> Self:
        """Describe a FAB.

        Raises
        ------
        AppError
            If it is none, or larger than one can be.
        """
        with _opened(fab) as archive:
            config = strict_toml.loads(
                b"".join(_content(archive, _PYPROJECT, strict_toml.MOST_BYTES)).decode()
            )
            try:
                project, app = config["project"], config["tool"]["flwr"]["app"]
                return cls(
                    publisher=str(app["publisher"]),
                    name=str(project["name"]),
                    version=str(project["version"]),
                    flwr=flwr,
                    fab_sha256=hashlib.sha256(fab).hexdigest(),
                    files=_hashes(archive, len(fab)),
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
        manifest = cls(**strict_json.loads(text.encode()))
        files, keys = manifest.files, manifest.run_config_keys
        if not isinstance(files, dict) or not isinstance(keys, list):
            raise ValueError("it does not describe an app")
        texts = [*files, *files.values(), *keys]
        texts += [
            manifest.publisher,
            manifest.name,
            manifest.version,
            manifest.fab_sha256,
            manifest.chart,
        ]
        if not all(isinstance(value, str) for value in texts):
            raise ValueError("it does not describe an app")
        return manifest

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
        return _hashes(archive, len(fab))


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
            _check_names(archive)
            yield archive
    except _UNREADABLE as error:
        raise AppError(f"The app (FAB) cannot be read: {error!r}.") from error


def _check_names(archive: zipfile.ZipFile) -> None:
    """Check that each file is unpacked where its name says, and none over another.

    What is described here Flower unpacks (flwr 1.41, `cli/archive_utils.py`). Of two files of one
    name it has the last one, and `zipfile` drops what is `.`, `..` or empty in a name.
    """
    seen = set()
    for entry in archive.infolist():
        name = entry.orig_filename
        path = PurePosixPath(name)
        is_plain = str(path) == name and not path.is_absolute() and ".." not in path.parts
        # A backslash is a separator elsewhere; a zero byte ends the name.
        if not is_plain or name == "." or "\\" in name or "\0" in name:
            raise AppError(
                f"The app (FAB) has a file with an unsafe name: {name[:_NAME_LENGTH]!r}."
            )
        # Some file systems take names for the same that differ in case or in their accents' form.
        same = unicodedata.normalize("NFC", name).casefold()
        if same in seen:
            raise AppError(f"The app (FAB) has a file twice: {name[:_NAME_LENGTH]!r}.")
        seen.add(same)


def _hashes(archive: zipfile.ZipFile, fab_bytes: int) -> dict[str, str]:
    bytes_left = min(_FREE_BYTES + _MAX_EXPANSION * fab_bytes, _MAX_EXPANDED_BYTES)
    hashes: dict[str, str] = {}
    for name in archive.namelist():
        if name == _FLOWERS_OWN_LIST:
            continue
        digest = hashlib.sha256()
        for piece in _content(archive, name, bytes_left):
            digest.update(piece)
            bytes_left -= len(piece)
        hashes[name] = digest.hexdigest()
    return hashes


def _content(archive: zipfile.ZipFile, name: str, limit: int) -> Iterator[bytes]:
    """Yield a file's content in pieces, up to a limit."""
    try:
        entry = archive.getinfo(name)
    except KeyError:
        raise AppError(f"The app (FAB) has no {name[:80]!r}.") from None
    # zipfile expands files that are compressed otherwise without any limit. Flower uses these two.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise AppError(
            f"The app (FAB) is compressed in a way that Flower does not use: {name[:80]!r}."
        )
    if entry.file_size > limit:
        raise AppError(
            f"The app (FAB) is too large when it is unpacked; {name[:80]!r} does not fit."
        )
    with archive.open(entry) as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _flat_keys(config: Mapping[str, Any]) -> list[str]:
    """Return the keys of a run config, nested ones joined by dots."""
    keys: list[str] = []
    nested = [("", config)]
    while nested:
        above, table = nested.pop()
        for key, value in table.items():
            name = f"{above}{key}"
            # Keys below a long one would each repeat it.
            if len(name) > _MAX_KEY_LENGTH or len(keys) + len(nested) >= _MAX_KEYS:
                raise AppError(
                    f"The app's run config has more than {_MAX_KEYS:,} keys, or one of more than"
                    f" {_MAX_KEY_LENGTH:,} characters."
                )
            if isinstance(value, Mapping):
                nested.append((f"{name}.", value))
            else:
                keys.append(name)
    return keys


def main() -> int:
    """Write the manifest of an app; returns the exit code."""
    app, target, chart = sys.argv[1:]
    try:
        flower = Flower.from_environment()
        manifest = Manifest.of_fab(build(Path(app), flower), flower.release)
        replace(manifest, chart=chart).write(Path(target))
    except BridgeError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
