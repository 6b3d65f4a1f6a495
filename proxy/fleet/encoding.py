"""How protobuf writes numbers, and which kinds of values there are on the wire. No I/O.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

from google.protobuf.message import DecodeError

# The wire type of a value: the lowest three bits of its tag.
VARINT, FIXED_64, LENGTH_DELIMITED, GROUP, GROUP_END, FIXED_32 = range(6)
FIXED_BYTES = {FIXED_64: 8, FIXED_32: 4}
MAX_VARINT_BYTES = 10
MAX_FIELD_NUMBER = (1 << 29) - 1
# As deep as protobuf itself reads messages in messages.
MAX_DEPTH = 100


def tag(number: int, wire_type: int = LENGTH_DELIMITED) -> int:
    """Return the tag of a field, which stands before its value."""
    return number << 3 | wire_type


def write_varint(number: int) -> bytes:
    """Encode a number that is not negative."""
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def read_varint(encoded: bytes | memoryview, place: int = 0) -> tuple[int, int]:
    """Return a number, and the place behind it.

    Raises
    ------
    DecodeError
        If there is no number.
    """
    number = 0
    for index, byte in enumerate(encoded[place : place + MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number, place + index + 1
    raise DecodeError("The message is cut off.")


def is_shortest(number: int, length: int) -> bool:
    """Whether a number of at most 64 bits was written in no more bytes than it needs."""
    return not number >> 64 and (length == 1 or number >> 7 * (length - 1) > 0)
