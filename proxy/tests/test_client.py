"""Conversations of a SuperNode with the ClientProxy, which it takes for its SuperLink."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message as ProtobufMessage

from protos import bundle_pb2
from protos import fleet_pb2 as fleet
from proxy.bundle import ANNOUNCEMENT_BYTES, Bundle
from proxy.client import ClientProxy, Delivery, Stage
from proxy.errors import BundleError, FleetError, RunNotRunning, Unimplemented
from proxy.fleet import wire
from proxy.fleet.messages import object_id
from proxy.testing import FakeSuperNode, Objects, make_reply, record_dict
from proxy.tests.helpers import Drained, noise, pushed_in, write_bundle


class Station:
    """A ClientProxy with a message for its SuperNode, which the test plays."""

    def __init__(self, folder: Path, number: int = 1) -> None:
        self.sent = Drained()
        self.metadata = self.sent.metadata
        self.run_id, self.message_id = self.metadata.run_id, self.metadata.message_id
        self.bundle = Bundle(self.sent.write(folder / f"instruction-{number}"))
        self.reply_path = folder / f"reply-{number}"
        self.taken: list[str] = []
        self.proxy = ClientProxy(self.metadata.dst_node_id)
        self.delivery = Delivery(
            self.bundle,
            self.sent.fab,
            self.reply_path,
            "a generation",
            lambda: self.taken.append(self.message_id),
        )
        self.proxy.offer(self.delivery, now=0.0)

    def answers(self, request: ProtobufMessage, now: float = 0.0) -> Any:
        """Return what the proxy answers to a call; None while it has nothing to say."""
        method = type(request).__name__.removesuffix("Request")
        answer = self.proxy.handle(method, request.SerializeToString(), now)
        return None if answer is None else getattr(fleet, f"{method}Response").FromString(answer)

    def pull(self, now: float = 0.0) -> Any:
        return self.answers(fleet.PullMessagesRequest(), now)

    def confirm(self, now: float = 0.0) -> Any:
        return self.answers(
            fleet.ConfirmMessageReceivedRequest(
                run_id=self.run_id, message_object_id=self.message_id
            ),
            now,
        )

    def announce(self, encoded: bytes, now: float = 0.0) -> list[str]:
        answer = self.proxy.handle("PushMessages", encoded, now)
        assert answer is not None
        return list(fleet.PushMessagesResponse.FromString(answer).objects_to_push)

    def push(self, object_id: str, content: bytes, now: float = 0.0) -> bool:
        request = fleet.PushObjectRequest(
            run_id=self.run_id, object_id=object_id, object_content=content
        )
        return bool(self.answers(request, now).stored)

    def train(self) -> tuple[bytes, Mapping[str, bytes]]:
        """Fetch the message, and return the ClientApp's reply to it."""
        self.pull()
        self.confirm()
        reply, contents = make_reply(self.sent.instruction, record_dict(weights=b"trained" * 20))
        return reply.encoded, contents


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


# Becoming a SuperNode


def test_a_supernode_gets_the_node_id_that_the_superlink_gave(station: Station) -> None:
    node_id = station.metadata.dst_node_id
    assert station.answers(fleet.RegisterNodeRequest(public_key=b"key")).node_id == node_id
    assert station.answers(fleet.ActivateNodeRequest(public_key=b"key")).node_id == node_id


def test_a_heartbeat_is_acknowledged(station: Station) -> None:
    assert station.answers(fleet.SendNodeHeartbeatRequest()).success


@pytest.mark.parametrize("request_", [fleet.DeactivateNodeRequest(), fleet.UnregisterNodeRequest()])
def test_a_supernode_may_leave(station: Station, request_: ProtobufMessage) -> None:
    assert station.answers(request_) is not None


# Getting a message


def test_there_is_nothing_to_say_while_there_is_no_message() -> None:
    assert ClientProxy(7).handle("PullMessages", b"", 0.0) is None


