"""Decodes a message only if every parser reads the same in it. No I/O.

What a station checks is afterwards read by Flower's own parser, of another release of protobuf. A
message may be encoded such that two parsers differ: a field that may occur once occurs twice (the
first counts, the last, or both merged), a map has a key twice, a number takes more bytes than it
needs. No encoder writes such a thing, so nothing true is lost by refusing it.

Source: https://protobuf.dev/programming-guides/encoding/, "Last One Wins".
"""

from collections.abc import Collection, Iterator
from functools import cache
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from proxy.errors import FleetError
from proxy.fleet.messages import parse

AnyMessage = TypeVar("AnyMessage", bound=Message)
_Value = int | memoryview

_VARINT, _FIXED_64, _LENGTH_DELIMITED, _FIXED_32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED_64: 8, _FIXED_32: 4}
_MAX_VARINT_BYTES = 10
_MAX_FIELD_NUMBER = (1 << 29) - 1
_MAX_DEPTH = 100  # protobuf's own limit
# How a value of each type that `protos/` use stands on the wire; it is a varint otherwise.
_WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: _FIXED_64,
    FieldDescriptor.TYPE_STRING: _LENGTH_DELIMITED,
    FieldDescriptor.TYPE_BYTES: _LENGTH_DELIMITED,
    FieldDescriptor.TYPE_MESSAGE: _LENGTH_DELIMITED,
}


def read(kind: type[AnyMessage], encoded: bytes, single: Collection[str] = ()) -> AnyMessage:
    """Decode a Fleet message that can be read in one way only.

    Fields that `protos/` do not name are kept, unchecked: nothing here depends on them.

    Parameters
    ----------
    kind : type[AnyMessage]
        What it is.
    encoded : bytes
        The message.
    single : Collection[str]
        Its repeated fields that must not repeat.

    Raises
    ------
    FleetError
        If it is no such message, or two parsers may differ about it.
    """
    message = parse(kind, encoded)
    check(kind, encoded, single)
    return message


def check(kind: type[Message], encoded: bytes, single: Collection[str] = ()) -> None:
    """Check, without decoding or copying it, that a message can be read in one way only.

    Raises
    ------
    FleetError
        If two parsers may differ about it; see `read`.
    """
    descriptor: Any = kind.DESCRIPTOR
    _check(memoryview(encoded), descriptor, single, _MAX_DEPTH)


def _check(
    encoded: memoryview, kind: Descriptor, single: Collection[str], depth: int
) -> dict[int, _Value]:
    """Check a message and all below it; returns the last value of each of its fields."""
    if not depth:
        raise FleetError(f"{kind.name} goes too deep.")
    values: dict[int, _Value] = {}
    keys: set[tuple[int, bytes]] = set()
    for number, wire_type, value in _fields(encoded, kind.name):
        field = kind.fields_by_number.get(number)
        if field is None:
            if kind.GetOptions().map_entry:
                # Some parsers then leave the entry out of the map, some do not.
                raise FleetError(f"{kind.name} has a field that no map has.")
            continue
        repeated = _is_repeated(field)
        packed = repeated and wire_type == _LENGTH_DELIMITED
        if not packed and wire_type != _WIRE_TYPES.get(field.type, _VARINT):
            raise FleetError(f"{kind.name}.{field.name} is not encoded as its type is.")
        if number in values and (not repeated or field.name in single):
            raise FleetError(f"{kind.name}.{field.name} occurs more than once.")
        values[number] = value
        if field.message_type is not None and isinstance(value, memoryview):
            below = _check(value, field.message_type, (), depth - 1)
            if field.message_type.GetOptions().map_entry:
                key = (number, bytes(below.get(1, b"")))
                if key in keys:
                    raise FleetError(f"{kind.name}.{field.name} has a key more than once.")
                keys.add(key)
    return values


@cache
def _is_repeated(field: FieldDescriptor) -> bool:
    # `label` is deprecated from protobuf 6.31 on, which brought `is_repeated`.
    return isinstance(field.default_value, list)


def _fields(encoded: memoryview, name: str) -> Iterator[tuple[int, int, _Value]]:
    """Yield number, wire type and value of every field, without copying."""
    place = 0
    while place < len(encoded):
        tag, place = _varint(encoded, place, name)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number <= _MAX_FIELD_NUMBER:
            raise FleetError(f"{name} has a field number that there cannot be.")
        value: _Value
        if wire_type == _VARINT:
            value, place = _varint(encoded, place, name)
        else:
            if wire_type == _LENGTH_DELIMITED:
                length, place = _varint(encoded, place, name)
            elif wire_type in _FIXED_BYTES:
                length = _FIXED_BYTES[wire_type]
            else:
                raise FleetError(f"{name} has a field that no encoder of Flower's writes.")
            value, place = encoded[place : place + length], place + length
            if place > len(encoded):
                raise FleetError(f"{name} is cut off.")
        yield number, wire_type, value


def _varint(encoded: memoryview, place: int, name: str) -> tuple[int, int]:
    """Return a number, and where what follows it begins."""
    number = 0
    for index, byte in enumerate(encoded[place : place + _MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if (index and not byte) or number >= 1 << 64:
                raise FleetError(f"{name} has a number that takes more bytes than it needs.")
            return number, place + index + 1
    raise FleetError(f"{name} is cut off in a number.")
