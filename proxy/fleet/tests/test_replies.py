"""A reply that a SuperLink would refuse in silence is refused before, with the field named."""

import time

import pytest

from protos import fleet_pb2 as fleet
from proxy.errors import FleetError, ReplyRefused
from proxy.fleet.messages import Instruction, Reply
from proxy.fleet.releases import SCHEMAS, Layout, Schema
from proxy.fleet.replies import check_reply
from proxy.testing import Content, FakeSuperLink, record_dict
from proxy.tests.liars import LIES, Lie
from proxy.transport.superlink import SuperLink

TRAINED = record_dict(weights=b"trained", bias=b"bias")
NAMED = {
    "another run": "run",
    "another sender": "names node 5",
    "another receiver": "destination node 5",
    "a reply to another message": "message 0000",
    "a reply to none": "message  instead",
    "no message type": "no message type",
    "lives longer than its message": r"expires .* 60\.0 s after its message",
    "lives for ever": r"expires .* inf s after its message",
    "lives not at all": r"time to live of 0\.0",
    "lives less than not at all": r"time to live of -60\.0",
    "lives for no number of seconds": "time to live of nan",
    "expired": r"expired .* s ago.* at least \d+ s behind",
    "a clock an hour ahead": "clock is wrong: at least 36|clock is wrong: at least 3599",
    "a clock in 1970": r"created at 5 s since 1970.* behind",
    "created at no time": "created at nan",
    "created at the end of time": "created at inf",
    "pushed by another node": r"node \(of the call\)",
    "another id": "has the id aaaa",
    "no id": "none or several replies",
    "two values of its metadata": "two values of ttl",
    "an error besides its content": "two values of error",
    "two replies": "none or several replies",
    "no reply": "none or several replies",
    "no number of seconds": "runtime of nan",
    "objects that its tree lacks": "not what its tree says",
    "an object twice": "not what its tree says",
    "no message": "no Message object",
    "no object": "no Flower object",
    "a lying length": "no Flower object",
}


@pytest.fixture(params=SCHEMAS, ids=lambda schema: schema.releases)
def schema(request: pytest.FixtureRequest) -> Schema:
    schema: Schema = request.param
    return schema


def pulled(schema: Schema) -> Instruction:
    superlink = FakeSuperLink(schema=schema)
    node = SuperLink(superlink)
    node.register()
    superlink.push_instruction(record_dict(weights=b"weights"), node.node_id)
    instruction = node.pull_messages()
    assert instruction is not None
    return instruction


def check(lie: Lie, instruction: Instruction, content: Content = TRAINED) -> None:
    now = time.time()
    encoded, contents = lie.reply(instruction, content, now)

    def head(object_id: str) -> tuple[bytes, int]:
        return contents[object_id].partition(b"\0")[0], len(contents[object_id])

    check_reply(Reply.decode(encoded), instruction, head, contents.__getitem__, now, now)


@pytest.mark.parametrize("content", [TRAINED, fleet.Error(code=2, reason="no data")])
def test_what_a_supernode_pushes_is_accepted(schema: Schema, content: Content) -> None:
    check(Lie(), pulled(schema), content)


def test_each_lie_is_refused_and_its_field_is_named() -> None:
    assert NAMED.keys() == LIES.keys()
    for name, lie in LIES.items():
        with pytest.raises(FleetError, match=NAMED[name]):
            check(lie, pulled(SCHEMAS[-1]))


def test_a_clock_that_is_wrong_is_said_only_where_it_costs_the_reply() -> None:
    """The time to live that a SuperNode computes makes good for it."""
    check(Lie({"created_at_plus": 1800.0, "ttl_plus": -1800.0}), pulled(SCHEMAS[-1]))
    with pytest.raises(ReplyRefused, match=r"at least (7200|7199) s ahead"):
        check(Lie({"created_at_plus": 7200.0, "ttl_plus": -7200.0}), pulled(SCHEMAS[-1]))


def test_a_reply_without_objects_is_refused_where_the_message_had_some() -> None:
    instruction = pulled(SCHEMAS[-1])
    whole = Instruction(
        instruction.encoded, instruction.metadata, (), Layout.INLINE
    )  # a lie of the station's
    encoded, _ = Lie().reply(whole, TRAINED, time.time())
    with pytest.raises(ReplyRefused, match="not laid out as the message"):
        check_reply(
            *(Reply.decode(encoded), instruction, lambda _: (b"", 0), lambda _: b""),
            *(time.time(), time.time()),
        )