def test_a_message_comes_with_all_that_the_superlink_said_of_it(station: Station) -> None:
    sent, run_id = station.sent, station.run_id
    assert station.proxy.handle("PullMessages", b"", 0.0) == (sent.pulled)
    get_run = fleet.GetRunRequest(run_id=run_id).SerializeToString()
    assert station.proxy.handle("GetRun", get_run, 0.0) == sent.header.instruction.get_run_response
    get_fab = fleet.GetFabRequest(run_id=run_id).SerializeToString()
    assert station.proxy.handle("GetFab", get_fab, 0.0) == sent.fab
    for each, content in sent.objects.items():
        pulled = station.answers(fleet.PullObjectRequest(run_id=run_id, object_id=each))
        assert pulled.object_found
        assert pulled.object_available
        assert pulled.object_content == content


def test_a_message_is_handed_out_again_until_it_is_confirmed(station: Station) -> None:
    first = station.pull()
    assert station.pull() == first
    assert station.pull() == first


def test_a_message_is_not_handed_out_after_it_was_confirmed(station: Station) -> None:
    station.pull()
    station.confirm()
    assert station.pull() is None


def test_a_message_is_noted_as_taken_once_when_it_is_confirmed(station: Station) -> None:
    station.pull()
    assert not station.taken
    station.confirm()
    station.confirm()
    assert station.taken == [station.message_id]


def test_a_message_that_cannot_be_noted_as_taken_is_not_confirmed(station: Station) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    station.pull()
    station.delivery.on_confirmed = fail
    with pytest.raises(OSError, match="No space left"):
        station.confirm()
    assert station.pull() is not None


def test_an_object_that_is_not_of_the_message_is_not_found(station: Station) -> None:
    request = fleet.PullObjectRequest(run_id=station.run_id, object_id=object_id(b"?"))
    assert not station.answers(request).object_found


@pytest.mark.parametrize(
    "request_",
    [
        fleet.GetRunRequest(run_id=5),
        fleet.GetFabRequest(run_id=5),
        fleet.PullObjectRequest(run_id=5),
        fleet.ConfirmMessageReceivedRequest(run_id=5),
    ],
    ids=lambda request: type(request).__name__,
)
def test_another_run_is_not_running(station: Station, request_: ProtobufMessage) -> None:
    with pytest.raises(RunNotRunning, match="run 5"):
        station.answers(request_)


def test_another_message_cannot_be_confirmed(station: Station) -> None:
    station.pull()
    with pytest.raises(RunNotRunning):
        station.answers(
            fleet.ConfirmMessageReceivedRequest(run_id=station.run_id, message_object_id="ff")
        )
    assert station.pull() is not None


def test_a_message_that_was_withdrawn_is_not_running(station: Station) -> None:
    station.pull()
    station.proxy.withdraw()
    with pytest.raises(RunNotRunning):
        station.confirm()
    assert not station.taken


def test_a_message_replaces_the_one_before(station: Station, tmp_path: Path) -> None:
    other = Station(tmp_path, number=2)
    station.proxy.offer(other.delivery, now=1.0)
    pulled = station.pull()
    assert pulled.messages_list[0].metadata.message_id == other.message_id


# Giving the reply


def test_every_object_of_a_reply_is_asked_for(station: Station) -> None:
    encoded, contents = station.train()
    assert station.announce(encoded) == list(contents)


def test_a_reply_is_complete_with_its_last_object_and_not_before(station: Station) -> None:
    encoded, contents = station.train()
    station.announce(encoded)
    for each, content in contents.items():
        assert not station.reply_path.exists()
        assert station.delivery.stage == Stage.PUSHING
        assert station.push(each, content)
    assert station.reply_path.exists()
    assert station.delivery.stage == Stage.ANSWERED


def test_the_objects_of_a_reply_may_come_in_any_order_and_twice(station: Station) -> None:
    encoded, contents = station.train()
    station.announce(encoded)
    for each, content in reversed(list(contents.items())):
        station.push(each, content)
        station.push(each, content)
    with Bundle(station.reply_path) as reply:
        assert set(reply.object_ids) == {object_id(encoded), *contents}


