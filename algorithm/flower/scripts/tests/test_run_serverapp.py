"""The Grid of the direct mode does what Flower's own does: each message, each reply, each once."""

import json
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from algorithm.flower.scripts.run_serverapp import _Mailbox, frames, grid, takes
from algorithm.tests import fake_flwr
from algorithm.tests.fake_flwr import Message
from protos import fleet_pb2 as fleet

NODES = [4, 5]
LIMIT = 10_000_000


class Bridge:
    """The other end of the pipe, and the Grid at this one."""

    def __init__(
        self, before: Sequence[tuple[int, Sequence[str], bool]] = (), late: Mapping[str, float] = {}
    ) -> None:
        self.pipe, theirs = socket.socketpair()
        self.pipe.settimeout(20.0)
        self.file = self.pipe.makefile("rb")
        self.tell_nodes(NODES)
        taken = takes.Takes(before, late)
        self.mailbox = _Mailbox(fake_flwr, 7, theirs, theirs.makefile("rb"), LIMIT, taken)
        run = SimpleNamespace(run_id=7)
        superlink = grid.SuperLink(fake_flwr, self.mailbox, run)
        self.grid = grid.grid_class(fake_flwr)(run, self.mailbox, superlink)

    def tell_nodes(self, nodes: list[int], status: str = "online") -> None:
        """Say what has changed about some nodes."""
        news = [{"node_id": node, "status": status} for node in nodes]
        frames.send(self.pipe, b"N", [json.dumps(news).encode()])

    def receive(self) -> fleet.Message:
        """Return the next message that the Grid sent."""
        return fleet.Message.FromString(frames.receive_one(self.file, b"M").rest())

    def reply(self, message_id: str, text: str = "yes") -> None:
        """Send the reply to a message, and wait until it is there."""
        reply = Message(text)
        reply.metadata.reply_to_message_id = message_id
        self.reply_with(message_id, fake_flwr.message_to_proto(reply).SerializeToString())

    def reply_with(self, message_id: str, encoded: bytes) -> None:
        """Send any bytes as the reply to a message, and wait until they are there."""
        with self.mailbox.changed:
            frames.send(self.pipe, b"I", [message_id.encode()])
            frames.send(self.pipe, b"M", [encoded])
            assert self.mailbox.changed.wait(20.0)

    def close(self) -> None:
        self.file.close()
        self.pipe.close()


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    bridge = Bridge()
    yield bridge
    bridge.close()


def said(replies: list[Any]) -> list[Any]:
    """Return what replies say: a text, or an error's code."""
    return [
        each.content.code if isinstance(each.content, fake_flwr.Error) else each.content
        for each in replies
    ]


def test_a_message_is_sent_with_the_run_the_superlinks_node_id_and_its_own_id(
    bridge: Bridge,
) -> None:
    assert bridge.grid.push_messages([Message("hello", 4)]) == ["hello at 4"]
    about = bridge.receive().metadata
    assert (about.run_id, about.src_node_id, about.dst_node_id) == (7, 1, 4)
    assert about.message_id == "hello at 4"


def test_a_message_for_a_node_that_is_not_there_has_an_empty_id(bridge: Bridge) -> None:
    assert bridge.grid.push_messages([Message("hello", 6), Message("hello", 5)]) == [
        "",
        "hello at 5",
    ]
    assert bridge.receive().metadata.dst_node_id == 5


def test_a_message_for_a_node_that_is_offline_is_sent(bridge: Bridge) -> None:
    bridge.tell_nodes([5], "offline")
    bridge.grid.push_messages([Message("hello", 4)])
    bridge.reply("hello at 4")  # it comes behind the nodes
    assert bridge.grid.get_node_ids() == [4]
    assert bridge.grid.push_messages([Message("hello", 5)]) == ["hello at 5"]


def test_a_message_that_waits_for_its_reply_is_not_sent_again(bridge: Bridge) -> None:
    for text in ("hello", "hello", "bye"):
        bridge.grid.push_messages([Message(text, 4)])
    assert [fake_flwr.text_of(bridge.receive()) for _ in range(2)] == ["hello", "bye"]


