"""Fleet messages as they stand on the wire: fields by number. No I/O.

For whatever must not depend on our own descriptions in `protos/`: reading tapes, and finding out
in what two messages differ. There the descriptions serve for names only, so a wrong one shows.
And to put a message into another without encoding it anew.
"""

import hashlib
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from proxy.fleet.encoding import (
    FIXED_BYTES,
    GROUP,
    GROUP_END,
    LENGTH_DELIMITED,
    MAX_DEPTH,
    MAX_FIELD_NUMBER,
    VARINT,
    read_varint,
    tag,
    write_varint,
)

Value = int | bytes
Leaf = int | float | str | bytes

_MAX_UINT64 = (1 << 64) - 1
# Announcements: one message, its tree, and little more. Every other field of a tree is an id, which
# has 64 bytes; in 1.19 a tree is a map.
_MOST_FIELDS = 1000
_TREES, _CHILDREN = 3, 2
_TREE_FIELD_BYTES = 16
# Longer ones are told by size and SHA-256.
_SHOWN_BYTES = 200


def fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of every field of a message, one by one; groups are left out.

    Raises
    ------
    DecodeError
        If it is no protobuf message; what stands before the fault has been yielded then.
    """
    place, groups = 0, list[int]()
    while place < len(view):
        before, place = read_varint(view, place)
        number, kind = before >> 3, before & 7
        value: int | memoryview | None = None
        if not 0 < number <= MAX_FIELD_NUMBER:
            raise DecodeError(f"There is no field {number}.")
        if kind == VARINT:
            number_read, place = read_varint(view, place)
            value = number_read & _MAX_UINT64
        elif kind == LENGTH_DELIMITED:
            length, place = read_varint(view, place)
            value = view[place : place + length]
            place += length
        elif kind in FIXED_BYTES:
            value = int.from_bytes(view[place : place + FIXED_BYTES[kind]], "little")
            place += FIXED_BYTES[kind]
        elif kind == GROUP and len(groups) < MAX_DEPTH:
            groups.append(number)
        elif kind != GROUP_END or not groups or groups.pop() != number:
            raise DecodeError(f"Field {number} is nothing that protobuf has.")
        if place > len(view):
            raise DecodeError("The message is cut off.")
        if value is not None and not groups:
            yield number, value
    if groups:
        raise DecodeError("The message is cut off.")


def views(encoded: bytes | memoryview, number: int) -> Iterator[memoryview]:
    """Yield the values of a field of messages or bytes, without copying them; see `fields`."""
    for field_number, value in fields(memoryview(encoded)):
        if field_number == number and isinstance(value, memoryview):
            yield value


def values(encoded: bytes | memoryview, *path: int) -> list[Value]:
    """Return all values at a path of field numbers; groups are left out.

    Raises
    ------
    DecodeError
        If it is no protobuf message.
    """
    top = [value for number, value in fields(memoryview(encoded)) if number == path[0]]
    if len(path) > 1:
        return [
            nested
            for value in top
            if isinstance(value, memoryview)
            for nested in values(value, *path[1:])
        ]
    return [value if isinstance(value, int) else bytes(value) for value in top]


def texts(encoded: bytes | memoryview, *path: int) -> list[str]:
    """Return all values at a path that are texts; see `values`.

    Raises
    ------
    DecodeError
        If it is no protobuf message, or one of them is no UTF-8.
    """
    try:
        return [value.decode() for value in values(encoded, *path) if isinstance(value, bytes)]
    except UnicodeDecodeError as error:
        raise DecodeError(f"Field {path[-1]} is no text.") from error


def numbers(encoded: bytes, *path: int) -> list[int]:
    """Return all values at a path that are numbers; see `values`."""
    return [value for value in values(encoded, *path) if isinstance(value, int)]


def check_announcement(encoded: bytes) -> None:
    """Refuse messages and trees of nothing, for which protobuf would take many times their size.

    An announcement is pulled or pushed in one call: `messages_list` and, in field 3, the
    messages' object trees, each node of which names an object.

    Raises
    ------
    DecodeError
        If it has too many fields for what it says, or is no protobuf message.
    """
    stack = list[memoryview]()
    for count, (number, value) in enumerate(fields(memoryview(encoded))):
        if count > _MOST_FIELDS:
            raise DecodeError(f"It has more than {_MOST_FIELDS:,} fields.")
        if number == _TREES and isinstance(value, memoryview):
            stack.append(value)
    most = sum(map(len, stack)) // _TREE_FIELD_BYTES
    while stack:
        for number, value in fields(stack.pop()):
            most -= 1
            if most < 0:
                raise DecodeError("Its object tree names too few objects for its size.")
            if number == _CHILDREN and isinstance(value, memoryview):
                stack.append(value)


def field(number: int, data: bytes) -> bytes:
    """Return a field whose value is a message or bytes, as it stands on the wire."""
    return write_varint(tag(number)) + write_varint(len(data)) + data


def double(data: int) -> float:
    """Return the number that a field of type double holds."""
    (number,) = struct.unpack("<d", struct.pack("<Q", data))
    return float(number)


def zigzag(data: int) -> int:
    """Return the number that a field of type sint64 holds."""
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
    expected_leaves, actual_leaves = (
        dict(_leaves(encoded, kind)) for encoded in (expected, actual)
    )
    return [
        FieldDifference(
            *place, _shown(expected_leaves.get(place)), _shown(actual_leaves.get(place))
        )
        for place in (
            *expected_leaves,
            *(leaf for leaf in actual_leaves if leaf not in expected_leaves),
        )
        if expected_leaves.get(place) != actual_leaves.get(place)
    ]


def _leaves(
    encoded: bytes, kind: Descriptor | None, above: tuple[str, str] = ("", ""), depth: int = 0
) -> Iterator[tuple[tuple[str, str], Leaf]]:
    """Yield names and numbers of all fields that have no fields, each with its value."""
    described: Mapping[int, FieldDescriptor] = kind.fields_by_number if kind else {}
    counts: Counter[int] = Counter()
    for number, value in list(fields(memoryview(encoded))):  # none if one is damaged
        data = value if isinstance(value, int) else bytes(value)
        field = described.get(number)
        place = f"[{counts[number]}]" if counts[number] else ""
        counts[number] += 1
        name = f"{above[0]}{field.name if field else 'field'}{place}"
        path = f"{above[1]}{number}"
        nested = field.message_type if field is not None and depth < MAX_DEPTH else None
        if nested is not None and isinstance(data, bytes):
            try:
                yield from _leaves(data, nested, (f"{name}.", f"{path}."), depth + 1)
            except DecodeError:
                yield (name, path), data
        else:
            yield (name, path), _typed(data, field)


def _typed(data: Value, field: FieldDescriptor | None) -> Leaf:
    """Return a value in the type that our `protos/` name."""
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
        return f"{len(value)} bytes with SHA-256 {hashlib.sha256(value).hexdigest()[:16]}…"
    if isinstance(value, str) and len(value) > _SHOWN_BYTES:
        return f"{value[:_SHOWN_BYTES]!r}… ({len(value)} characters)"
    return repr(value)
