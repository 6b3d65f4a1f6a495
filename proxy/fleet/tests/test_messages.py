"""Flower's messages as the bridge reads them, and the error replies that it makes itself."""

import contextlib
import hashlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import fleet_pb2 as fleet
from proxy.errors import FleetError
from proxy.fleet.messages import (
    TTL_TOLERANCE,
    ErrorCode,
    Instruction,
    Reply,
    error_reply,
    object_id,
    parse,
    tree_ids,
)
from proxy.fleet.releases import Layout
from proxy.testing import FakeSuperLink, make_message, record_dict
from proxy.transport.superlink import SuperLink

trees = st.recursive(
    st.builds(fleet.ObjectTree, object_id=st.sampled_from("abc")),
    lambda inner: st.builds(
        fleet.ObjectTree, object_id=st.sampled_from("defgh"), children=st.lists(inner, max_size=4)
    ),
)
metadata = st.builds(
    fleet.Metadata,
    run_id=st.integers(0, 2**64 - 1),
    message_id=st.text(),
    dst_node_id=st.integers(0, 2**64 - 1),
    group_id=st.text(),
    message_type=st.text(),
    created_at=st.floats(1e9, 2e9),
    ttl=st.floats(0.1, 1e6),
)


def instruction() -> tuple[FakeSuperLink, SuperLink, Instruction]:
    """Return a message that was just pulled, and where it is from."""
    superlink = FakeSuperLink()
    node = SuperLink(superlink)
    node.register()
    superlink.push_instruction(record_dict(weights=b"w"), node.node_id)
    pulled = node.pull_messages()
    assert pulled is not None
    return superlink, node, pulled


def asking(metadata: fleet.Metadata) -> Instruction:
    """Return a message with such metadata, of which nothing else matters."""
    return Instruction(b"", metadata, (), Layout.TREE)


# Objects


def test_an_objects_id_is_the_sha256_of_its_content() -> None:
    assert object_id(b"content") == hashlib.sha256(b"content").hexdigest()


@given(trees)
def test_a_trees_ids_are_named_once_each(tree: fleet.ObjectTree) -> None:
    def walk(node: fleet.ObjectTree) -> set[str]:
        return {node.object_id}.union(*(walk(child) for child in node.children))

    ids = list(tree_ids(tree))
    assert len(ids) == len(set(ids))
    assert set(ids) == walk(tree)


def test_children_are_named_before_their_parents() -> None:
    _, objects = make_message(fleet.Metadata(), record_dict(a=b"1", b=b"2"))
    order = list(tree_ids(objects.tree))

    def check(node: fleet.ObjectTree) -> None:
        for child in node.children:
            assert order.index(child.object_id) < order.index(node.object_id)
            check(child)

    check(objects.tree)


# Reading


def test_an_answer_without_a_message_is_no_instruction() -> None:
    assert Instruction.decode(b"") is None


def test_an_instruction_is_kept_as_it_came() -> None:
    _, _, pulled = instruction()
    assert Instruction.decode(pulled.encoded) == pulled
    # Parsing it and writing it again would do no harm either: unknown fields are kept.
    again = parse(fleet.PullMessagesResponse, pulled.encoded).SerializeToString()
    assert sorted(again) == sorted(pulled.encoded)


def test_an_instruction_knows_when_it_expires() -> None:
    _, _, pulled = instruction()
    assert pulled.expires_at == pulled.metadata.created_at + pulled.metadata.ttl


def test_a_message_without_its_object_tree_is_refused() -> None:
    answer = fleet.PullMessagesResponse(messages_list=[fleet.Message()])
    with pytest.raises(FleetError, match="without its object tree"):
        Instruction.decode(answer.SerializeToString())


@pytest.mark.parametrize("number", [0, 2])
def test_not_exactly_one_reply_is_refused(number: int) -> None:
    request = fleet.PushMessagesRequest(
        messages_list=[fleet.Message()] * number,
        message_object_trees=[fleet.ObjectTree()] * number,
    )
    with pytest.raises(FleetError, match="none or several replies"):
        Reply.decode(request.SerializeToString())


@given(st.binary())
def test_any_bytes_are_a_message_or_a_fleet_error(data: bytes) -> None:
    for decode in (Instruction.decode, Reply.decode):
        with contextlib.suppress(FleetError):
            decode(data)


def test_bytes_that_are_no_message_are_refused_naming_the_message() -> None:
    with pytest.raises(FleetError, match="invalid GetRunResponse"):
        parse(fleet.GetRunResponse, b"\xff")


# Error replies


def test_a_superlink_takes_an_error_reply_as_the_answer() -> None:
    superlink, node, pulled = instruction()
    reply, contents = error_reply(
        pulled, ErrorCode.NODE_UNAVAILABLE, "The station is closed.", time.time()
    )
    answer = node.push_messages(reply, pulled.layout)
    assert answer.wanted == set(reply.object_ids) == contents.keys()
    for each in answer.wanted:
        node.push_object(pulled.metadata.run_id, answer.session_id, each, contents[each])
    assert superlink.reply_to(pulled.message_id) == fleet.Error(
        code=5, reason="The station is closed."
    )


@given(metadata, st.floats(1e9, 2e9))
def test_an_error_reply_answers_its_message_and_goes_back_where_that_came_from(
    asked: fleet.Metadata, now: float
) -> None:
    reply, _ = error_reply(asking(asked), 0, "", now)
    assert reply.metadata.reply_to_message_id == asked.message_id
    assert reply.metadata.run_id == asked.run_id
    assert reply.metadata.group_id == asked.group_id
    assert reply.metadata.message_type == asked.message_type
    assert (reply.metadata.src_node_id, reply.metadata.dst_node_id) == (asked.dst_node_id, 1)


@given(metadata, st.floats(0, 2))
def test_an_error_reply_expires_with_its_message_or_at_once(
    asked: fleet.Metadata, share: float
) -> None:
    now, ends = asked.created_at + share * asked.ttl, asked.created_at + asked.ttl
    reply, _ = error_reply(asking(asked), 0, "", now)
    assert reply.metadata.ttl > 0
    assert reply.metadata.created_at + reply.metadata.ttl <= max(now, ends) + TTL_TOLERANCE


@given(metadata, st.integers(-(2**63), 2**63 - 1), st.text())
def test_an_error_reply_is_one_object_named_by_its_content(
    asked: fleet.Metadata, code: int, reason: str
) -> None:
    reply, contents = error_reply(asking(asked), code, reason, asked.created_at)
    assert reply.object_ids == tuple(contents) == tuple(map(object_id, contents.values()))
    assert reply.metadata.message_id == reply.object_ids[0]
    assert reply.error == fleet.Error(code=code, reason=reason)


def test_an_error_reply_is_encoded_as_flower_encodes_one() -> None:
    _, _, pulled = instruction()
    reply, contents = error_reply(pulled, 3, "gone", time.time())
    said = fleet.Metadata.FromString(reply.metadata.SerializeToString())
    said.message_id = ""
    _, objects = make_message(said, fleet.Error(code=3, reason="gone"))
    assert objects.contents == contents


def test_the_same_error_reply_is_the_same_bytes() -> None:
    _, _, pulled = instruction()
    first, second = (error_reply(pulled, 3, "gone", 1.0) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("encoded", [b"\x12\x00" * 2000, b"\x1a\xa0\x1f" + b"\x12\x00" * 2000])
def test_messages_and_trees_of_nothing_are_refused(encoded: bytes) -> None:
    for decode in (Instruction.decode, Reply.decode):
        with pytest.raises(FleetError, match="sent an invalid"):
            decode(encoded)