def test_a_message_that_expires_at_once_is_refused(bridge: Bridge) -> None:
    message = Message("hello", 4)
    message.metadata.ttl = 0.0
    with pytest.raises(ValueError, match="Malformed PushMessages"):
        bridge.grid.push_messages([message])


@pytest.mark.parametrize("status", ["offline", "unregistered"])
def test_the_nodes_are_those_that_are_online(bridge: Bridge, status: str) -> None:
    assert bridge.grid.get_node_ids() == NODES
    bridge.tell_nodes([4], status)
    bridge.grid.push_messages([Message("hello", 5)])
    bridge.reply("hello at 5")  # it comes behind the nodes
    assert bridge.grid.get_node_ids() == [5]
    bridge.tell_nodes([4])
    bridge.grid.push_messages([Message("bye", 5)])
    bridge.reply("bye at 5")
    assert sorted(bridge.grid.get_node_ids()) == NODES


def test_a_message_for_a_node_that_is_gone_has_an_empty_id(bridge: Bridge) -> None:
    bridge.tell_nodes([4], "unregistered")
    bridge.grid.push_messages([Message("hello", 5)])
    bridge.reply("hello at 5")  # it comes behind the nodes
    assert bridge.grid.push_messages([Message("hello", 4)]) == [""]


def test_replies_are_pulled_when_they_are_there_and_each_once(bridge: Bridge) -> None:
    first, second = bridge.grid.push_messages([Message("hello", 4), Message("hello", 5)])
    assert bridge.grid.pull_messages([first, second]) == []
    bridge.reply(second, "from 5")
    assert said(bridge.grid.pull_messages([first, second])) == ["from 5"]
    bridge.reply(first, "from 4")
    assert said(bridge.grid.pull_messages([first])) == ["from 4"]


def test_of_a_message_that_is_not_known_or_no_longer_a_grid_says_so(bridge: Bridge) -> None:
    (known,) = bridge.grid.push_messages([Message("hello", 4)])
    bridge.reply(known)
    bridge.grid.pull_messages([known])
    replies = bridge.grid.pull_messages([known, "never sent"])
    assert said(replies) == [fake_flwr.ErrorCode.MESSAGE_UNAVAILABLE] * 2
    assert [each.metadata.reply_to_message_id for each in replies] == [known, "never sent"]


def test_replies_come_in_the_order_of_the_messages_whoever_was_first(bridge: Bridge) -> None:
    answered: list[Any] = []

    def ask() -> None:
        answered.extend(bridge.grid.send_and_receive([Message("hello", 4), Message("hello", 5)]))

    asking = threading.Thread(target=ask)
    asking.start()
    for each in [bridge.receive(), bridge.receive()][::-1]:
        bridge.reply(each.metadata.message_id, f"from {each.metadata.dst_node_id}")
    asking.join(20.0)
    assert said(answered) == ["from 4", "from 5"]


def test_who_waits_for_some_time_gets_the_replies_of_that_time(bridge: Bridge) -> None:
    messages = [Message("hello", 4), Message("hello", 5), Message("hello", 6)]
    (_, second, _) = bridge.grid.push_messages(messages)
    bridge.reply(second, "in time")
    # It is pushed a second time; the reply that is there is one to it. Of the last no reply comes.
    assert said(bridge.grid.send_and_receive(messages, timeout=0.1)) == [
        "in time",
        fake_flwr.ErrorCode.MESSAGE_UNAVAILABLE,
    ]


@contextmanager
def started_again(
    before: Sequence[tuple[int, Sequence[str], bool]] = (), late: Mapping[str, float] = {}
) -> Iterator[tuple[Bridge, list[str]]]:
    """A Grid whose ServerApp took replies before, and has sent one message to each node again."""
    bridge = Bridge(before, late)
    yield bridge, bridge.grid.push_messages([Message("hello", node) for node in NODES])
    bridge.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock by which replies are held back."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(takes, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_who_is_started_again_gets_replies_one_by_one_if_they_came_so_before() -> None:
    with started_again([(2, ["5/0"], False), (2, ["4/0"], False)]) as (bridge, sent):
        for message_id in sent:
            bridge.reply(message_id, f"to {message_id}")
        assert said(bridge.grid.pull_messages(sent)) == ["to hello at 5"]
        assert said(bridge.grid.pull_messages(sent[:1])) == ["to hello at 4"]


