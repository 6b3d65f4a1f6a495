"""What both scripts in Flower's interpreter have in common: the pipe, and messages that pass it.

It is a part of `run_serverapp.py` and `run_clientapp.py`, which load it by its path: Python 3.9+,
and it imports nothing of the bridge.

What passes the pipe are frames: a letter, a length (8 bytes, big-endian), and so many bytes. A
Flower Message in one is written array by array, and read so: of an array's bytes there is no copy
but the one in the message itself. The form is Flower's (flwr 1.20 to 1.42,
`flwr/proto/message.proto` and `recorddict.proto`):

    Message      1 metadata, 2 content (RecordDict), 3 error
    RecordDict   1 items: 1 key, 2 array_record, 3 metric_record, 4 config_record
    ArrayRecord  1 items: 1 key, 2 value (Array)
    Array        1 dtype, 2 shape, 3 stype, 4 data
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, BinaryIO

_VARINT, _FIXED_64, _LENGTH_DELIMITED, _FIXED_32 = 0, 1, 2, 5
_ITEMS, _KEY, _ARRAY_RECORD, _VALUE, _CONTENT, _DATA = 1, 1, 2, 2, 2, 4
# Small pieces are sent together.
_TOGETHER_BYTES = 1 << 16


class Frame:
    """What is in a frame, read from its start to its end.

    Attributes
    ----------
    kind : bytes
        Its letter.
    left : int
        How many bytes are still to be read.
    """

    def __init__(self, kind: bytes, size: int, file: BinaryIO) -> None:
        self.kind = kind
        self.left = size
        self._file = file

    def read(self, length: int) -> bytes:
        """Return so many bytes."""
        if length > self.left:
            raise ValueError("a message is cut off")
        self.left -= length
        return _exactly(self._file, length)

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.read(self.left)

    def skip(self) -> None:
        """Pass over all that is left."""
        while self.left:
            self.read(min(self.left, _TOGETHER_BYTES))


def receive(file: BinaryIO) -> Frame:
    """Return the next frame. It has to be read to its end before there is another one."""
    return Frame(_exactly(file, 1), int.from_bytes(_exactly(file, 8), "big"), file)


def receive_one(file: BinaryIO, kind: bytes) -> Frame:
    """Return the next frame, which is to be of a kind."""
    frame = receive(file)
    if frame.kind != kind:
        raise ValueError(f"frame {frame.kind!r} came instead of {kind!r}")
    return frame


def send(pipe: socket.socket, kind: bytes, data: Iterable[bytes]) -> None:
    """Send a frame with pieces in it, one behind the other."""
    pieces = list(data)
    together = [kind + size_of(pieces).to_bytes(8, "big")]
    for piece in pieces:
        if len(piece) >= _TOGETHER_BYTES:
            pipe.sendall(b"".join(together))
            pipe.sendall(piece)
            together = []
        else:
            together.append(piece)
            if len(together) == 1024:
                pipe.sendall(b"".join(together))
                together = []
    # Who has read all may have closed the other end: then not even a send of nothing succeeds.
    if together:
        pipe.sendall(b"".join(together))


def size_of(pieces: Iterable[bytes]) -> int:
    """Return the size of pieces together."""
    return sum(map(len, pieces))


def check_size(size: int, limit: int, subject: str) -> None:
    """Raise ValueError if a message is larger than one can be."""
    if size > limit:
        raise ValueError(
            f"The {subject} has {size:,} bytes; the limit of a message in direct mode is {limit:,}"
            " (protobuf's). Send it in parts, or run the app in bridge mode."
        )


def encoded_head(flower: Any, message: Any) -> bytes:
    """Encode a message without its content."""
    if not message.has_content():
        return bytes(flower.message_to_proto(message).SerializeToString())
    proto = flower.message_to_proto(flower.remove_content_from_message(message))
    proto.ClearField("content")  # there an empty one is left
    return bytes(proto.SerializeToString())


def encoded_content(flower: Any, message: Any) -> list[bytes]:
    """Encode the content of a message, as Flower does; in pieces, without copying arrays."""
    pieces: list[bytes] = []
    for key, record in message.content.items():
        if isinstance(record, flower.ArrayRecord):
            arrays = [piece for item in record.items() for piece in _encoded_array(flower, *item)]
            key_field = _bytes_field(_KEY, key.encode())
            field = key_field + _start_of(_ARRAY_RECORD, size_of(arrays))
            pieces += [_start_of(_ITEMS, len(field) + size_of(arrays)) + field, *arrays]
        else:
            proto = flower.recorddict_to_proto(flower.RecordDict({key: record}))
            pieces.append(proto.SerializeToString())
    return pieces


def content_field(pieces: Sequence[bytes]) -> list[bytes]:
    """Return an encoded content as the field that belongs behind its message's head."""
    return [_start_of(_CONTENT, size_of(pieces)), *pieces]