def test_a_reply_bundle_holds_the_reply_as_it_was_pushed(station: Station) -> None:
    encoded, contents = station.train()
    station.announce(encoded)
    for each, content in contents.items():
        station.push(each, content)
    with Bundle(station.reply_path) as reply:
        assert reply.header.message_id == station.message_id
        assert reply.header.cache_generation == "a generation"
        assert pushed_in(reply) == encoded
        assert {each: reply.read(each) for each in contents} == contents


def test_a_reply_bundle_says_how_long_each_stage_took(station: Station) -> None:
    reply, contents = make_reply(station.sent.instruction, fleet.Error(code=2))
    station.pull(now=1.0)
    station.confirm(now=3.0)
    station.announce(reply.encoded, now=10.0)
    station.push(*next(iter(contents.items())), now=14.0)
    with Bundle(station.reply_path) as bundle:
        assert bundle.seconds == {"handover": 3.0, "clientapp": 7.0, "collect": 4.0}


def test_a_reply_that_is_announced_again_needs_only_what_is_still_missing(
    station: Station,
) -> None:
    encoded, contents = station.train()
    first, *others = station.announce(encoded)
    station.push(first, contents[first])
    assert station.announce(encoded) == others
    for each in others:
        station.push(each, contents[each])
    assert station.announce(encoded) == []
    assert station.delivery.stage == Stage.ANSWERED


def test_the_first_reply_to_a_message_is_final(station: Station) -> None:
    encoded, contents = station.train()
    station.announce(encoded)
    second, _ = make_reply(station.sent.instruction, fleet.Error(code=2))
    assert station.announce(second.encoded) == list(contents)
    for each, content in contents.items():
        station.push(each, content)
    with Bundle(station.reply_path) as reply:
        assert pushed_in(reply) == encoded


def test_a_supernode_may_refuse_an_app_without_fetching_the_message(station: Station) -> None:
    station.pull()
    reply, contents = make_reply(station.sent.instruction, fleet.Error(code=7, reason="bad FAB"))
    station.announce(reply.encoded)
    station.push(*next(iter(contents.items())))
    assert station.delivery.stage == Stage.ANSWERED


def test_a_late_reply_is_taken_and_dropped(station: Station) -> None:
    encoded, contents = station.train()
    station.proxy.withdraw()
    assert station.announce(encoded) == []
    assert all(station.push(each, content) for each, content in contents.items())
    assert not station.reply_path.exists()


def test_a_late_reply_does_not_answer_the_next_message(station: Station, tmp_path: Path) -> None:
    encoded, contents = station.train()
    other = Station(tmp_path, number=2)
    station.proxy.offer(other.delivery, now=1.0)
    assert station.announce(encoded) == []
    for each, content in contents.items():
        station.push(each, content)
    assert other.delivery.stage == Stage.OFFERED
    assert not other.reply_path.exists()


def test_a_withdrawn_reply_leaves_nothing_behind(station: Station, tmp_path: Path) -> None:
    encoded, contents = station.train()
    first, *_ = station.announce(encoded)
    station.push(first, contents[first])
    station.proxy.withdraw()
    assert [path.name for path in tmp_path.iterdir()] == ["instruction-1"]


# Trouble


def test_an_altered_object_is_refused_and_remembered_as_the_failure(station: Station) -> None:
    encoded, _ = station.train()
    first, *_ = station.announce(encoded)
    with pytest.raises(BundleError, match="altered"):
        station.push(first, b"something else")
    assert station.delivery.failure is not None


def test_a_reply_that_cannot_be_written_is_remembered_as_the_failure(station: Station) -> None:
    encoded, _ = station.train()
    station.delivery.reply_path = station.reply_path / "no such folder"
    with pytest.raises(BundleError, match="cannot be written"):
        station.announce(encoded)
    assert station.delivery.failure is not None
    assert station.announce(encoded)  # and again it is not taken for complete
    assert station.delivery.stage < Stage.ANSWERED