def test_who_is_started_again_gets_replies_together_if_they_came_so_before() -> None:
    with started_again([(2, ["5/0", "4/0"], False)]) as (bridge, sent):
        bridge.reply(sent[1])
        assert bridge.grid.pull_messages(sent) == []
        bridge.reply(sent[0], "later")
        assert said(bridge.grid.pull_messages(sent)) == ["yes", "later"]


def test_who_went_on_without_a_reply_gets_it_when_it_has_sent_what_it_sent_without() -> None:
    with started_again([(2, ["4/0"], False), (3, ["5/0"], False)]) as (bridge, sent):
        for message_id in sent:
            bridge.reply(message_id, f"to {message_id}")
        assert said(bridge.grid.pull_messages(sent)) == ["to hello at 4"]
        assert bridge.grid.pull_messages(sent[1:]) == []
        bridge.grid.push_messages([Message("more", 4)])
        assert said(bridge.grid.pull_messages(sent[1:])) == ["to hello at 5"]


def test_a_reply_that_nobody_took_comes_as_late_as_before(clock: SimpleNamespace) -> None:
    with started_again(late={"5/0": 4.0}) as (bridge, sent):
        for message_id in sent:
            bridge.reply(message_id, f"to {message_id}")
        assert said(bridge.grid.pull_messages(sent)) == ["to hello at 4"]
        clock.now += 3.9
        assert bridge.grid.pull_messages(sent[1:]) == []
        clock.now += 0.2
        assert said(bridge.grid.pull_messages(sent[1:])) == ["to hello at 5"]


def test_who_does_something_else_than_before_gets_the_replies_in_the_end(
    clock: SimpleNamespace,
) -> None:
    with started_again([(2, ["4/0"], False), (2, ["5/0"], False)]) as (bridge, sent):
        bridge.reply(sent[1])
        assert bridge.grid.pull_messages(sent[1:]) == []
        clock.now += 61.0
        assert said(bridge.grid.pull_messages(sent[1:])) == ["yes"]


def test_the_bridge_hears_which_replies_were_taken_but_for_those_of_before() -> None:
    with started_again([(2, ["4/0"], False)]) as (bridge, sent):
        for message_id in sent:
            bridge.reply(message_id)
            bridge.receive()
        assert len(bridge.grid.send_and_receive([Message("hello", 4), Message("hello", 5)])) == 2
        told = json.loads(frames.receive_one(bridge.file, b"T").rest())
        assert told == {"sent": 2, "messages": ["5/0"], "in_vain": False}


def test_the_bridge_hears_what_was_waited_for_in_vain(bridge: Bridge) -> None:
    assert bridge.grid.send_and_receive([Message("hello", 4)], timeout=0.01) == []
    bridge.receive()
    told = json.loads(frames.receive_one(bridge.file, b"T").rest())
    assert told == {"sent": 1, "messages": ["4/0"], "in_vain": True}


def test_who_waited_in_vain_gives_up_at_once_if_it_went_on() -> None:
    with started_again([(2, ["5/0"], True), (2, ["5/0"], False)]) as (bridge, sent):
        bridge.reply(sent[1])
        assert bridge.grid.send_and_receive([Message("hello", 5)], timeout=600.0) == []
        assert said(bridge.grid.pull_messages(sent[1:])) == ["yes"]


def test_who_waited_in_vain_last_does_so_again() -> None:
    with started_again([(2, ["5/0"], True)]) as (bridge, sent):
        bridge.reply(sent[1])
        assert bridge.grid.send_and_receive([Message("hello", 5)], timeout=0.2) == []
        assert said(bridge.grid.pull_messages(sent[1:])) == ["yes"]


def test_who_waits_for_long_enough_gets_a_late_reply_at_once() -> None:
    with started_again(late={"5/0": 60.0}) as (bridge, sent):
        bridge.reply(sent[1])
        assert said(bridge.grid.send_and_receive([Message("hello", 5)], timeout=61.0)) == ["yes"]


