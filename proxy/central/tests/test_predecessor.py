"""A message that a bridge had under way with a key when it ended is answered by its successor."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from protos import fleet_pb2 as fleet
from proxy.central.central_proxy import CentralProxy
from proxy.central.memory import Forgetful
from proxy.central.tests.bridges import MODEL, SECONDS, TRAINED, QuickClock, Troubled, Watch, hang
from proxy.errors import CarrierError
from proxy.fleet.messages import ErrorCode
from proxy.testing import FakeSuperLink, MemoryCarrier
from proxy.tests.helpers import wait_until
from proxy.transport.identity import Identity, make_keys
from proxy.transport.superlink import SuperLink


@pytest.fixture
def identity(tmp_path: Path) -> Iterator[Identity]:
    """The key of a SuperNode that the SuperLink is told of beforehand."""
    make_keys(tmp_path / "keys", ["north"])
    identity = Identity(tmp_path / "keys" / "north")
    yield identity
    identity.close()


class Attached:
    """A bridge with a key, which can be killed and started anew."""

    def __init__(self, identity: Identity, folder: Path) -> None:
        self.superlink = FakeSuperLink()
        self.superlink.told_beforehand = True
        self.superlink.know(identity.key)
        self.identity = identity
        self.folder = folder
        self.watch = Watch()

    def start(self, carrier: MemoryCarrier) -> CentralProxy:
        """Start one more bridge; what was started before is as good as killed."""
        folder = self.folder / f"bridge-{time.monotonic_ns()}"
        central = CentralProxy(
            lambda _: SuperLink(self.superlink, identity=self.identity),
            *(carrier, folder, 60.0, self.watch, {"north": self.identity}, QuickClock()),
        )
        central.start()
        return central


def test_a_successor_answers_what_was_under_way_when_a_bridge_was_killed(
    identity: Identity, tmp_path: Path
) -> None:
    attached = Attached(identity, tmp_path)
    training, over = threading.Event(), threading.Event()

    def never_answer(_: threading.Event) -> None:
        training.set()
        over.wait()
        raise CarrierError("Too late.")

    killed = attached.start(Troubled(never_answer))
    message_id = attached.superlink.push_instruction(MODEL, identity.node_id)
    assert training.wait(SECONDS)
    assert identity.kept_message()

    successor = attached.start(MemoryCarrier(lambda _: TRAINED, ("north",)))
    assert wait_until(lambda: message_id in attached.superlink.replies)
    assert wait_until(lambda: not identity.kept_message())
    said = attached.superlink.reply_to(message_id)
    assert said == fleet.Error(
        code=5, reason="The bridge ended while station north had the message."
    )
    next_id = attached.superlink.push_instruction(MODEL, identity.node_id)
    assert wait_until(lambda: next_id in attached.superlink.replies)
    over.set()
    killed.stop()
    successor.stop()
    assert attached.superlink.reply_to(message_id) == said


def test_a_journal_that_cannot_be_read_does_not_leave_the_message_beside_the_key_unanswered(
    identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> None:
        raise OSError(5, "Input/output error")

    attached = Attached(identity, tmp_path)
    killed = attached.start(Troubled(hang))
    message_id = attached.superlink.push_instruction(MODEL, identity.node_id)
    attached.watch.wait(takings=1)
    monkeypatch.setattr(Forgetful, "unfinished", damaged)
    successor = attached.start(MemoryCarrier(lambda _: TRAINED, ("north",)))
    assert wait_until(lambda: message_id in attached.superlink.replies)
    killed.stop()
    successor.stop()


def test_nothing_is_kept_of_a_message_that_has_its_answer(
    identity: Identity, tmp_path: Path
) -> None:
    attached = Attached(identity, tmp_path)
    central = attached.start(MemoryCarrier(lambda _: TRAINED, ("north",)))
    attached.superlink.push_instruction(MODEL, identity.node_id)
    attached.watch.wait(answers=1)
    central.stop()
    assert identity.kept_message() == b""


def test_a_message_that_could_not_be_answered_at_the_end_is_kept_for_a_successor(
    identity: Identity, tmp_path: Path
) -> None:
    attached = Attached(identity, tmp_path)
    central = attached.start(Troubled(hang))
    message_id = attached.superlink.push_instruction(MODEL, identity.node_id)
    attached.watch.wait(takings=1)
    attached.superlink.be_unreachable(10**6)
    central.stop()
    attached.superlink.be_unreachable(0)
    successor = attached.start(MemoryCarrier(lambda _: TRAINED, ("north",)))
    assert wait_until(lambda: message_id in attached.superlink.replies)
    successor.stop()


@pytest.mark.parametrize("kept", [b"damaged", b""])
def test_what_is_no_message_is_not_kept_for_ever(
    identity: Identity, tmp_path: Path, kept: bytes
) -> None:
    identity.keep_message(kept)
    attached = Attached(identity, tmp_path)
    central = attached.start(MemoryCarrier(lambda _: TRAINED, ("north",)))
    attached.superlink.push_instruction(MODEL, identity.node_id)
    attached.watch.wait(answers=1)
    central.stop()
    assert identity.kept_message() == b""


def test_a_message_that_cannot_be_kept_is_an_error_and_does_not_reach_the_station(
    identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(identity, "keep_message", no_space)
    attached = Attached(identity, tmp_path)
    trained = threading.Event()
    carrier = Troubled(lambda _: trained.set())
    central = attached.start(carrier)
    message_id = attached.superlink.push_instruction(MODEL, identity.node_id)
    attached.watch.wait(takings=1, answers=1)
    monkeypatch.undo()
    next_id = attached.superlink.push_instruction(MODEL, identity.node_id)
    attached.watch.wait(answers=2)
    central.stop()
    said = attached.superlink.reply_to(message_id)
    assert isinstance(said, fleet.Error)
    assert said.code == ErrorCode.NODE_UNAVAILABLE
    assert "cannot keep the message beside the key of station north: No space left" in said.reason
    assert attached.superlink.reply_to(next_id) == TRAINED
    assert len(carrier.supernodes["north"].calls) > 0
