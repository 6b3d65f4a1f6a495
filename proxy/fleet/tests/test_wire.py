import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from protos import fleet_pb2 as fleet
from proxy.fleet.wire import check_announcement, differences, double, field, values, views, zigzag

METADATA = fleet.Metadata(run_id=7, message_id="m", ttl=2.5)
MESSAGE = fleet.Message(metadata=METADATA, error=fleet.Error(code=-3, reason="why"))
PUSHED = fleet.PushMessagesRequest(messages_list=[MESSAGE, MESSAGE]).SerializeToString()
KINDS = fleet.DESCRIPTOR.message_types_by_name


def told(other: fleet.PushMessagesRequest) -> list[str]:
    return [
        str(each)
        for each in differences(PUSHED, other.SerializeToString(), KINDS["PushMessagesRequest"])
    ]


def pushed() -> fleet.PushMessagesRequest:
    return fleet.PushMessagesRequest.FromString(PUSHED)


def test_values_are_found_by_their_numbers() -> None:
    assert values(PUSHED, 2, 1, 1) == [7, 7]
    assert values(PUSHED, 2, 1, 2) == [b"m", b"m"]
    assert [double(int(each)) for each in values(PUSHED, 2, 1, 7)] == [2.5, 2.5]
    assert [zigzag(int(each)) for each in values(PUSHED, 2, 3, 1)] == [-3, -3]
    assert values(PUSHED, 9) == []


def test_what_is_no_message_has_no_values() -> None:
    with pytest.raises(DecodeError):
        values(b"abc", 1)


@given(st.integers(1, 1 << 20), st.binary(max_size=300))
def test_a_field_that_was_put_into_a_message_is_found_there(number: int, data: bytes) -> None:
    before = fleet.Metadata(run_id=7, ttl=2.5).SerializeToString()
    message = before + field(number << 4, data) + field(number << 4, b"second")
    assert values(message, number << 4) == [data, b"second"]


def test_values_are_found_without_a_copy() -> None:
    first, _ = views(PUSHED, 2)
    assert first.obj is PUSHED
    assert bytes(first) == MESSAGE.SerializeToString()


@pytest.mark.parametrize("encoded", [b"\x12", b"\x12\x05abc", b"\x08\xff", b"\x13"])
def test_what_is_cut_off_has_no_values(encoded: bytes) -> None:
    with pytest.raises(DecodeError):
        list(views(encoded, 2))


def test_equal_messages_do_not_differ() -> None:
    assert told(pushed()) == []


def test_a_difference_is_told_by_name_number_and_values() -> None:
    other = pushed()
    other.messages_list[1].metadata.ttl = 3.5
    other.messages_list[0].error.code = 4
    assert told(other) == [
        "messages_list.error.code (2.3.1): expected -3, got 4",
        "messages_list[1].metadata.ttl (2.1.7): expected 2.5, got 3.5",
    ]


def test_what_is_missing_and_what_is_too_much_is_told() -> None:
    other = pushed()
    other.messages_list[0].metadata.ClearField("message_id")
    other.messages_list[0].metadata.group_id = "1"
    assert told(other) == [
        "messages_list.metadata.message_id (2.1.2): expected 'm', got nothing",
        "messages_list.metadata.group_id (2.1.6): expected nothing, got '1'",
    ]


def test_a_field_of_which_our_protos_know_nothing_is_told_by_its_number() -> None:
    added = fleet.GetRunRequest(run_id=5).SerializeToString()
    assert [str(each) for each in differences(b"", added, KINDS["Node"])] == [
        "field (2): expected nothing, got 5"
    ]
    assert [str(each) for each in differences(b"", added, None)] == [
        "field (2): expected nothing, got 5"
    ]


def test_long_bytes_are_told_by_size_and_hash() -> None:
    content = fleet.Fab(content=bytes(1000)).SerializeToString()
    (found,) = differences(b"", content, KINDS["Fab"])
    assert found.actual == "1000 bytes with SHA-256 541b3e9daa09b20b…"


def test_groups_are_passed_over() -> None:
    group = b"\xa3\x06" + field(2, b"in the group") + b"\xa4\x06"
    assert values(group + field(2, b"behind it"), 2) == [b"behind it"]


@pytest.mark.parametrize(
    "encoded",
    [b"\x0b" * 200 + b"\x0c" * 200, b"\x0b", b"\x0b\x14", b"\x0c", b"\x00", b"\x08" + b"\xff" * 11],
)
def test_what_protobuf_refuses_is_refused(encoded: bytes) -> None:
    with pytest.raises(DecodeError):
        fleet.Node.FromString(encoded)
    with pytest.raises(DecodeError):
        values(encoded, 2)


def test_messages_in_messages_without_end_are_compared_like_others() -> None:
    tree = b""
    for _ in range(3000):
        tree = field(2, tree)
    assert differences(field(3, tree), b"", KINDS["PullMessagesResponse"])


@pytest.mark.parametrize(
    "encoded", [b"\x12\x00" * 2000, b"\x1a\x00" * 2000, field(3, b"\x12\x00" * 2000)]
)
def test_an_announcement_of_nothing_is_refused_before_protobuf_reads_it(encoded: bytes) -> None:
    with pytest.raises(DecodeError):
        check_announcement(encoded)


def test_an_announcement_of_many_objects_is_none_of_nothing() -> None:
    tree = fleet.ObjectTree(object_id="f" * 64)
    for number in range(20_000):
        tree.children.add(object_id=f"{number:064}")
    check_announcement(fleet.PullMessagesResponse(message_object_trees=[tree]).SerializeToString())
