"""What is read of a message without its content is what protobuf reads of the message."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import fleet_pb2 as fleet
from proxy.blocks import Joined, Stored, in_memory, part_of, sha256_of
from proxy.errors import FleetError
from proxy.fleet import wire
from proxy.fleet.inline import place_of_message, without_arrays, without_content
from proxy.fleet.messages import Instruction, Reply

# Fields as Flower writes them, and others that a later release may add.
fields = st.one_of(
    st.builds(wire.field, st.integers(20, 200), st.binary(max_size=40)),
    st.integers(0, 127).map(lambda value: b"\x20" + bytes([value])),
    st.binary(min_size=8, max_size=8).map(lambda value: b"\x29" + value),
    st.binary(min_size=4, max_size=4).map(lambda value: b"\x35" + value),
)
metadata = st.builds(
    fleet.Metadata, run_id=st.integers(0, (1 << 64) - 1), message_id=st.text(max_size=70)
)


def message(about: fleet.Metadata, content: bytes | None, more: list[bytes]) -> bytes:
    encoded = fleet.Message(metadata=about).SerializeToString()
    return encoded + (b"" if content is None else wire.field(2, content)) + b"".join(more)


messages = st.builds(
    message, metadata, st.none() | st.binary(max_size=300), st.lists(fields, max_size=3)
)


@given(st.lists(messages, max_size=3), st.lists(fields, max_size=3))
def test_all_but_the_content_is_as_protobuf_reads_it(sent: list[bytes], more: list[bytes]) -> None:
    encoded = b"".join(wire.field(2, each) for each in sent) + b"".join(more)
    whole = fleet.PullMessagesResponse.FromString(encoded)
    head = fleet.PullMessagesResponse.FromString(without_content(encoded))
    assert [each.metadata for each in head.messages_list] == [
        each.metadata for each in whole.messages_list
    ]
    assert wire.values(without_content(encoded), 2, 2) == []


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused_as_protobuf_would(encoded: bytes) -> None:
    try:
        ours = Instruction.decode(encoded, whole=True)
    except FleetError:
        return
    theirs = fleet.PullMessagesResponse.FromString(without_content(encoded))
    assert (ours is None) == (not theirs.messages_list)


@given(messages, st.lists(fields, max_size=3), st.integers(1, 50))
def test_a_message_is_found_where_it_is_however_the_bytes_come(
    sent: bytes, more: list[bytes], cut: int
) -> None:
    encoded = b"".join(more) + wire.field(2, sent)
    data = Joined(encoded[:cut], encoded[cut:])
    place = place_of_message(data)
    assert in_memory(part_of(data, place.start, place.size)) == sent
    assert without_content(data) == without_content(encoded)


@pytest.mark.parametrize(
    "encoded",
    [
        b"\x12\x85\x00hello",  # a length in two bytes, for one
        b"\x92\x00\x05hello",  # a tag in two bytes, for one
        b"\x12\x06hello",  # cut off
        b"\x12\x02\x12\x05hello",  # longer than what it is in
        b"\x13\x14",  # a group
        b"\x12",
        b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ],
)
def test_what_readers_might_read_differently_is_refused(encoded: bytes) -> None:
    with pytest.raises(FleetError):
        Instruction.decode(encoded, whole=True)
    with pytest.raises(FleetError):
        Reply.decode(encoded)


def test_two_messages_have_no_place() -> None:
    with pytest.raises(FleetError, match="2 messages instead of one"):
        place_of_message(wire.field(2, b"") * 2)


def test_without_arrays_other_records_stay() -> None:
    def item(number: int, record: bytes) -> bytes:
        return wire.field(1, wire.field(1, b"name") + wire.field(number, record))

    def pushed(*items: bytes) -> bytes:
        return wire.field(2, wire.field(2, b"".join(items)))

    arrays, metrics = item(2, bytes(1000)), item(3, b"metrics")
    without = wire.field(1, wire.field(1, b"name"))
    assert without_arrays(pushed(arrays, metrics)) == pushed(without, metrics)


# Bytes in a file


def test_stored_bytes_are_removed_with_the_last_who_needs_them(tmp_path: Path) -> None:
    stored = Stored(tmp_path, [b"a" * 2_000_000, b"b"])
    part = part_of(Joined(b"head", stored), 3, 2_000_001)
    assert stored.size == 2_000_001
    del stored
    assert in_memory(part) == b"d" + b"a" * 2_000_000
    assert in_memory(part) == b"d" + b"a" * 2_000_000
    del part
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_was_joined_is_itself(tmp_path: Path) -> None:
    """So a content that goes to many stations is read once to hash it."""
    stored = Stored(tmp_path, [b"content"])
    joined = Joined(b"field", Joined(b"head", stored), b"", b"more")
    assert part_of(joined, 9, 7) is stored
    assert in_memory(part_of(joined, 10, 7)) == b"ontentm"
    assert in_memory(part_of(joined, 4, 6)) == b"dheadc"
    with pytest.raises(EOFError):
        in_memory(part_of(joined, 10, 11))
    hashed = sha256_of(stored)
    assert hashed == sha256_of(b"content")
    (file,) = tmp_path.iterdir()
    file.unlink()
    assert sha256_of(part_of(joined, 9, 7)) == hashed


def test_bytes_that_cannot_be_stored_leave_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"a" * 2_000_000
        raise EOFError

    with pytest.raises(EOFError):
        Stored(tmp_path, broken())
    assert list(tmp_path.iterdir()) == []
