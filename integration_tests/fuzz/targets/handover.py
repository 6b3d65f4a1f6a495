"""What a station's policy checked is what a SuperNode and a ClientApp get, and Flower reads in it.

An instruction bundle goes through all that a station does with one (`algorithm.station.answer`),
once for each kind of runtime. What is there in place of Flower keeps what it is given.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from algorithm.flower.environment import Flower
from algorithm.station.answer import answer
from algorithm.station.clientapp import ClientApp
from algorithm.station.job import Job
from algorithm.station.policy import Policy
from algorithm.station.runtime import NoReply, Runtime
from integration_tests.fuzz.harness import joined, pieces
from integration_tests.fuzz.samples import FAB, METADATA, OBJECTS, PULLED, RUN
from integration_tests.readings import read_by_flower, same
from protos import bundle_pb2
from protos import fleet_pb2 as fleet
from proxy.blocks import Data, in_memory
from proxy.bundle import Bundle
from proxy.client import ClientProxy, Delivery
from proxy.errors import FleetError
from proxy.fleet import wire
from proxy.fleet.messages import ErrorCode, object_id
from proxy.fleet.messages import parse as parse_message
from proxy.tests.helpers import write_bundle

# What a station refuses is no error: it is its answer.
ERRORS = (FleetError,)
_NODE_ID = METADATA.dst_node_id
_METADATA = fleet.Metadata()
_METADATA.CopyFrom(METADATA)
_METADATA.message_id = "f" * 64
_WHOLE = wire.field(2, fleet.Message(metadata=_METADATA).SerializeToString() + wire.field(2, b""))


@dataclass(frozen=True)
class Recording(Policy):
    """Allows everything, and keeps what it was asked about."""

    seen: list[tuple[fleet.Run, bytes]] = field(default_factory=list)

    def check(self, run: fleet.Run, fab: bytes) -> None:
        """Keep a copy."""
        kept = fleet.Run()
        kept.CopyFrom(run)
        self.seen.append((kept, fab))


@dataclass
class _HandedOver:
    """What was handed over: each as bytes, with what Flower takes it for."""

    run: Any = None
    fab: bytes | None = None
    message: Any = None


class _SuperNode:
    """Asks a ClientProxy for all that a SuperNode asks for."""

    node_id = _NODE_ID
    running = True

    def __init__(self, got: _HandedOver) -> None:
        self._got = got

    def serve(self, delivery: Delivery, deadline: float) -> None:
        """Keep the answers."""
        proxy = ClientProxy(_NODE_ID)
        proxy.offer(delivery, 0.0)
        run_id = delivery.instruction.metadata.run_id

        def ask(method: str, **about: Any) -> bytes:
            request = getattr(fleet, f"{method}Request")(**about)
            return proxy.handle(method, request.SerializeToString(), 0.0) or b""

        pulled = read_by_flower("fleet_pb2", "PullMessagesResponse", ask("PullMessages"))
        run = read_by_flower("run_pb2", "GetRunResponse", ask("GetRun", run_id=run_id))
        fab = read_by_flower("fab_pb2", "GetFabResponse", ask("GetFab", run_id=run_id))
        self._got.run = run and run.run
        self._got.fab = fab and fab.fab.content
        # A SuperNode takes the first one.
        self._got.message = pulled and pulled.messages_list[0]
        raise NoReply(ErrorCode.CLIENT_APP_CRASHED, "It only keeps what it gets.")

    def stop(self) -> None:
        """Do nothing."""


class _Process:
    """A process that has ended."""

    exit_code, running = 0, False

    def wait(self, timeout: float) -> bool:
        """It has ended."""
        return True

    def stop(self) -> None:
        """Do nothing."""


class _Script:
    """Takes the frames that a ClientApp's process gets, then ends."""

    got = _HandedOver()

    def __init__(self, *_: object) -> None:
        self.process = _Process()

    def send(self, kind: bytes, data: Data, until: float | None = None) -> None:
        """Keep a frame."""
        encoded = in_memory(data)
        match kind:
            case b"F":
                self.got.fab = encoded
            case b"R":
                self.got.run = read_by_flower("run_pb2", "Run", encoded)
            case b"M":
                self.got.message = read_by_flower("message_pb2", "Message", encoded)

    def receive(self, until: float | None = None) -> tuple[bytes, Data]:
        """Send nothing any more."""
        raise EOFError

    def stop(self) -> None:
        """Do nothing."""


class _Flower(Flower):
    """Of a release; nothing of it is started."""

    def __init__(self) -> None:
        self.release = "1.41.0"


