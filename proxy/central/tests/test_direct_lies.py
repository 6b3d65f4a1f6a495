"""Whatever a ServerApp and stations send in direct mode, each message gets exactly one answer."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protos import fleet_pb2 as fleet
from proxy.central import link_state as direct
from proxy.central.link_state import DirectLink
from proxy.central.tests.test_link_state import HOUR, Grid, reply_to
from proxy.errors import FleetError
from proxy.fleet.messages import Instruction, Reply
from proxy.fleet.releases import Layout

# What protobuf reads in more than one way, or not at all, and what it skips.
PIECES = st.sampled_from(
    [
        b"\xa3\x06\xa4\x06",  # an unknown group
        b"\xa3\x06",  # one without an end
        b"\x0a\x00",  # another node, or metadata
        b"\x12\x02\x0a\x00",  # another message
        b"\x12\x81\x00\x00",  # a length that takes more bytes than it needs
        b"\x1a\x02\x0a\x00",  # an object tree
        b"\xff",
        b"\xf8\x01\x01",
    ]
)
JUNK = st.one_of(PIECES, st.binary(max_size=12))
WHICH = st.integers(0, 100)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 3), st.sampled_from([5.0, HOUR]), JUNK),
        st.tuples(st.just("send anything"), st.binary(max_size=60)),
        st.tuples(st.just("answer"), st.integers(0, 1), JUNK, JUNK, WHICH),
        st.tuples(st.just("leave"), st.integers(0, 1)),
        st.tuples(st.just("pass"), st.sampled_from([1.0, 10.0, 61.0])),
        st.tuples(st.just("suspend"), st.sampled_from([10.0, 61.0])),
    ),
    max_size=25,
)


class Liars:
    """A Grid with two nodes, and all messages that it sent and the nodes took."""

    def __init__(self) -> None:
        self.grid = Grid()
        self.nodes = [self.grid.join(), self.grid.join()]
        self.taken: dict[DirectLink, list[Instruction]] = {node: [] for node in self.nodes}
        self.sent: list[str] = []

    def do(self, step: tuple[object, ...]) -> None:
        """Take one step; what is refused was not sent."""
        what, *arguments = step
        steps: dict[object, Callable[..., None]] = {
            "send": self.send,
            "send anything": self.push,
            "answer": self.answer,
            "leave": self.leave,
            "pass": self.let_pass,
            "suspend": self.grid.suspend,
        }
        steps[what](*arguments)
        self.grid.links.check()

    def send(self, place: int, ttl: float, junk: bytes) -> None:
        """Send a message to a node, or to none."""
        node_id = self.nodes[place].node_id if place < len(self.nodes) else 4711
        self.push(self.grid.message(node_id, f"{len(self.sent):064}", ttl) + junk)

    def push(self, message: bytes) -> None:
        """Send any bytes; what is taken for a message counts as one."""
        waiting = set(self.grid.links._unanswered)
        answered = len(self.grid.answered)
        try:
            self.grid.links.push(message)
        except FleetError:
            return
        self.sent += [*(set(self.grid.links._unanswered) - waiting), *self.grid.answered[answered:]]

    def answer(self, place: int, before: bytes, behind: bytes, which: int) -> None:
        """Answer one of the messages that a node has or had, with junk around the reply."""
        node = self.nodes[place]
        if instruction := node.pull_messages():
            self.taken[node].append(instruction)
        asked = [each for taken in self.taken.values() for each in taken]
        if not asked:
            return
        encoded = before + reply_to(asked[which % len(asked)]).encoded + behind
        try:
            reply = Reply.decode(encoded)
        except FleetError:
            return  # A station's word that nobody hears.
        node.push_messages(reply, Layout.INLINE)

    def leave(self, place: int) -> None:
        """Let a node go, and another come in its place."""
        self.nodes[place].unregister()
        self.nodes[place] = self.grid.join()
        self.taken[self.nodes[place]] = []

    def let_pass(self, seconds: float) -> None:
        """Move both clocks, and let nodes say that they are there."""
        self.grid.now += seconds


@pytest.fixture(autouse=True)
def patience() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "_LONG_POLL_SECONDS", 0.0)
        yield


@settings(max_examples=3 * settings().max_examples)
@given(STEPS)
def test_each_message_gets_one_answer_before_it_expires(steps: list[tuple[object, ...]]) -> None:
    liars = Liars()
    for step in steps:
        liars.do(step)
    liars.grid.now += HOUR + 1.0
    liars.grid.links.check()
    assert sorted(liars.grid.answered) == sorted(liars.sent)
    # What the ServerApp reads is a reply to the message that it is told that it is one to.
    for message_id, reply in zip(liars.grid.answered, liars.grid.replies, strict=True):
        assert reply.metadata.reply_to_message_id == message_id
        assert reply.HasField("error") or b"abc" in reply.SerializeToString()


@given(st.binary(max_size=200))
def test_bytes_are_a_message_or_are_refused(message: bytes) -> None:
    grid = Grid()
    try:
        grid.links.push(message)
    except FleetError:
        assert not grid.answered
    else:
        assert len(grid.answered) == 1  # there are no nodes


@given(JUNK, JUNK)
def test_what_is_handed_over_is_what_was_checked(before: bytes, behind: bytes) -> None:
    grid = Grid()
    node = grid.join()
    try:
        grid.links.push(before + grid.message(node.node_id) + behind)
    except FleetError:
        return
    instruction = node.pull_messages()
    assert instruction is not None
    (message,) = fleet.PullMessagesResponse.FromString(instruction.encoded).messages_list
    assert message.metadata == instruction.metadata
    assert message.metadata.dst_node_id == node.node_id
