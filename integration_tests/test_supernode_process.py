"""A SuperNode that really runs answers a message, or it is said why it did not."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from algorithm.flower.environment import Flower
from algorithm.station.runtime import NoReply
from algorithm.station.supernode import SuperNode
from algorithm.tests.fake_flower import SUPERNODE, make_flower
from proxy.bundle import Bundle
from proxy.client import Delivery, Stage
from proxy.errors import Incompatible
from proxy.fleet.messages import ErrorCode
from proxy.tests.helpers import Drained, pid_in, runs

SECONDS = 60.0
# Fetches the message, and no more.
HANGING = SUPERNODE.replace("supernode.work()", "supernode.receive()")

Start = Callable[[str], SuperNode]


class Errand:
    """A message for a SuperNode."""

    def __init__(self, folder: Path) -> None:
        self.sent = Drained()
        self.reply = folder / "reply.bundle"
        self.bundle = Bundle(self.sent.write(folder / "instruction.bundle"))
        self.delivery = Delivery(self.bundle, self.sent.fab, self.reply, "", lambda: None)


@pytest.fixture
def errand(tmp_path: Path) -> Errand:
    return Errand(tmp_path)


@pytest.fixture
def start(errand: Errand, tmp_path: Path) -> Iterator[Start]:
    """Start a program as the SuperNode."""
    started: list[SuperNode] = []

    def start(program: str) -> SuperNode:
        flower = Flower(make_flower(tmp_path / "flower", supernode=program))
        node_id = errand.sent.metadata.dst_node_id
        started.append(SuperNode(flower, node_id, "a=1", tmp_path, tmp_path / "supernode.log"))
        return started[-1]

    yield start
    for supernode in started:
        supernode.stop()


def no_reply(supernode: SuperNode, errand: Errand, deadline: float) -> NoReply:
    with pytest.raises(NoReply) as caught:
        supernode.serve(errand.delivery, deadline)
    assert not errand.reply.exists()
    return caught.value


def test_a_supernode_answers_a_message_with_a_bundle(
    start: Start, errand: Errand, tmp_path: Path
) -> None:
    start(SUPERNODE).serve(errand.delivery, SECONDS)
    assert errand.delivery.stage == Stage.ANSWERED
    with Bundle(errand.reply) as reply:
        assert reply.header.message_id == errand.sent.metadata.message_id
    assert "node config: a = 1" in (tmp_path / "supernode.log").read_text()


def test_a_supernode_answers_one_message_after_the_other(
    start: Start, errand: Errand, tmp_path: Path
) -> None:
    supernode = start(SUPERNODE)
    supernode.serve(errand.delivery, SECONDS)
    (tmp_path / "next").mkdir()
    following = Errand(tmp_path / "next")
    supernode.serve(following.delivery, SECONDS)
    assert following.reply.exists()


def test_a_supernode_that_was_stopped_does_not_run(start: Start, tmp_path: Path) -> None:
    supernode = start(SUPERNODE)
    pid = pid_in(tmp_path / "flwr.pid")
    assert supernode.running
    supernode.stop()
    assert not supernode.running
    assert not runs(pid)


def test_a_node_config_is_in_a_file_for_us_only_while_its_supernode_lives(
    start: Start, errand: Errand, tmp_path: Path
) -> None:
    supernode = start(SUPERNODE)
    supernode.serve(errand.delivery, SECONDS)
    config = tmp_path / "flwr" / "node-config.toml"
    assert config.read_text() == "a = 1"
    assert config.stat().st_mode & 0o777 == 0o600
    arguments = psutil.Process(pid_in(tmp_path / "flwr.pid")).cmdline()
    assert "a=1" not in " ".join(arguments)
    assert str(config) in arguments
    supernode.stop()
    assert not config.exists()


def test_a_supernode_that_ended_is_said_but_its_log_stays_here(
    start: Start, errand: Errand, caplog: pytest.LogCaptureFixture
) -> None:
    supernode = start("#!/bin/sh\necho patient 7 is missing\nexit 3\n")
    error = no_reply(supernode, errand, SECONDS)
    assert error.error_code == ErrorCode.NODE_UNAVAILABLE
    assert "ended with exit code 3" in error.message
    assert "patient 7" not in error.message
    assert "patient 7" not in caplog.text
    assert "supernode.log" in caplog.text


def test_a_supernode_that_never_asks_for_its_message_is_said_at_the_deadline(
    start: Start, errand: Errand
) -> None:
    error = no_reply(start("#!/bin/sh\nsleep 600\n"), errand, deadline=0.2)
    assert error.error_code == ErrorCode.REPLY_MESSAGE_UNAVAILABLE
    assert "not started" in error.message


def test_a_clientapp_that_does_not_reply_is_said_at_the_deadline(
    start: Start, errand: Errand, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        """Is past the deadline as soon as the ClientApp has the message."""

        def monotonic(self) -> float:
            late = errand.delivery.stage == Stage.CONFIRMED
            return time.monotonic() + (SECONDS if late else 0.0)

    supernode = start(HANGING)
    monkeypatch.setattr("algorithm.station.supernode.time", Clock())
    error = no_reply(supernode, errand, SECONDS)
    assert error.error_code == ErrorCode.REPLY_MESSAGE_UNAVAILABLE
    assert "with the ClientApp" in error.message


def test_a_message_that_the_supernode_would_not_understand_is_not_even_offered(
    errand: Errand, tmp_path: Path
) -> None:
    idle = make_flower(tmp_path / "flower", "1.18.0", supernode="#!/bin/sh\nexec sleep 60\n")
    node_id = errand.sent.metadata.dst_node_id
    supernode = SuperNode(Flower(idle), node_id, "", tmp_path, tmp_path / "supernode.log")
    with pytest.raises(Incompatible, match=r"Flower 1\.20 to 1\.22 or 1\.23 and newer.* 1\.18\.0"):
        supernode.serve(errand.delivery, SECONDS)
    supernode.stop()
    assert not errand.delivery.times


def test_a_reply_that_cannot_be_written_is_said_at_once(
    start: Start, errand: Errand, tmp_path: Path
) -> None:
    errand.delivery.reply_path = tmp_path / "no such folder" / "reply"
    error = no_reply(start(SUPERNODE), errand, SECONDS)
    assert error.error_code == ErrorCode.REPLY_MESSAGE_UNAVAILABLE
    assert "cannot be written" in error.message
