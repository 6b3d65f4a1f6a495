"""Fleet messages as they stand on the wire: fields by number. No I/O.

For whatever must not depend on our own descriptions in `protos/`: reading tapes, and finding out
in what two messages differ. There the descriptions serve for names only, so a wrong one shows.
And to put a message into another without encoding it anew.
"""

import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from proxy.fleet.messages import object_id

Value = int | bytes
Leaf = int | float | str | bytes

# How a value stands on the wire.
_VARINT, _FIXED_64, _LENGTH_DELIMITED, _FIXED_32 = 0, 1, 2, 5
# Longer ones are told by size and SHA-256.
_SHOWN_BYTES = 200


def values(encoded: bytes, *path: int) -> list[Value]:
    """Return all values at a path of field numbers; groups are left out.

    Raises
    ------
    DecodeError
        If it is no protobuf message.
    """
    found = [data for number, data in _fields(encoded) if number == path[0]]
    if len(path) == 1:
        return found
    return [each for data in found if isinstance(data, bytes) for each in values(data, *path[1:])]


def first(encoded: bytes, number: int) -> memoryview:
    """Return the first value of a field of messages or bytes, without copying it.

    Raises
    ------
    DecodeError
        If there is none.
    """
    view, place = memoryview(encoded), 0
    while place < len(view):
        tag, place = _read_varint(view, place)
        if tag & 7 == _LENGTH_DELIMITED:
            length, place = _read_varint(view, place)
            if tag >> 3 == number and place + length <= len(view):
                return view[place : place + length]
            place += length
        elif tag & 7 == _VARINT:
            _, place = _read_varint(view, place)
        else:
            place += {_FIXED_64: 8, _FIXED_32: 4}.get(tag & 7, len(view))
    raise DecodeError(f"There is no field {number}.")


def _read_varint(view: memoryview, place: int) -> tuple[int, int]:
    """Return a number, and where what follows it begins."""
    number = shift = 0
    while place < len(view):
        byte = view[place]
        number |= (byte & 0x7F) << shift
        shift, place = shift + 7, place + 1
        if byte < 0x80:
            return number, place
    raise DecodeError("The message is cut off.")


def field(number: int, data: bytes) -> bytes:
    """Return a field whose value is a message or bytes, as it stands on the wire."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def double(data: Value) -> float:
    """Return what a value stands for in a field of type double."""
    (number,) = struct.unpack("<d", struct.pack("<Q", data))
    return float(number)


def zigzag(data: int) -> int:
    """Return what a value stands for in a field of type sint64."""
    return (data >> 1) ^ -(data & 1)


@dataclass(frozen=True)
class FieldDifference:
    """A field in which two messages differ.

    Attributes
    ----------
    name : str
        Its name; that of a field in a field is written behind a dot.
    numbers : str
        Its number, the same way.
    expected, actual : str
        For people to read.
    """

    name: str
    numbers: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.name} ({self.numbers}): expected {self.expected}, got {self.actual}"


def differences(expected: bytes, actual: bytes, kind: Descriptor | None) -> list[FieldDifference]:
    """Return the fields in which two messages differ, in the order of the expected one's fields.

    Parameters
    ----------
    expected, actual : bytes
        Messages on the wire.
    kind : Descriptor | None
        What our `protos/` say of them, for names; None if they say nothing.
    """
    meant, said = (dict(_leaves(encoded, kind)) for encoded in (expected, actual))
    return [
        FieldDifference(*place, _shown(meant.get(place)), _shown(said.get(place)))
        for place in (*meant, *(each for each in said if each not in meant))
        if meant.get(place) != said.get(place)
    ]


def _fields(encoded: bytes) -> Iterator[tuple[int, Value]]:
    """Yield number and value of every field."""
    message = Empty.FromString(encoded)
    fields = UnknownFieldSet(message)
    for field in (fields[index] for index in range(len(fields))):
        if isinstance(field.data, int | bytes):
            yield field.field_number, field.data


def _leaves(
    encoded: bytes, kind: Descriptor | None, above: tuple[str, str] = ("", "")
) -> Iterator[tuple[tuple[str, str], Leaf]]:
    """Yield names and numbers of all fields that have no fields, each with its value."""
    described: Mapping[int, FieldDescriptor] = kind.fields_by_number if kind else {}
    seen: Counter[int] = Counter()
    for number, data in _fields(encoded):
        field = described.get(number)
        place = f"[{seen[number]}]" if seen[number] else ""
        seen[number] += 1
        name = f"{above[0]}{field.name if field else 'field'}{place}"
        path = f"{above[1]}{number}"
        if field is not None and field.message_type and isinstance(data, bytes):
            try:
                yield from _leaves(data, field.message_type, (f"{name}.", f"{path}."))
            except DecodeError:
                yield (name, path), data
        else:
            yield (name, path), _typed(data, field)


def _typed(data: Value, field: FieldDescriptor | None) -> Leaf:
    """Return a value as what our `protos/` say that it is."""
    if field is not None and isinstance(data, int):
        if field.type == FieldDescriptor.TYPE_DOUBLE:
            return double(data)
        if field.type == FieldDescriptor.TYPE_SINT64:
            return zigzag(data)
    if field is not None and isinstance(data, bytes) and field.type == FieldDescriptor.TYPE_STRING:
        return data.decode(errors="backslashreplace")
    return data


def _shown(value: Leaf | None) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bytes):
        if len(value) <= _SHOWN_BYTES and value.isascii():
            return repr(value.decode())
        return f"{len(value)} bytes with SHA-256 {object_id(value)[:16]}…"
    if isinstance(value, str) and len(value) > _SHOWN_BYTES:
        return f"{value[:_SHOWN_BYTES]!r}… ({len(value)} characters)"
    return repr(value)
