"""One long string in a JSON text, written and read as a stream, and base64 the same way.

Vantage6 4.x moves JSON only, so a bundle travels as base64 in a string, and that JSON as base64 in
another. Neither needs to be in memory at once. The strings hold ASCII without escapes.
"""

import json
import re
from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from proxy.errors import CarrierError

PIECE_BYTES = 3 << 18
# What stands before the long string: a few short members.
_MAX_HEAD_BYTES = 1 << 20


def pieces_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file's bytes in pieces."""
    while piece := file.read(PIECE_BYTES):
        yield piece


def encoded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the base64 of what the pieces are together."""
    rest = b""
    for piece in pieces:
        data = rest + piece if rest else piece
        whole = len(data) - len(data) % 3
        rest = data[whole:]
        yield b2a_base64(data[:whole], newline=False)
    yield b2a_base64(rest, newline=False)


def decoded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes whose base64 the pieces are together.

    Raises
    ------
    CarrierError
        If they are no base64.
    """
    rest = b""
    try:
        for piece in pieces:
            data = rest + piece if rest else piece
            whole = len(data) - len(data) % 4
            rest = data[whole:]
            yield a2b_base64(data[:whole], strict_mode=True)
        yield a2b_base64(rest, strict_mode=True)
    except Error as error:
        raise CarrierError(
            f"An answer of the vantage6 server has invalid base64: {error}."
        ) from error


def with_member(
    fields: Mapping[str, Any], name: str, pieces: Iterable[bytes], end: bytes = b"}"
) -> Iterator[bytes]:
    """Yield the JSON object of `fields` and, as its last member, a long string.

    Parameters
    ----------
    fields : Mapping[str, Any]
        The other members.
    name : str
        The last member's name.
    pieces : Iterable[bytes]
        Its value.
    end : bytes
        What stands behind the value's closing quote: ends the object, and whatever holds it.
    """
    head = json.dumps(dict(fields)).encode()[:-1]
    yield head + (b", " if fields else b"") + json.dumps(name).encode() + b': "'
    yield from pieces
    yield b'"' + end


class Member:
    """A long string member that is being read.

    Parameters
    ----------
    file : BinaryIO
        The JSON text.
    name : str
        The member's name; its first appearance counts.

    Attributes
    ----------
    head : bytes
        The text's beginning; all of it if it is short.
    before : bytes
        The text before the member; `head` if there is no such member.
    found : bool
        Whether there is one.
    after : bytes
        The text behind the value's closing quote; known when `pieces` is through, up to a limit.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        head = file.read(_MAX_HEAD_BYTES)
        match = re.search(rb'"%b"\s*:\s*"' % re.escape(name.encode()), head)
        self._file = file
        self._start = head[match.end() :] if match else b""
        self.found = match is not None
        self.head = head
        self.before = head[: match.start()] if match else head
        self.after = b""

    def pieces(self) -> Iterator[bytes]:
        """Yield the value's bytes in pieces.

        Raises
        ------
        CarrierError
            If the text ends before the value does.
        """
        data = self._start
        while (end := data.find(b'"')) < 0:
            yield data
            data = self._file.read(PIECE_BYTES)
            if not data:
                raise CarrierError("An answer of the vantage6 server is cut off.")
        yield data[:end]
        self.after = data[end + 1 :] + self._file.read(_MAX_HEAD_BYTES)
