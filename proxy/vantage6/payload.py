"""The file that a vantage6 container reads, and the one that it writes: JSON, with a bundle in it.

Vantage6 4.x takes UTF-8 JSON only, in both directions, so a bundle travels as base64 in the
JSON object's last member, "bundle". Both are written and read as streams. On one machine a bundle
lies beside the JSON instead, as a link to the same file (`FILE.bundle`): nothing is copied.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from proxy import strict_json
from proxy.errors import CarrierError
from proxy.vantage6.members import Member, decoded, encoded, pieces_of, with_member


def write(path: Path, fields: Mapping[str, Any], bundle: Path | None = None) -> None:
    """Write a payload: some JSON members, and a bundle if there is one.

    Raises
    ------
    CarrierError
        If it cannot be written. Nothing of it is left: where the disk is full, there is room for
        the reason.
    """
    try:
        with path.open("wb") as target:
            if bundle is None:
                target.write(json.dumps(dict(fields)).encode())
                return
            with bundle.open("rb") as source:
                target.writelines(with_member(fields, "bundle", encoded(pieces_of(source))))
    except OSError as error:
        with suppress(OSError):
            os.truncate(path, 0)
        raise CarrierError(f"{path} cannot be written: {error.strerror}.") from error


def write_linked(path: Path, fields: Mapping[str, Any], bundle: Path) -> None:
    """Write a payload with a bundle beside it, which must not change any more."""
    os.link(bundle, _beside(path))
    write(path, fields)


def write_answer(path: Path, bundle: Path, max_bytes: int | None, linked: bool = False) -> None:
    """Write a result that is a bundle; `linked`: as the task's was.

    Raises
    ------
    CarrierError
        If the bundle is larger than the carrier can take.
    """
    size = bundle.stat().st_size
    if max_bytes is not None and size > max_bytes:
        raise CarrierError(
            f"The reply has {size:,} bytes; the limit of the carrier is {max_bytes:,}."
        )
    (write_linked if linked else write)(path, {}, bundle)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.bundle")


class Payload:
    """A payload that is being read: its members first, then, if wanted, its bundle."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._bundle = Member(file, "bundle")
        try:
            self.fields: Any = self._read()
        except ValueError as error:
            raise CarrierError(f"{path} is not valid JSON: {error}.") from error
        if not isinstance(self.fields, dict):
            raise CarrierError(f"{path} is not a JSON object.")

    def _read(self) -> Any:
        if self._bundle.found:
            with suppress(ValueError):
                return strict_json.loads(self._bundle.before + b'"bundle": ""}')
            # Then it is a member's own member: a run config may have a key of that name.
            self._bundle.found = False
        return strict_json.loads(self._bundle.head)

    @property
    def linked(self) -> bool:
        """Whether its bundle lies beside it."""
        return _beside(self._path).exists()

    @property
    def has_bundle(self) -> bool:
        """Whether it has a bundle in it."""
        return self._bundle.found

    def save_bundle(self, path: Path) -> None:
        """Have the bundle in a file of its own.

        Raises
        ------
        CarrierError
            If there is none, or it is cut off or no base64.
        """
        if self.linked:
            path.unlink(missing_ok=True)
            os.link(_beside(self._path), path)
            return
        if not self.has_bundle:
            raise CarrierError(f"{self._path} has no bundle.")
        with path.open("wb") as target:
            try:
                target.writelines(decoded(self._bundle.pieces()))
            except CarrierError as error:
                raise CarrierError(f"{self._path} has a damaged bundle. {error}") from error
        if self._bundle.after.strip() != b"}":
            raise CarrierError(f"{self._path} has bytes after its bundle.")


@contextmanager
def read(path: Path) -> Iterator[Payload]:
    """Open a payload.

    Raises
    ------
    CarrierError
        If it cannot be read, or is none.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise CarrierError(f"{path} cannot be read: {error.strerror}.") from error
    with file:
        yield Payload(path, file)