@pytest.mark.parametrize("size", [10, 10**6], ids=["at its end", "in its middle"])
def test_a_full_disk_is_remembered_as_the_failure_and_can_be_withdrawn(
    station: Station, tmp_path: Path, size: int
) -> None:
    (tmp_path / f"{station.reply_path.name}.part").symlink_to("/dev/full")
    station.pull()
    station.confirm()
    content = record_dict(weights=noise(size))
    reply, contents = make_reply(station.sent.instruction, content)
    station.announce(reply.encoded)
    with pytest.raises(BundleError, match="No space left"):
        all(station.push(each, data) for each, data in contents.items())
    assert station.delivery.failure is not None
    assert not station.reply_path.exists()
    station.proxy.withdraw()


def test_a_method_that_no_supported_release_calls_is_unimplemented(station: Station) -> None:
    with pytest.raises(Unimplemented, match="PullTaskIns"):
        station.proxy.handle("PullTaskIns", b"", 0.0)


@pytest.mark.parametrize(
    "method",
    ["GetRun", "GetFab", "PullObject", "PushObject", "PushMessages", "ConfirmMessageReceived"],
)
def test_a_senseless_request_is_a_fleet_error(station: Station, method: str) -> None:
    with pytest.raises(FleetError, match=f"sent an invalid {method}Request"):
        station.proxy.handle(method, b"\xff", 0.0)


# Instruction bundles that lie


def refused(folder: Path, sent: Drained) -> str:
    """Why a message is not even offered to the SuperNode."""
    bundle = Bundle(sent.write(folder / "instruction", with_fab=False))
    with bundle, pytest.raises(BundleError) as caught:
        Delivery(bundle, sent.fab, folder / "reply", "", lambda: None)
    return caught.value.message


def test_an_instruction_for_another_node_is_refused(tmp_path: Path) -> None:
    sent = Drained()
    sent.header.instruction.node_id = 7
    assert "node 7" in refused(tmp_path, sent)


def test_an_instruction_of_another_run_is_refused(tmp_path: Path) -> None:
    sent = Drained()
    other = fleet.GetRunResponse(run=fleet.Run(run_id=5))
    sent.header.instruction.get_run_response = other.SerializeToString()
    assert "run" in refused(tmp_path, sent)


def test_an_instruction_that_holds_another_message_is_refused(tmp_path: Path) -> None:
    sent = Drained()
    sent.header.message_id = "ff"
    assert "message ff" in refused(tmp_path, sent)


@pytest.mark.parametrize("place", range(5))
def test_an_instruction_without_one_of_its_objects_is_refused(tmp_path: Path, place: int) -> None:
    sent = Drained()
    missing = list(sent.objects)[place]
    del sent.objects[missing]
    assert missing in refused(tmp_path, sent)


def test_an_instruction_whose_own_object_is_larger_than_a_message_is_refused(
    tmp_path: Path,
) -> None:
    sent = Drained()
    content = sent.objects.pop(sent.metadata.message_id) + bytes(ANNOUNCEMENT_BYTES)
    own_id = sent.header.message_id = object_id(content)
    sent.objects[own_id] = content
    pulled = fleet.PullMessagesResponse.FromString(sent.pulled)
    pulled.messages_list[0].metadata.message_id = own_id
    pulled.message_object_trees[0].object_id = own_id
    sent.pulled = pulled.SerializeToString()
    assert f"Object {own_id} has {len(content):,} bytes" in refused(tmp_path, sent)


def test_an_instruction_whose_announcement_is_larger_than_any_is_refused(tmp_path: Path) -> None:
    sent = Drained()
    # A field that nobody knows.
    sent.pulled += wire.field(1000, bytes(ANNOUNCEMENT_BYTES))
    assert f"{len(sent.pulled):,} bytes" in refused(tmp_path, sent)


def test_an_instruction_with_another_app_is_refused(tmp_path: Path) -> None:
    sent = Drained()
    sent.fab = fleet.GetFabResponse(fab=fleet.Fab(content=b"another app")).SerializeToString()
    assert object_id(b"another app") in refused(tmp_path, sent)