def bridged(job: Job, got: _HandedOver) -> Runtime:
    """Return a SuperNode."""
    return _SuperNode(got)


def direct(job: Job, got: _HandedOver) -> Runtime:
    """Return a ClientApp without a SuperNode."""
    _Script.got = got
    return ClientApp(
        *(_Flower(), _NODE_ID, "", job.folder, job.contexts, job.clientapp_log),
        warm=False,
    )


Mode = Callable[[Job, _HandedOver], Runtime]
MODES: tuple[Mode, ...] = (bridged, direct)


def parse(data: bytes) -> None:
    """Send an instruction to stations; the input is what a SuperLink said, and an object."""
    for mode in MODES:
        send(data, mode)


def send(data: bytes, mode: Mode) -> None:
    """Send an instruction to a station."""
    pulled, run, fab, own = pieces(data, 4)
    said = parse_message(fleet.PullMessagesResponse, pulled)
    metadata = said.messages_list[0].metadata if said.messages_list else fleet.Metadata()
    message_id = metadata.message_id
    if not (message_id.isascii() and message_id.isalnum() and len(message_id) <= 64):
        raise FleetError("A courier takes no such message.")
    header = bundle_pb2.Header(
        message_id=message_id,
        instruction=bundle_pb2.Instruction(
            pull_messages_object_id=object_id(pulled),
            get_run_response=run,
            fab_object_id=object_id(fab),
            node_id=metadata.dst_node_id,
            deadline_seconds=60.0,
            whole=not own,
        ),
    )
    objects = {object_id(each): each for each in (pulled, fab, own, *OBJECTS.contents.values())}
    with tempfile.TemporaryDirectory() as folder:
        _check_answer(Job(Path(folder)), mode, header, objects)


def _check_answer(
    job: Job, mode: Mode, header: bundle_pb2.Header, objects: Mapping[str, bytes]
) -> None:
    """Have a station answer, and compare what its policy saw with what it handed over."""
    message, policy, got = job.message(header.message_id), Recording(), _HandedOver()
    write_bundle(message.instruction, header, objects)
    with patch("algorithm.station.clientapp.Script", _Script):
        answer(job, message, lambda _: mode(job, got), policy)
    with Bundle(message.reply) as reply:
        assert not reply.header.failure.reason.startswith("Internal error"), reply.header
    if got == _HandedOver():
        return
    ((run, fab),) = policy.seen
    assert got.fab is None or got.fab == fab
    assert got.fab is None or object_id(got.fab) == run.fab_hash
    # What Flower's parser refuses does not run.
    if got.run is not None:
        assert same(run, got.run)
        assert set(run.override_config) == set(got.run.override_config)
    if got.message is not None:
        assert got.message.metadata.run_id == run.run_id
        assert got.message.metadata.message_id == header.message_id
        assert got.message.metadata.dst_node_id == header.instruction.node_id


def whole() -> bytes:
    """Make a sound instruction whose message came whole."""
    return joined(_WHOLE, RUN, FAB, b"")


def seeds() -> Iterator[bytes]:
    """Make sound instructions, and some of which two parsers read two things."""
    evil = fleet.Run(run_id=7, fab_id="/", fab_version="/../../evil/app")
    good = fleet.GetRunResponse.FromString(RUN).run
    evil.fab_hash = good.fab_hash
    evil_run = fleet.GetRunResponse(run=evil).SerializeToString()
    within = wire.field(1, evil.SerializeToString() + good.SerializeToString())
    configured = fleet.Run()
    configured.CopyFrom(good)
    for key in ("rounds", "optimizer.name"):
        configured.override_config[key].SetInParent()
    own = OBJECTS.contents[OBJECTS.tree.object_id]
    for pulled, of in ((PULLED, own), (_WHOLE, b"")):
        for run in (
            *(RUN, RUN + evil_run, evil_run + RUN, within),
            fleet.GetRunResponse(run=configured).SerializeToString(),
        ):
            yield joined(pulled, run, FAB, of)
        yield joined(pulled, RUN, FAB + FAB, of)
        yield joined(pulled + pulled, RUN, FAB, of)


def bombs() -> Iterator[bytes]:
    """Messages, runs and keys of nothing."""
    yield joined(PULLED, b"\x0a\x00" * 30_000, FAB, b"")
    yield joined(PULLED + b"\x12\x00" * 30_000, RUN, FAB, b"")
    run = fleet.GetRunResponse.FromString(RUN).run
    for number in range(4000):
        run.override_config[str(number)].SetInParent()
    yield joined(PULLED, fleet.GetRunResponse(run=run).SerializeToString()[:65_000], FAB, b"")
