"""The file that a vantage6 container reads, and the one that it writes: JSON, with a bundle in it.

Vantage6 4.x takes UTF-8 JSON only, in both directions, so a bundle travels as base64 in the
JSON object's last member, "bundle". Both are written and read as streams.
"""

import json
import re
from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from proxy.errors import CarrierError

_BUNDLE_MEMBER = re.compile(rb'"bundle"\s*:\s*"')
# What stands before the bundle is a method's name and a few arguments.
_MAX_HEAD_BYTES = 1 << 20
# A multiple of 3, so that every piece but the last has no padding.
_PIECE_BYTES = 3 << 18


def write(path: Path, fields: Mapping[str, Any], bundle: Path | None = None) -> None:
    """Write a payload: some JSON members, and a bundle if there is one."""
    head = json.dumps(dict(fields)).encode()
    with path.open("wb") as target:
        if bundle is None:
            target.write(head)
            return
        separator = b", " if fields else b""
        target.write(head[:-1] + separator + b'"bundle": "')
        with bundle.open("rb") as source:
            while piece := source.read(_PIECE_BYTES):
                target.write(b2a_base64(piece, newline=False))
        target.write(b'"}')


class Payload:
    """A payload that is being read: its members first, then, if wanted, its bundle."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        head = file.read(_MAX_HEAD_BYTES)
        member = _BUNDLE_MEMBER.search(head)
        self.has_bundle = member is not None
        if member is not None:
            self._rest = head[member.end() :]
            head = head[: member.start()] + b'"bundle": ""}'
        try:
            self.fields = json.loads(head)
        except ValueError as error:
            raise CarrierError(f"{path} does not hold JSON as it should: {error}.") from error
        if not isinstance(self.fields, dict):
            raise CarrierError(f"{path} does not hold a JSON object.")

    def save_bundle(self, path: Path) -> None:
        """Write the bundle to a file.

        Raises
        ------
        CarrierError
            If there is none, or it is cut off or no base64.
        """
        if not self.has_bundle:
            raise CarrierError(f"{self._path} holds no bundle.")
        with path.open("wb") as target:
            for piece in self._pieces():
                try:
                    target.write(a2b_base64(piece, strict_mode=True))
                except Error as error:
                    raise CarrierError(f"{self._path} holds no sound bundle: {error}.") from error

    def _pieces(self) -> Iterator[bytes]:
        """Yield the base64 in pieces of whole groups of four."""
        data = self._rest
        while True:
            end = data.find(b'"')
            whole = end if end >= 0 else len(data) - len(data) % 4
            yield data[:whole]
            if end >= 0:
                break
            more = self._file.read(_PIECE_BYTES)
            if not more:
                raise CarrierError(f"{self._path} is cut off in its bundle.")
            data = data[whole:] + more
        if (data[end + 1 :] + self._file.read(2)).strip() != b"}":
            raise CarrierError(f"{self._path} has something behind its bundle.")


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