def test_an_app_that_lies_about_its_hash_is_refused(tmp_path: Path) -> None:
    sent = Drained()
    fab = fleet.GetFabResponse.FromString(sent.fab)
    fab.fab.content = b"another app"
    sent.fab = fab.SerializeToString()
    assert object_id(b"another app") in refused(tmp_path, sent)


def test_an_instruction_whose_app_is_senseless_is_refused(tmp_path: Path) -> None:
    sent = Drained()
    sent.fab = b"\xff"
    assert refused(tmp_path, sent)


def test_an_instruction_with_a_senseless_message_is_refused(tmp_path: Path) -> None:
    sent = Drained()
    sent.pulled = b"\xff"
    assert "sent an invalid PullMessagesResponse" in refused(tmp_path, sent)


def test_an_instruction_with_a_senseless_run_is_refused(tmp_path: Path) -> None:
    sent = Drained()
    sent.header.instruction.get_run_response = b"\xff"
    assert "sent an invalid GetRunResponse" in refused(tmp_path, sent)


def test_an_instruction_without_a_message_is_refused(tmp_path: Path) -> None:
    sent = Drained()
    sent.pulled = b""
    assert "no message" in refused(tmp_path, sent)


def test_a_superlink_with_a_database_announces_no_task(tmp_path: Path) -> None:
    """Flwr 1.39 to 1.42 announce so what is in their database; the object has the task."""
    sent = Drained()
    pulled = fleet.PullMessagesResponse.FromString(sent.pulled)
    pulled.messages_list[0].metadata.ClearField("src_task_id")
    sent.pulled = pulled.SerializeToString()
    with Bundle(sent.write(tmp_path / "instruction")) as bundle:
        delivery = Delivery(bundle, sent.fab, tmp_path / "reply", "", lambda: None)
        assert delivery.instruction.message_id == sent.metadata.message_id


@pytest.mark.parametrize(("field", "other"), [("group_id", "7"), ("src_task_id", 8)])
def test_a_message_that_is_announced_as_another_is_refused(
    tmp_path: Path, field: str, other: str | int
) -> None:
    sent = Drained()
    pulled = fleet.PullMessagesResponse.FromString(sent.pulled)
    setattr(pulled.messages_list[0].metadata, field, other)
    sent.pulled = pulled.SerializeToString()
    assert "not the message that was announced" in refused(tmp_path, sent)


def test_a_bundle_that_is_no_instruction_is_refused(tmp_path: Path) -> None:
    header = bundle_pb2.Header(failure=bundle_pb2.Failure(code=1))
    bundle = Bundle(write_bundle(tmp_path / "other", header))
    with bundle, pytest.raises(BundleError, match="not an instruction"):
        Delivery(bundle, b"", tmp_path / "reply", "", lambda: None)


def test_a_message_that_cannot_be_noted_as_the_clientapps_is_not_handed_over(
    station: Station,
) -> None:
    full = OSError(28, "No space left on device")

    def take() -> None:
        raise full

    station.delivery.on_confirmed = take
    station.pull()
    with pytest.raises(OSError, match="No space left"):
        station.confirm()
    assert station.delivery.failure is full
    assert station.delivery.stage == Stage.PULLED


# A whole conversation


def test_a_supernode_that_does_all_in_order_has_its_message_answered(station: Station) -> None:
    def clientapp(content: Objects) -> Objects:
        assert content.tree.object_id in station.sent.objects
        return record_dict(weights=b"trained")

    supernode = FakeSuperNode(station.proxy.handle, clientapp)
    supernode.start()
    assert supernode.node_id == station.metadata.dst_node_id
    assert supernode.work()
    assert station.delivery.stage == Stage.ANSWERED
    assert not supernode.work()
    assert [method for method, _ in supernode.calls[3:7]] == [
        *("PullMessages", "GetRun", "GetFab", "PullObject")
    ]
