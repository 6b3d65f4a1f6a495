"""Numbers as protobuf writes them, and as nobody does."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from proxy.fleet.encoding import MAX_VARINT_BYTES, is_shortest, read_varint, write_varint


@given(st.integers(0, (1 << 64) - 1), st.binary(max_size=3))
def test_a_number_is_read_as_it_was_written(number: int, behind: bytes) -> None:
    encoded = write_varint(number)
    assert read_varint(encoded + behind) == (number, len(encoded))
    assert read_varint(behind + encoded, len(behind)) == (number, len(behind + encoded))
    assert is_shortest(number, len(encoded))


@given(st.integers(0, (1 << 62) - 1))
def test_a_number_in_more_bytes_than_it_needs_is_noticed(number: int) -> None:
    shortest = write_varint(number)
    longer = shortest[:-1] + bytes([shortest[-1] | 0x80, 0])
    assert read_varint(longer) == (number, len(longer))
    assert not is_shortest(number, len(longer))


def test_a_number_of_more_than_64_bits_is_not_one_of_protobufs() -> None:
    number, length = read_varint(b"\xff" * 9 + b"\x02")
    assert not is_shortest(number, length)


@pytest.mark.parametrize("encoded", [b"", b"\x80", b"\xff" * (MAX_VARINT_BYTES + 1)])
def test_what_does_not_end_is_no_number(encoded: bytes) -> None:
    with pytest.raises(DecodeError):
        read_varint(encoded)
