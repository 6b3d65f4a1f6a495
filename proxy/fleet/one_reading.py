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
from google.protobuf.message import DecodeError, Message

from proxy.errors import FleetError
from proxy.fleet.encoding import (
    FIXED_64,
    FIXED_BYTES,
    LENGTH_DELIMITED,
    MAX_DEPTH,
    MAX_FIELD_NUMBER,
    VARINT,
    is_shortest,
    read_varint,
)
from proxy.fleet.messages import parse

AnyMessage = TypeVar("AnyMessage", bound=Message)
_Value = int | memoryview

# What is pulled or pushed has one message, with one tree of objects if it has any.
ONE_MESSAGE = ("messages_list", "message_object_trees")

# How a value of each type that `protos/` use stands on the wire; it is a varint otherwise.
_WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: FIXED_64,
    FieldDescriptor.TYPE_STRING: LENGTH_DELIMITED,
    FieldDescriptor.TYPE_BYTES: LENGTH_DELIMITED,
    FieldDescriptor.TYPE_MESSAGE: LENGTH_DELIMITED,
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
    _check(memoryview(encoded), descriptor, single, MAX_DEPTH)


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
        packed = repeated and wire_type == LENGTH_DELIMITED
        if not packed and wire_type != _WIRE_TYPES.get(field.type, VARINT):
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
        if not 0 < number <= MAX_FIELD_NUMBER:
            raise FleetError(f"{name} has a field number that there cannot be.")
        value: _Value
        if wire_type == VARINT:
            value, place = _varint(encoded, place, name)
        else:
            if wire_type == LENGTH_DELIMITED:
                length, place = _varint(encoded, place, name)
            elif wire_type in FIXED_BYTES:
                length = FIXED_BYTES[wire_type]
            else:
                raise FleetError(f"{name} has a field that no encoder of Flower's writes.")
            value, place = encoded[place : place + length], place + length
            if place > len(encoded):
                raise FleetError(f"{name} is cut off.")
        yield number, wire_type, value


def _varint(encoded: memoryview, place: int, name: str) -> tuple[int, int]:
    try:
        number, end = read_varint(encoded, place)
    except DecodeError:
        raise FleetError(f"{name} is cut off in a number.") from None
    if not is_shortest(number, end - place):
        raise FleetError(f"{name} has a number that takes more bytes than it needs.")
    return number, end