def test_a_reply_that_flower_cannot_read_is_an_error(bridge: Bridge) -> None:
    messages = [Message(text, 4) for text in ("no protobuf", "no content", "another's")]
    sent = bridge.grid.push_messages(messages)
    empty = fleet.Message(metadata=fleet.Metadata(reply_to_message_id=sent[1]))
    for message_id, reply in zip(
        sent, (b"\xff\xff", *[empty.SerializeToString()] * 2), strict=True
    ):
        bridge.reply_with(message_id, reply)
    replies = bridge.grid.send_and_receive(messages, timeout=20.0)
    assert said(replies) == [fake_flwr.ErrorCode.REPLY_MESSAGE_UNAVAILABLE] * 3
    assert [each.metadata.reply_to_message_id for each in replies] == sent


def test_a_reply_that_nobody_pulled_in_time_has_expired(bridge: Bridge) -> None:
    message = Message("hello", 4)
    message.metadata.created_at -= 3600.0
    (sent,) = bridge.grid.push_messages([message])
    bridge.reply(sent)
    assert said(bridge.grid.pull_messages([sent])) == [fake_flwr.ErrorCode.MESSAGE_UNAVAILABLE]


@pytest.mark.parametrize("garbage", [b"\xff" * 100_000, b"\x12\x7f", b"\x0b", b"\x12\x00\x12\x00"])
def test_a_reply_that_cannot_be_read_is_an_error_and_the_next_one_arrives(
    bridge: Bridge, garbage: bytes
) -> None:
    first, second = bridge.grid.push_messages([Message("hello", 4), Message("hello", 5)])
    bridge.reply_with(first, garbage)
    bridge.reply(second)
    unread, read = bridge.grid.pull_messages([first, second])
    assert unread.content.code == fake_flwr.ErrorCode.REPLY_MESSAGE_UNAVAILABLE
    assert unread.metadata.reply_to_message_id == first
    assert read.content == "yes"


def test_a_reply_gets_an_id_if_it_has_none(bridge: Bridge) -> None:
    (sent,) = bridge.grid.push_messages([Message("hello", 4)])
    bridge.reply(sent)
    (reply,) = bridge.grid.pull_messages([sent])
    assert reply.metadata.message_id == "yes at 0"


def test_messages_of_several_threads_do_not_mix(bridge: Bridge) -> None:
    texts = [letter * 100_000 for letter in "abcdefghijkl"]
    with ThreadPoolExecutor(4) as pool:
        sent = pool.map(
            lambda place: bridge.grid.push_messages([Message(text, 4) for text in texts[place::4]]),
            range(4),
        )
        assert sorted(fake_flwr.text_of(bridge.receive()) for _ in texts) == texts
        bridge.close()
        assert [len(ids) for ids in sent] == [3] * 4


def test_who_waits_for_a_bridge_that_has_ended_hears_it(bridge: Bridge) -> None:
    (sent,) = bridge.grid.push_messages([Message("hello", 4)])
    bridge.close()
    with pytest.raises(ConnectionError, match="the bridge has ended"):
        bridge.mailbox.wait([sent], None)


def test_who_waits_hears_it_if_what_came_is_no_reply(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: queue.Queue[threading.ExceptHookArgs] = queue.Queue()
    monkeypatch.setattr(threading, "excepthook", printed.put)
    (sent,) = bridge.grid.push_messages([Message("hello", 4)])
    frames.send(bridge.pipe, b"M", [b"no message"])
    with pytest.raises(ConnectionError, match="the bridge has ended"):
        bridge.mailbox.wait([sent], None)
    assert "came instead of" in str(printed.get(timeout=20.0).exc_value)


def test_the_run_of_a_grid_cannot_be_changed_by_an_app(bridge: Bridge) -> None:
    bridge.grid.run.run_id = 8
    assert bridge.grid.run.run_id == 7


def test_a_thread_that_an_app_leaves_behind_does_not_keep_the_process() -> None:
    program = (
        "import threading; from algorithm.flower.scripts import run_serverapp;"
        " run_serverapp._EXIT_SECONDS = 0.1; print('the last words');"
        " threading.Thread(target=threading.Event().wait).start(); run_serverapp._exit(3)"
    )
    command = [sys.executable, "-u", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (3, "the last words\n")
