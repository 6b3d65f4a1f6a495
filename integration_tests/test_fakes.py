"""The fakes of the unit tests behave as the real thing: the same conversations, side by side."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from algorithm.flower.environment import Flower
from integration_tests.harness import PATIENCE_SECONDS, Federation, finish, superlink
from proxy import client
from proxy.bundle import Bundle
from proxy.carriers import Exchange
from proxy.central.delivery import Delivery
from proxy.central.stations import Station, Terms
from proxy.client import ClientProxy
from proxy.errors import FleetError
from proxy.fleet.messages import ErrorCode, Instruction, error_reply
from proxy.system.process import Process
from proxy.testing import FakeSuperLink, FakeSuperNode, record_dict
from proxy.transport.http import HttpTransport
from proxy.transport.link import HEARTBEAT_INTERVAL_SECONDS
from proxy.transport.server import FleetServer
from proxy.transport.superlink import SuperLink


@pytest.fixture(scope="module")
def lonely(flower: Flower, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A SuperLink without SuperNodes."""
    with superlink(flower, tmp_path_factory.mktemp("lonely")) as federation:
        yield federation


def submit(federation: Federation) -> Process:
    """Submit an app that asks one station one question."""
    return federation.submit(
        "faults",
        num_stations=1,
        num_server_rounds=1,
        result=federation.folder / "faults.json",
    )


