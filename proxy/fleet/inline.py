"""Messages that came whole, read without their content: it may be 2 GiB, and is only carried.

What is left out is skipped where it stands, and everything else is then read by protobuf, so there
is one reader that decides what it says. Only the places of fields are found out here, by the rules
of protobuf's wire format, and numbers that are written in more bytes than they need are refused:
there readers might differ.
"""

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from proxy.blocks import Data, Reader
from proxy.errors import FleetError
from proxy.fleet.encoding import (
    FIXED_BYTES,
    LENGTH_DELIMITED,
    MAX_VARINT_BYTES,
    VARINT,
    is_shortest,
    read_varint,
    tag,
    write_varint,
)

# What protobuf can encode and decode as one message, and so Flower.
MAX_MESSAGE_BYTES = (2 << 30) - 1
# What a message that comes whole may have: there is some room for the call around it.
MAX_WHOLE_BYTES = MAX_MESSAGE_BYTES - 1024
# Numbers of fields: `messages_list` in a pull or push, `Message.content`, and below it
# `RecordDict.items` and the `array_record` of one.
MESSAGES_LIST, CONTENT, _ITEMS, _ARRAY_RECORD = 2, 2, 1, 2


@dataclass(frozen=True)
class Place:
    """Where in others some bytes are."""

    start: int
    size: int


def without_content(encoded: Data) -> bytes:
    """Return an encoded pull or push without the contents of its messages.

    Raises
    ------
    FleetError
        If it is no protobuf message.
    """
    return _without(encoded, (MESSAGES_LIST, CONTENT))


def without_arrays(encoded: Data) -> bytes:
    """Return an encoded pull or push without its arrays; raises as `without_content`."""
    return _without(encoded, (MESSAGES_LIST, CONTENT, _ITEMS, _ARRAY_RECORD))


def place_of_message(encoded: Data) -> Place:
    """Return the place of the only message in an encoded pull or push.

    Raises
    ------
    FleetError
        If there is not exactly one.
    """
    places = _places(encoded, MESSAGES_LIST)
    if len(places) != 1:
        raise FleetError(f"There are {len(places)} messages instead of one.")
    return places[0]


def place_of_content(message: Data) -> Place | None:
    """Return the place of an encoded message's content; None if it has none.

    Raises
    ------
    FleetError
        If there are two.
    """
    places = _places(message, CONTENT)
    if len(places) > 1:
        raise FleetError(f"A message has {len(places)} contents.")
    return places[0] if places else None


def _places(encoded: Data, number: int) -> list[Place]:
    """Return the places of the fields with a number."""
    reader, places = Reader(encoded), []
    whole = reader.left
    try:
        while reader.left:
            before, _, length = _next_field(reader)
            if before == tag(number):
                places.append(Place(whole - reader.left, length))
            reader.skip(length)
    except EOFError:
        raise _cut_off() from None
    return places


def start_of_field(number: int, size: int) -> bytes:
    """Return the tag and length of a field that is a message or bytes."""
    return write_varint(tag(number)) + write_varint(size)


def _without(encoded: Data, path: tuple[int, ...]) -> bytes:
    reader = Reader(encoded)
    try:
        return _pruned(reader, 0, path)
    except EOFError:
        raise _cut_off() from None


def _pruned(reader: Reader, end: int, path: tuple[int, ...]) -> bytes:
    """Read a message up to where `end` bytes are left; returns it without the fields at a path."""
    kept: list[bytes] = []
    while reader.left > end:
        before, start, length = _next_field(reader)
        if length > reader.left - end:
            raise _cut_off()
        if before != tag(path[0]):
            kept.append(start + reader.read(length))
        elif len(path) == 1:
            reader.skip(length)
        else:
            inner = _pruned(reader, reader.left - length, path[1:])
            kept += [start_of_field(path[0], len(inner)), inner]
    return b"".join(kept)


def _next_field(reader: Reader) -> tuple[int, bytes, int]:
    """Read up to a field's value; returns its tag, all bytes read, and the value's length."""
    before, start = _varint(reader)
    kind = before & 7
    if kind == LENGTH_DELIMITED:
        length, more = _varint(reader)
        return before, start + more, length
    if kind == VARINT:
        return before, start + _varint(reader, as_written=True)[1], 0
    if kind in FIXED_BYTES:
        return before, start, FIXED_BYTES[kind]
    raise FleetError(f"A message has a field of wire type {kind}, which Flower does not use.")


def _varint(reader: Reader, as_written: bool = False) -> tuple[int, bytes]:
    """Read a number; returns it, and how it is written, which has to be the shortest way."""
    encoded = reader.read(1)
    while encoded[-1] >= 0x80 and len(encoded) < MAX_VARINT_BYTES:
        encoded += reader.read(1)
    try:
        number, _ = read_varint(encoded)
    except DecodeError:
        raise _cut_off() from None
    if not (as_written or is_shortest(number, len(encoded))):
        raise FleetError("A message has a number that is written in more bytes than it needs.")
    return number, encoded


def _cut_off() -> FleetError:
    return FleetError("A message is cut off.")
