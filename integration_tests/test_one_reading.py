"""What a station checks is what Flower's own parser reads in what it is given, and what runs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message as ProtobufMessage
from hypothesis import given, settings

from algorithm.flower.app import build
from algorithm.flower.environment import Flower
from algorithm.flower.manifest import Manifest
from algorithm.station.answer import answer
from algorithm.station.job import Job, Message
from algorithm.station.policy import Policy
from algorithm.station.runtime import Runtime
from algorithm.station.runtimes import runtimes
from integration_tests.fuzz.targets import handover
from integration_tests.harness import APPS
from integration_tests.readings import read_by_flower, same
from protos import bundle_pb2
from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle
from proxy.calls import Mode
from proxy.errors import FleetError
from proxy.fleet import one_reading, wire
from proxy.fleet.messages import ErrorCode, object_id
from proxy.tests.helpers import pushed_in, write_bundle
from proxy.tests.raw_fields import FAB_RESPONSES, PULLED, RUN_RESPONSES

NODE_ID, RUN_ID = 1000, 7
# Where Flower finds an app of this publisher, name and version: three folders above its own.
EVIL_ID, EVIL_VERSION = "/", "/../../evil/app"


# Flower's parser and ours. It knows more fields, so it may refuse what ours accepts.


def accepted(kind: type[ProtobufMessage], encoded: bytes) -> Any:
    """Return a message if it is accepted."""
    try:
        return one_reading.read(kind, encoded)
    except FleetError:
        return None


@settings(max_examples=2000, deadline=None)
@given(RUN_RESPONSES)
def test_flower_reads_the_run_that_was_checked(encoded: bytes) -> None:
    ours = accepted(fleet.GetRunResponse, encoded)
    by_supernode = read_by_flower("run_pb2", "GetRunResponse", encoded)
    if ours is None or by_supernode is None:
        return
    handed_over = ours.run.SerializeToString()
    by_clientapp = read_by_flower("run_pb2", "Run", handed_over)
    assert by_clientapp == by_supernode.run
    assert same(ours.run, by_clientapp)
    assert set(ours.run.override_config) == set(by_clientapp.override_config)


@settings(max_examples=2000, deadline=None)
@given(FAB_RESPONSES)
def test_flower_reads_the_app_that_was_checked(encoded: bytes) -> None:
    ours = accepted(fleet.GetFabResponse, encoded)
    theirs = read_by_flower("fab_pb2", "GetFabResponse", encoded)
    if ours is not None and theirs is not None:
        assert same(ours.fab, theirs.fab)


@settings(max_examples=2000, deadline=None)
@given(PULLED)
def test_flower_reads_the_message_that_was_checked(encoded: bytes) -> None:
    ours = accepted(fleet.PullMessagesResponse, encoded)
    theirs = read_by_flower("fleet_pb2", "PullMessagesResponse", encoded)
    if ours is None or theirs is None:
        return
    assert len(ours.messages_list) == len(theirs.messages_list)
    for one, other in zip(ours.messages_list, theirs.messages_list, strict=True):
        assert same(one.metadata, other.metadata)
        assert same(one.error, other.error)
    trees = [
        [(tree.object_id, [child.object_id for child in tree.children]) for tree in each]
        for each in (ours.message_object_trees, theirs.message_object_trees)
    ]
    assert trees[0] == trees[1]


@pytest.mark.parametrize("mode", handover.MODES, ids=lambda mode: mode.__name__)
@pytest.mark.parametrize("changed", [{"fab_id": "me/other"}, {"fab_hash": "0" * 64}, {"run_id": 8}])
def test_the_fuzz_target_finds_what_was_handed_over_and_not_checked(
    mode: handover.Mode, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = next(iter(handover.seeds())) if mode is handover.bridged else handover.whole()
    handover.send(sound, mode)

    def check(policy: handover.Recording, run: fleet.Run, fab: bytes) -> None:
        seen = fleet.Run()
        seen.CopyFrom(run)
        seen.MergeFrom(fleet.Run(**changed))
        policy.seen.append((seen, fab))

    monkeypatch.setattr(handover.Recording, "check", check)
    with pytest.raises(AssertionError):
        handover.send(sound, mode)


# A central that attacks


class Central:
    """Sends a message of the app to a station in direct mode, where Flower is real."""

    def __init__(self, folder: Path, fab: bytes) -> None:
        self.job = Job(folder / "job")
        self.proof = folder / "evil ran"
        manifest = Manifest.of_fab(fab)
        self.policy = Policy(manifest)
        self.run = fleet.GetRunResponse(
            run=fleet.Run(
                run_id=RUN_ID,
                fab_id=f"{manifest.publisher}/{manifest.name}",
                fab_version=manifest.version,
                fab_hash=manifest.fab_sha256,
            )
        ).SerializeToString()
        evil = fleet.Run(
            run_id=RUN_ID,
            fab_id=EVIL_ID,
            fab_version=EVIL_VERSION,
            fab_hash=manifest.fab_sha256,
        )
        self.evil = fleet.GetRunResponse(run=evil).SerializeToString()
        app = folder / "evil" / f"app.{manifest.fab_sha256[:8]}"
        shutil.copytree(APPS / "queries", app)
        evil_app = app / "queries" / "client_app.py"
        evil_app.write_text(
            f"import pathlib\npathlib.Path({str(self.proof)!r}).touch()\n{evil_app.read_text()}"
        )
        self._fab = fleet.GetFabResponse(
            fab=fleet.Fab(hash_str=manifest.fab_sha256, content=fab)
        ).SerializeToString()

    def send(self, run: bytes) -> bundle_pb2.Header | fleet.Message:
        """Have a message of a run answered; returns the failure, or else the reply."""
        metadata = fleet.Metadata(
            run_id=RUN_ID,
            message_id=object_id(run),
            src_node_id=1,
            dst_node_id=NODE_ID,
            ttl=600.0,
            created_at=1e9,
            message_type="query.hello",
        )
        content = wire.field(2, b"")
        message = fleet.Message(metadata=metadata).SerializeToString() + content
        pulled = wire.field(2, message)
        header = bundle_pb2.Header(
            message_id=metadata.message_id,
            instruction=bundle_pb2.Instruction(
                pull_messages_object_id=object_id(pulled),
                get_run_response=run,
                fab_object_id=object_id(self._fab),
                node_id=NODE_ID,
                deadline_seconds=600.0,
                whole=True,
            ),
        )
        place: Message = self.job.message(metadata.message_id)
        objects = {object_id(each): each for each in (pulled, self._fab)}
        write_bundle(place.instruction, header, objects)
        start = runtimes(Mode.DIRECT, self.job, "partition-id=0", self.job.folder, warm=False)
        started: list[Runtime] = []

        def runtime(node_id: int) -> Runtime:
            started.append(start(node_id))
            return started[-1]

        try:
            answer(self.job, place, runtime, self.policy)
        finally:
            for each in started:
                each.stop()
        with Bundle(place.reply) as bundle:
            if bundle.header.WhichOneof("content") == "failure":
                return bundle.header
            request = fleet.PushMessagesRequest.FromString(pushed_in(bundle))
            return request.messages_list[0]


@pytest.fixture(scope="module")
def fab(flower: Flower) -> bytes:
    return build(APPS / "queries", flower)


@pytest.fixture
def central(tmp_path: Path, fab: bytes) -> Central:
    return Central(tmp_path, fab)


def test_an_honest_run_is_answered_by_its_app(central: Central) -> None:
    reply = central.send(central.run)
    assert isinstance(reply, fleet.Message)
    assert not reply.HasField("error")
    assert b"hello from station 0" in reply.SerializeToString()


def test_where_nothing_is_checked_flower_runs_what_the_run_names(central: Central) -> None:
    """So the attack below is one."""
    central.policy = Policy()
    reply = central.send(central.evil)
    assert isinstance(reply, fleet.Message)
    assert central.proof.exists()


def evil_first(central: Central) -> bytes:
    return central.evil + central.run


def evil_last(central: Central) -> bytes:
    return central.run + central.evil


def evil_within(central: Central) -> bytes:
    good, evil = (
        fleet.GetRunResponse.FromString(each).run.SerializeToString()
        for each in (central.run, central.evil)
    )
    return wire.field(1, evil + good)


@pytest.mark.parametrize("attack", [evil_first, evil_last, evil_within])
def test_a_run_that_may_be_read_as_another_is_refused_and_nothing_runs(
    central: Central, attack: Callable[[Central], bytes]
) -> None:
    failed = central.send(attack(central))
    assert not central.proof.exists()
    assert isinstance(failed, bundle_pb2.Header)
    assert failed.failure.code == ErrorCode.MESSAGE_UNAVAILABLE
    assert not central.job.clientapp_log.exists()