@contextmanager
def kept_online(node: SuperLink) -> Iterator[None]:
    """Send heartbeats: without, the SuperLink gives up a node after a minute."""
    over = threading.Event()

    def send() -> None:
        while not over.wait(HEARTBEAT_INTERVAL_SECONDS / 3):
            node.heartbeat()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def pulled(node: SuperLink) -> Instruction:
    """Wait for a message."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while (instruction := node.pull_messages()) is None:
        assert time.monotonic() < give_up
        time.sleep(0.1)
    return instruction


def outcome(call: Callable[[], object]) -> str:
    """Return what a call led to, in words that do not depend on ids."""
    try:
        answer = call()
    except FleetError as error:
        return type(error).__name__
    return repr(answer) if isinstance(answer, bool | None) else "answered"


def conversation(
    node: SuperLink, stranger: SuperLink, instruct: Callable[[], Callable[[], object]]
) -> Iterator[str]:
    """Talk to a SuperLink of all that a SuperNode may say; yields what came of it.

    `instruct` has the SuperLink send one message, and returns what ends its run.
    """
    node.register()
    yield f"nothing to do: {node.pull_messages()}"
    end_run = instruct()
    with kept_online(node):
        instruction = pulled(node)
    about, run_id = instruction.metadata, instruction.metadata.run_id
    yield f"handed out once: {node.pull_messages()}"
    yield f"its run: {outcome(lambda: node.get_run(run_id))}"
    yield f"another run: {outcome(lambda: node.get_run(run_id ^ 1))}"
    for object_id in instruction.object_ids:
        pull = partial(node.pull_object, run_id, object_id)
        # A message is handed out before the ServerApp has stored its objects.
        while (pulled_object := outcome(pull)) == "None":
            time.sleep(0.1)
        yield f"one of its objects: {pulled_object}"
    yield f"another object: {outcome(lambda: node.pull_object(run_id, 64 * '0'))}"
    yield f"a stranger: {outcome(stranger.pull_messages)}"
    node.confirm_message_received(run_id, about.message_id)
    root = instruction.object_ids[-1]
    yield f"its object, once confirmed: {outcome(lambda: node.pull_object(run_id, root))}"

    layout = instruction.layout
    first, contents = error_reply(instruction, ErrorCode.UNKNOWN, "first", time.time())
    second, _ = error_reply(instruction, ErrorCode.UNKNOWN, "second", time.time())
    for reply in (first, first, second):
        answer = node.push_messages(reply, layout)
        yield f"wants {len(answer.wanted)} of {len(reply.object_ids)} objects"
        if answer.wanted:
            last_session = answer.session_id
    for each, content in contents.items():
        node.push_object(run_id, last_session, each, content)
    yield f"wants {len(node.push_messages(first, layout).wanted)} objects of what it has"

    end_run()
    yield f"its run, once it ended: {outcome(lambda: node.get_run(run_id))}"
    yield f"a reply to it: {outcome(lambda: node.push_messages(first, layout))}"
    node.unregister()
    yield f"a node that left: {outcome(node.pull_messages)}"


def test_the_fake_superlink_answers_as_the_real_one(lonely: Federation) -> None:
    def instruct() -> Callable[[], object]:
        submission = submit(lonely)
        return lambda: finish(submission)

    real = conversation(
        SuperLink(HttpTransport(lonely.address)),
        SuperLink(HttpTransport(lonely.address)),
        instruct,
    )

    fake = FakeSuperLink()
    node = SuperLink(fake)

    def instruct_fake() -> Callable[[], object]:
        fake.push_instruction(record_dict(weights=b"1"), node.node_id)
        return lambda: fake.end_run(fake.run_id)

    imitated = conversation(node, SuperLink(fake), instruct_fake)

    def distinct(answers: Iterator[str]) -> list[str]:
        # The two messages differ in their number of objects, the answers must not.
        return [key for key, _ in itertools.groupby(answers)]

    assert distinct(imitated) == distinct(real)


class Recorder:
    """A ClientProxy that notes which methods are called."""

    def __init__(self, node_id: int) -> None:
        self.proxy = ClientProxy(node_id)
        self.methods: list[str] = []

    def handle(self, method: str, request: bytes, now: float) -> bytes | None:
        """Note, and answer."""
        answer = self.proxy.handle(method, request, now)
        # Heartbeats come when they come, and a long poll asks the proxy again and again.
        if method != "SendNodeHeartbeat" and answer is not None:
            self.methods.append(method)
        return answer

    def conversation(self) -> list[str]:
        """Return the methods in their order, those that repeat once."""
        return [method for method, _ in itertools.groupby(self.methods)]


class RealSuperNode:
    """A carrier whose one station is a real SuperNode; it keeps the instruction bundle."""

    stations = ("station",)

    def __init__(self, flower: Flower, folder: Path) -> None:
        self.instruction = folder / "kept.bundle"
        self.fab = b""
        self._flower = flower
        self._folder = folder

    def prepare(self, station: str, node_id: int) -> None:
        """Start the SuperNode."""
        self.recorder = Recorder(node_id)
        self._server = FleetServer(self.recorder, self._flower.transport)
        config = "partition-id=0 num-partitions=1"
        self._process = self._flower.start_supernode(
            self._server.address, config, self._folder / "flwr", self._folder / "supernode.log"
        )

    def online(self, station: str) -> bool:
        """It is."""
        return True

    def exchange(self, station: str, exchange: Exchange) -> None:
        """Have it answer."""
        self.instruction.write_bytes(exchange.instruction.read_bytes())
        with Bundle(exchange.instruction) as bundle:
            self.fab = bundle.read(bundle.header.instruction.fab_object_id)
            delivery = client.Delivery(bundle, self.fab, exchange.reply, "cache", lambda: None)
            self._server.change(lambda now: self.recorder.proxy.offer(delivery, now))
            assert self._server.wait(
                lambda: delivery.stage == client.Stage.ANSWERED, exchange.timeout
            )

    def close(self) -> None:
        """End it."""
        self._process.stop()
        self._server.close()


def test_the_fake_supernode_calls_as_the_real_one(
    flower: Flower, lonely: Federation, tmp_path: Path
) -> None:
    node = SuperLink(HttpTransport(lonely.address))
    node.register()
    carrier = RealSuperNode(flower, tmp_path)
    carrier.prepare("station", node.node_id)
    try:
        with kept_online(node):
            submission = submit(lonely)
            instruction = pulled(node)
            bundles = tmp_path / "bundles"
            bundles.mkdir()
            station = Station("station", node, carrier, bundles)
            terms = Terms(600.0, threading.Event())
            Delivery(station, terms, instruction, lambda _: None).run()
            finish(submission)
    finally:
        carrier.close()
        node.unregister()
    replies = json.loads((lonely.folder / "faults.json").read_text())["rounds"][0]["replies"]
    assert [reply["value"] for reply in replies] == [1.0]

    recorder = Recorder(node.node_id)
    fake = FakeSuperNode(recorder.handle, lambda content: content)
    fake.start()
    with Bundle(carrier.instruction) as bundle:
        delivery = client.Delivery(
            *(bundle, carrier.fab, tmp_path / "reply", "cache", lambda: None)
        )
        recorder.proxy.offer(delivery, 0.0)
        assert fake.work()
        recorder.proxy.withdraw()
    real = carrier.recorder.conversation()
    assert recorder.conversation() == real[: real.index("PushObject") + 1]
