"""Without a SuperLink every message still gets exactly one reply, whatever becomes of its node."""

import hashlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from protos import fleet_pb2 as fleet
from proxy.blocks import Data, in_memory
from proxy.central.central_proxy import CentralProxy
from proxy.central.link_state import DirectLink, LinkState, NodeInfo
from proxy.central.report import MessageRecord, Observer
from proxy.errors import FleetError
from proxy.fleet.messages import (
    SUPERLINK_NODE_ID,
    ErrorCode,
    Instruction,
    PushAnswer,
    Reply,
    parse,
)
from proxy.fleet.releases import SCHEMAS, Layout
from proxy.testing import MemoryCarrier, record_dict
from proxy.tests.helpers import wait_until
from proxy.transport.testing import inline_content, make_whole_message

RUN = fleet.Run(
    run_id=7, fab_id="them/app", fab_version="1", fab_hash=hashlib.sha256(b"fab").hexdigest()
)
FAB = fleet.Fab(hash_str=RUN.fab_hash, content=b"fab")
CONTENT = b"\n\x03abc"
HOUR = 3600.0


class Grid:
    """The ServerApp's end: what it sends, and all that it hears."""

    def __init__(self) -> None:
        self.now = 1000.0
        # Seconds that the machine was suspended.
        self.suspended = 0.0
        self.replies: list[fleet.Message] = []
        self.answered: list[str] = []
        self.known: dict[int, NodeInfo] = {}
        self.links = LinkState(self.hear, lambda: self.now, lambda: self.now - self.suspended)
        self.links.open(RUN.SerializeToString(), FAB)

    def hear(self, message_id: str, reply: Data) -> None:
        """Take a reply."""
        self.answered.append(message_id)
        self.replies.append(fleet.Message.FromString(in_memory(reply)))

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep."""
        self.now += seconds
        self.suspended += seconds

    def news(self) -> Sequence[NodeInfo]:
        """Hear what has changed about nodes."""
        news = self.links.news()
        self.known |= {info.node_id: info for info in news}
        return news

    @property
    def online(self) -> list[int]:
        """The nodes that are online, by what the Grid heard."""
        self.news()
        return [node_id for node_id, info in self.known.items() if info.status == "online"]

    def join(self) -> DirectLink:
        """Let a node in."""
        node = self.links.connect("station")
        node.register()
        return node

    def message(self, node_id: int, message_id: str = "f" * 64, ttl: float = HOUR) -> bytes:
        """Make a message, with its content behind a field that is not known here."""
        metadata = fleet.Metadata(
            run_id=RUN.run_id,
            message_id=message_id,
            src_node_id=SUPERLINK_NODE_ID,
            dst_node_id=node_id,
            message_type="train",
            created_at=self.now,
            ttl=ttl,
        )
        return fleet.Message(metadata=metadata).SerializeToString() + b"\x12\x05" + CONTENT


def reply_to(asked: Instruction, content: bytes = CONTENT) -> Reply:
    metadata = fleet.Metadata(
        reply_to_message_id=asked.message_id, src_node_id=asked.metadata.dst_node_id
    )
    message = fleet.Message(metadata=metadata).SerializeToString() + b"\x12\x05" + content
    return Reply.decode(b"\x12" + bytes([len(message)]) + message)


@pytest.fixture
def grid() -> Grid:
    return Grid()


def pulled(node: DirectLink) -> Instruction:
    instruction = node.pull_messages()
    assert instruction is not None
    return instruction


# Messages


def test_a_message_reaches_its_node_byte_for_byte(grid: Grid) -> None:
    node, _ = grid.join(), grid.join()
    sent = grid.message(node.node_id)
    grid.links.push(sent)
    instruction = pulled(node)
    assert instruction.layout == Layout.INLINE
    assert instruction.object_ids == ()
    assert instruction.encoded.endswith(sent)
    assert parse(fleet.PullMessagesResponse, instruction.encoded).messages_list[0] == (
        fleet.Message.FromString(sent)
    )


def test_a_node_gets_a_message_once(grid: Grid) -> None:
    node = grid.join()
    grid.links.push(grid.message(node.node_id))
    pulled(node)
    assert node.pull_messages() is None


def test_a_reply_is_delivered_as_it_came(grid: Grid) -> None:
    node = grid.join()
    grid.links.push(grid.message(node.node_id))
    reply = reply_to(pulled(node))
    assert node.push_messages(reply, Layout.INLINE) == PushAnswer()
    (delivered,) = grid.replies
    assert delivered == parse(fleet.PushMessagesRequest, reply.encoded).messages_list[0]


def test_only_the_first_reply_is_delivered(grid: Grid) -> None:
    node = grid.join()
    grid.links.push(grid.message(node.node_id))
    instruction = pulled(node)
    node.push_messages(reply_to(instruction), Layout.INLINE)
    node.push_messages(reply_to(instruction, b"other"), Layout.INLINE)
    assert len(grid.replies) == 1


def test_the_run_and_its_app_are_for_every_node(grid: Grid) -> None:
    node = grid.join()
    assert parse(fleet.GetRunResponse, node.get_run(7)).run == RUN
    assert parse(fleet.GetFabResponse, node.get_fab(7, RUN.fab_hash)).fab == FAB


def test_a_message_that_waits_for_its_reply_is_handed_out_once(grid: Grid) -> None:
    node = grid.join()
    for _ in range(2):
        grid.links.push(grid.message(node.node_id))
    pulled(node)
    assert node.pull_messages() is None


@pytest.mark.parametrize(
    "message",
    [
        b"\xff\xff",
        # With two readings: its metadata occurs twice, for two nodes.
        b"".join(
            fleet.Message(
                metadata=fleet.Metadata(message_id="f", dst_node_id=node, created_at=1.0, ttl=1.0)
            ).SerializeToString()
            for node in (2, 3)
        ),
        fleet.Message(metadata=fleet.Metadata(created_at=1.0, ttl=1.0)).SerializeToString(),
        fleet.Message(
            metadata=fleet.Metadata(message_id="f", created_at=1.0, ttl=float("nan"))
        ).SerializeToString(),
    ],
    ids=["no protobuf", "two readings", "no id", "expires at no time"],
)
def test_what_is_no_message_is_refused(message: bytes, grid: Grid) -> None:
    with pytest.raises(FleetError):
        grid.links.push(message)
    assert grid.replies == []


def test_a_message_may_live_for_ever(grid: Grid) -> None:
    node = grid.join()
    grid.links.push(grid.message(node.node_id, ttl=float("inf")))
    reply = reply_to(pulled(node))
    node.push_messages(reply, Layout.INLINE)
    assert grid.answered == ["f" * 64]
    assert not grid.replies[0].HasField("error")


@pytest.mark.parametrize(
    "more",
    [
        b"\x0a\x00\x0a\x00",  # a node that occurs twice
        b"\x18\x01",  # a tree that is a number
        b"\xa0\x06\x81\x00",  # a number that takes more bytes than it needs
    ],
)
def test_a_reply_that_cannot_be_delivered_is_an_error(more: bytes, grid: Grid) -> None:
    node = grid.join()
    grid.links.push(grid.message(node.node_id))
    reply = reply_to(pulled(node))
    node.push_messages(Reply.decode(more + reply.encoded), Layout.INLINE)
    assert [each.error.code for each in grid.replies] == [ErrorCode.REPLY_MESSAGE_UNAVAILABLE]
    assert grid.answered == ["f" * 64]


def test_a_node_cannot_answer_for_another(grid: Grid) -> None:
    asked, liar = grid.join(), grid.join()
    grid.links.push(grid.message(asked.node_id))
    reply = reply_to(pulled(asked))
    liar.push_messages(reply, Layout.INLINE)
    assert grid.replies == []
    asked.push_messages(reply, Layout.INLINE)
    assert len(grid.replies) == 1


# What no station answers


def test_a_message_for_a_node_that_is_not_there_is_answered_at_once(grid: Grid) -> None:
    grid.links.push(grid.message(4711))
    (reply,) = grid.replies
    assert reply.error.code == ErrorCode.NODE_UNAVAILABLE
    assert reply.metadata.reply_to_message_id == "f" * 64
    assert reply.metadata.dst_node_id == SUPERLINK_NODE_ID


def test_a_message_for_a_node_that_went_offline_is_answered(grid: Grid) -> None:
    node = grid.join()
    grid.links.push(grid.message(node.node_id))
    grid.links.check()
    assert grid.replies == []
    grid.now += 61
    grid.links.check()
    assert grid.replies[0].error.code == ErrorCode.NODE_UNAVAILABLE
    node.heartbeat()
    assert node.pull_messages() is None  # it is not handed out any more


def test_a_node_that_has_a_message_may_be_offline_for_a_while(grid: Grid) -> None:
    node = grid.join()
    grid.links.push(grid.message(node.node_id))
    instruction = pulled(node)
    grid.now += 61
    grid.links.check()
    node.push_messages(reply_to(instruction), Layout.INLINE)
    assert [reply.HasField("error") for reply in grid.replies] == [False]


def test_a_node_is_as_online_as_before_when_the_machine_was_suspended(grid: Grid) -> None:
    node = grid.join()
    grid.links.push(grid.message(node.node_id))
    grid.suspend(61.0)
    grid.links.check()
    assert grid.replies == []
    assert grid.online == [node.node_id]


def test_which_messages_no_node_had_taken_is_told(grid: Grid) -> None:
    """Nobody else hears of them."""
    node, other = grid.join(), grid.join()
    for node_id, message_id, ttl in (
        *((node.node_id, "a", 5.0), (node.node_id, "b", 5.0), (node.node_id, "c", 100.0)),
        (other.node_id, "d", 100.0),
    ):
        grid.links.push(grid.message(node_id, message_id * 64, ttl=ttl))
    pulled(node)
    grid.now += 6
    assert [message.message_id for message in grid.links.check()] == ["b" * 64]
    node.heartbeat()
    grid.now += 55
    assert [message.message_id for message in grid.links.check()] == ["d" * 64]
    assert grid.answered == ["a" * 64, "b" * 64, "d" * 64]


def test_a_message_expires_while_the_machine_is_suspended(grid: Grid) -> None:
    node = grid.join()
    grid.links.push(grid.message(node.node_id, ttl=60.0))
    grid.suspend(61.0)
    grid.links.check()
    assert grid.replies[0].error.code == ErrorCode.MESSAGE_UNAVAILABLE


def test_what_a_node_leaves_unanswered_when_it_goes_is_answered(grid: Grid) -> None:
    node = grid.join()
    grid.links.push(grid.message(node.node_id, "a" * 64))
    grid.links.push(grid.message(node.node_id, "b" * 64))
    pulled(node)
    node.unregister()
    assert grid.answered == ["a" * 64, "b" * 64]
    assert {each.error.code for each in grid.replies} == {ErrorCode.NODE_UNAVAILABLE}


def test_a_message_that_expires_is_answered(grid: Grid) -> None:
    node = grid.join()
    grid.links.push(grid.message(node.node_id, ttl=5.0))
    instruction = pulled(node)
    grid.now += 6
    grid.links.check()
    assert grid.replies[0].error.code == ErrorCode.MESSAGE_UNAVAILABLE
    node.push_messages(reply_to(instruction), Layout.INLINE)
    assert len(grid.replies) == 1


# Nodes


def test_the_grid_hears_which_nodes_are_online(grid: Grid) -> None:
    first, second = grid.join(), grid.join()
    assert grid.online == [first.node_id, second.node_id]
    grid.now += 50
    second.heartbeat()
    grid.now += 11
    grid.links.check()
    assert grid.online == [second.node_id]
    first.heartbeat()
    assert grid.online == [first.node_id, second.node_id]
    first.unregister()
    assert grid.online == [second.node_id]
    assert grid.known[first.node_id].status == "unregistered"


def test_a_node_that_is_gone_does_not_come_back_with_a_late_heartbeat(grid: Grid) -> None:
    node = grid.join()
    node.unregister()
    node.heartbeat()
    assert grid.online == []


def test_there_is_no_news_when_nothing_changes(grid: Grid) -> None:
    node = grid.join()
    grid.news()
    for _ in range(3):
        grid.links.check()
        node.heartbeat()  # at the same moment
    assert grid.news() == []


def test_the_grid_hears_until_when_a_node_is_online(grid: Grid) -> None:
    node = grid.join()
    (before,) = grid.news()
    grid.now += 20.0
    node.heartbeat()
    (after,) = grid.news()
    assert (before.online_until, after.online_until) == (1060.0, 1080.0)
    assert before.registered_at == after.registered_at == "1970-01-01T00:16:40+00:00"


def test_of_three_hundred_nodes_the_grid_hears_what_changed(grid: Grid) -> None:
    """Not of all nodes at each heartbeat, which would be 90,000 in a round."""
    nodes = [grid.join() for _ in range(300)]
    heard = len(grid.news())
    grid.now += 10.0
    for node in nodes:
        node.heartbeat()
        heard += len(grid.news())
    assert heard == 600


def test_changes_of_a_node_of_which_nobody_heard_are_heard_as_one(grid: Grid) -> None:
    node = grid.join()
    for _ in range(100):
        grid.now += 10.0
        node.heartbeat()
    assert [info.online_until for info in grid.news()] == [grid.now + 60.0]


def test_who_waits_for_news_hears_when_there_is_some_and_when_there_will_be_none(
    grid: Grid,
) -> None:
    heard: list[bool] = []
    waiting = threading.Thread(target=lambda: heard.append(grid.links.wait_for_news()))
    waiting.start()
    grid.join()
    waiting.join(20.0)
    grid.links.close()
    assert [*heard, grid.links.wait_for_news()] == [True, False]


def test_no_node_is_called_as_the_superlink(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([0, SUPERLINK_NODE_ID, 5, 5, 6])
    monkeypatch.setattr("proxy.central.link_state.secrets.randbits", lambda _: next(drawn))
    assert [grid.join().node_id, grid.join().node_id] == [5, 6]


# With virtual SuperNodes


class Records(Observer):
    def __init__(self) -> None:
        self.answers: list[MessageRecord] = []

    def answered(self, record: MessageRecord) -> None:
        self.answers.append(record)


def test_stations_answer_through_a_carrier(grid: Grid, tmp_path: Path) -> None:
    carrier = MemoryCarrier(lambda _: record_dict(weights=b"trained"), schema=SCHEMAS[0])
    records = Records()
    central = CentralProxy(grid.links.connect, carrier, tmp_path, HOUR, records)
    central.start()
    try:
        (node_id,) = grid.online
        # SuperNodes in memory are of a release whose messages have such ids.
        metadata = fleet.Metadata(
            run_id=RUN.run_id,
            message_id="00000000-0000-4000-8000-000000000000",
            dst_node_id=node_id,
            created_at=time.time(),
            ttl=HOUR,
        )
        asked = make_whole_message(metadata, record_dict(weights=b"weights"))
        grid.links.push(asked.SerializeToString())
        assert wait_until(lambda: records.answers)
    finally:
        central.stop()
    assert [each.error for each in records.answers] == [""]
    (reply,) = grid.replies
    assert inline_content(reply) == record_dict(weights=b"trained")
    assert grid.online == []
