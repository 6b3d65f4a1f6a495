"""What messages that say the same have in common, and a reply to one as a reply to another."""

import time

import pytest

from protos import fleet_pb2 as fleet
from proxy.blocks import Joined
from proxy.fleet.contents import content_id, readdressed
from proxy.fleet.messages import Instruction, Reply
from proxy.fleet.releases import SCHEMAS, Schema
from proxy.fleet.replies import check_reply
from proxy.testing import Content, FakeSuperLink, Objects, make_reply, record_dict
from proxy.transport.superlink import SuperLink

MODEL = record_dict(weights=b"w" * 100, bias=b"b")


@pytest.fixture(params=SCHEMAS, ids=lambda schema: schema.releases)
def schema(request: pytest.FixtureRequest) -> Schema:
    found: Schema = request.param
    return found


def asked(schema: Schema, content: Objects = MODEL) -> Instruction:
    """Return a message, as a SuperLink of its own hands it out."""
    superlink = FakeSuperLink(schema=schema, clock=time.time)
    node = SuperLink(superlink)
    node.register()
    for _ in range(3):  # node ids differ
        node.heartbeat()
    superlink.push_instruction(content, node.node_id)
    instruction = node.pull_messages()
    assert instruction is not None
    return instruction


def test_messages_of_the_same_content_have_it_in_common_and_no_others_do(schema: Schema) -> None:
    first, second = asked(schema), asked(schema)
    assert first.message_id != second.message_id
    assert content_id(first) == content_id(second)
    assert content_id(asked(schema, record_dict(weights=b"w" * 100))) != content_id(first)


def test_a_whole_message_may_be_in_pieces() -> None:
    whole = asked(SCHEMAS[0])
    pieces = Joined(whole.encoded[:50], whole.encoded[50:])
    assert content_id(Instruction.decode(pieces) or whole) == content_id(whole)


@pytest.mark.parametrize("says", [MODEL, None], ids=["content", "error"])
def test_a_reply_to_the_message_before_is_one_that_a_superlink_takes_for_this_message(
    schema: Schema, says: Content | None
) -> None:
    before, now_asked = asked(schema), asked(schema)
    if says is None:
        says = fleet.Error(code=8, reason="It crashed.")
    reply, contents = make_reply(before, says)
    again, read = readdressed(reply, contents.__getitem__, now_asked, time.time())
    assert again.metadata.reply_to_message_id == now_asked.message_id
    assert again.clientapp_runtime == reply.clientapp_runtime
    assert again.object_ids[:-1] == reply.object_ids[:-1]

    def head(object_id: str) -> tuple[bytes, int]:
        content = read(object_id)
        return content.partition(b"\0")[0], len(content)

    check_reply(again, now_asked, head, read, time.time(), time.time())
    assert Reply.decode(again.encoded).error == reply.error