def _encoded_array(flower: Any, key: str, array: Any) -> Iterator[bytes]:
    """Yield the pieces of an item of an ArrayRecord."""
    about = SimpleNamespace(dtype=array.dtype, shape=array.shape, stype=array.stype, data=b"")
    value: bytes = flower.array_to_proto(about).SerializeToString()
    if array.data:
        value += _start_of(_DATA, len(array.data))
    size = len(value) + len(array.data)
    field = _bytes_field(_KEY, key.encode()) + _start_of(_VALUE, size) + value
    yield _start_of(_ITEMS, len(field) + len(array.data)) + field
    if array.data:
        yield array.data


def decoded(flower: Any, frame: Frame) -> Any:
    """Decode a message, as Flower's `message_from_proto` does.

    Raises
    ------
    Exception
        If it is none: whichever Flower, protobuf or this module raises.
    """
    head: list[bytes] = []
    records: dict[str, Any] | None = None
    for tag, start, length in _fields(frame, 0):
        if tag != _tag(_CONTENT):
            head.append(start + frame.read(length))
        elif records is None:
            records, others = _records(flower, frame, frame.left - length)
            head += content_field(others)
        else:
            raise ValueError("a message has two contents")
    message = flower.message_from_proto(flower.ProtoMessage.FromString(b"".join(head)))
    if records is not None and any(record is not None for record in records.values()):
        content = message.content
        message.content = flower.RecordDict(
            {key: content[key] if record is None else record for key, record in records.items()}
        )
    return message


def _records(flower: Any, frame: Frame, end: int) -> tuple[dict[str, Any], list[bytes]]:
    """Read a RecordDict; returns its ArrayRecords by key, and all else of it, encoded.

    Other records, too, have their place by key: None.
    """
    records: dict[str, Any] = {}
    others: list[bytes] = []
    for tag, start, length in _fields(frame, end):
        if tag != _tag(_ITEMS):
            others.append(start + frame.read(length))
            continue
        key, rest, record = "", [], None
        for inner, inner_start, inner_length in _fields(frame, frame.left - length):
            if inner == _tag(_ARRAY_RECORD):
                record = _array_record(flower, frame, frame.left - inner_length)
                continue
            value = frame.read(inner_length)
            rest.append(inner_start + value)
            if inner == _tag(_KEY):
                key = value.decode()
        records[key] = record
        if record is None:
            others += [_start_of(_ITEMS, size_of(rest)), *rest]
    return records, others


def _array_record(flower: Any, frame: Frame, end: int) -> Any:
    """Read an ArrayRecord."""
    items = []
    for tag, _, length in _fields(frame, end):
        if tag != _tag(_ITEMS):
            frame.read(length)
            continue
        key, array = "", None
        for inner, _, inner_length in _fields(frame, frame.left - length):
            if inner == _tag(_VALUE):
                array = _array(flower, frame, frame.left - inner_length)
            elif inner == _tag(_KEY):
                key = frame.read(inner_length).decode()
            else:
                frame.read(inner_length)
        items.append(SimpleNamespace(key=key, value=array))
    return flower.array_record_from_proto(SimpleNamespace(items=items))


def _array(flower: Any, frame: Frame, end: int) -> Any:
    """Read an Array; returns what `array_from_proto` reads of one."""
    head, data = [], b""
    for tag, start, length in _fields(frame, end):
        value = frame.read(length)
        if tag == _tag(_DATA):
            data = value
        else:
            head.append(start + value)
    about = flower.ProtoArray.FromString(b"".join(head))
    return SimpleNamespace(dtype=about.dtype, shape=about.shape, stype=about.stype, data=data)


def _fields(frame: Frame, end: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield tag, all bytes before the value, and the value's length, for each field.

    Up to where `end` bytes are left. Who iterates reads each value before going on.
    """
    while frame.left > end:
        tag, start = _varint(frame)
        kind = tag & 7
        if kind == _LENGTH_DELIMITED:
            length, more = _varint(frame)
            start += more
        elif kind == _VARINT:
            length, start = 0, start + _varint(frame)[1]
        elif kind in (_FIXED_64, _FIXED_32):
            length = 8 if kind == _FIXED_64 else 4
        else:
            raise ValueError(f"a message has a field of wire type {kind}")
        if length > frame.left - end:
            raise ValueError("a message is cut off")
        yield tag, start, length


def _varint(frame: Frame) -> tuple[int, bytes]:
    """Read a number; returns it, and how it stands there."""
    number, encoded = 0, b""
    while len(encoded) < 10:
        byte = frame.read(1)
        number |= (byte[0] & 0x7F) << 7 * len(encoded)
        encoded += byte
        if byte[0] < 0x80:
            return number, encoded
    raise ValueError("a message has a number without an end")


def _tag(number: int) -> int:
    return number << 3 | _LENGTH_DELIMITED


def _start_of(number: int, length: int) -> bytes:
    """Return the tag and length before a value of so many bytes."""
    return _number(_tag(number)) + _number(length)


def _bytes_field(number: int, value: bytes) -> bytes:
    return _start_of(number, len(value)) + value


def _number(number: int) -> bytes:
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    while len(data) < length:
        more = file.read(length - len(data))
        if not more:
            raise EOFError("the bridge closed the pipe")
        data += more
    return data
