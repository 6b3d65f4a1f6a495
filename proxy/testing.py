"""Both ends of the bridge in memory: no sockets, no threads, no waiting. For tests.

    pair = ProxyPair(MemoryCarrier(clientapp=lambda content: content), folder)
    assert pair.send(record_dict(weights=b"...")) == record_dict(weights=b"...")

`FakeSuperLink` (`proxy.transport.testing`) answers as a SuperLink does, `FakeSuperNode` calls as a
SuperNode does. `MemoryCarrier` has a SuperNode with a real `ClientProxy` at each of its stations,
`ProxyPair` puts a SuperLink and real deliveries before a carrier: this one, or the one to test.
`FakeClock` has time pass only while somebody waits.
"""

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from protos import bundle_pb2
from protos import fleet_pb2 as fleet
from proxy import client
from proxy.bundle import Bundle, BundleWriter
from proxy.carriers import Carrier, Exchange
from proxy.central.delivery import Delivery
from proxy.central.events import Event, Trace, told_to
from proxy.central.report import MessageRecord, Observer, Reporter, log_trouble
from proxy.central.stations import Station, Terms
from proxy.client import ClientProxy
from proxy.errors import CarrierError, RunNotRunning, Unimplemented
from proxy.fleet.messages import Instruction, Reply, parse
from proxy.fleet.releases import SCHEMAS, Layout, Schema
from proxy.transport.node_key import NodeKey
from proxy.transport.superlink import SuperLink
from proxy.transport.testing import (
    Content,
    FakeSuperLink,
    Objects,
    inline_content,
    make_message,
    make_object,
    make_reply,
    read_objects,
    record_dict,
)

__all__ = [
    "ClientApp",
    "Content",
    "FakeClock",
    "FakeSuperLink",
    "FakeSuperNode",
    "MemoryCarrier",
    "Objects",
    "ProxyPair",
    "make_message",
    "make_object",
    "make_reply",
    "record_dict",
]

ClientApp = Callable[[Objects], Content]
Handle = Callable[[str, bytes, float], bytes | None]


class FakeSuperNode:
    """Makes the calls that a SuperNode makes, for one message at a time.

    Source of their order: flwr 1.41, `flwr/supernode/start_client_internal.py`; flwr 1.18 and 1.19,
    `flwr/client/grpc_rere_client/connection.py` and `flwr/client/start_client_internal.py`.

    Parameters
    ----------
    handle : Callable[[str, bytes, float], bytes | None]
        Answers the calls: `ClientProxy.handle`, or a function like it.
    clientapp : Callable[[Objects], Objects | Error]
        Answers the messages.
    schema : Schema
        What it speaks.

    Attributes
    ----------
    now : float
        The time of the calls; a test may move it.
    calls : list[tuple[str, bytes]]
        Every call: the method and the request.
    """

    def __init__(self, handle: Handle, clientapp: ClientApp, schema: Schema = SCHEMAS[-1]) -> None:
        self.schema = schema
        self.now = 0.0
        self.calls: list[tuple[str, bytes]] = []
        self._handle = handle
        self._clientapp = clientapp
        self._superlink = SuperLink(self)
        self._fab_hashes: dict[int, str] = {}  # by run

    @property
    def node_id(self) -> int:
        """The node id that it was given; 0 until then."""
        return self._superlink.node_id

    def start(self) -> None:
        """Get a node id."""
        self._superlink.register()

    def work(self) -> bool:
        """Do all that a message takes; returns whether there was one, and its run was running."""
        try:
            received = self.receive()
            if received is None:
                return False
            instruction, content = received
            self.reply(instruction, *make_reply(instruction, self._clientapp(content)))
        except RunNotRunning:
            return False  # a SuperNode drops the message, and goes on
        return True

    def receive(self) -> tuple[Instruction, Objects] | None:
        """Fetch a message and all that belongs to it; None if there is none."""
        instruction = self._superlink.pull_messages()
        if instruction is None:
            return None
        if instruction.layout != self.schema.layout:
            raise ValueError(f"A SuperNode of Flower {self.schema.releases} cannot read this.")
        pulled = parse(fleet.PullMessagesResponse, instruction.encoded)
        match instruction.layout:
            case Layout.INLINE:
                self._fetch_app(instruction)
                return instruction, inline_content(pulled.messages_list[0])
            case Layout.MAP:
                contents = self._fetch_objects(instruction)
                self._fetch_app(instruction)
                return instruction, read_objects(instruction.message_id, contents).below
            case Layout.TREE:
                self._fetch_app(instruction)
                contents = self._fetch_objects(instruction)
                return instruction, Objects(pulled.message_object_trees[0], contents).below

    def _fetch_app(self, instruction: Instruction) -> None:
        run_id = instruction.metadata.run_id
        known = run_id in self._fab_hashes
        if not known:
            run = parse(fleet.GetRunResponse, self._superlink.get_run(run_id)).run
            self._fab_hashes[run_id] = run.fab_hash
        if not known or instruction.layout != Layout.TREE:
            self._superlink.get_fab(run_id, self._fab_hashes[run_id])

    def _fetch_objects(self, instruction: Instruction) -> dict[str, bytes]:
        run_id = instruction.metadata.run_id
        contents = {}
        for each in instruction.object_ids:
            # A SuperNode asks for an object that is not there yet for up to two hours.
            contents[each] = self._superlink.pull_object(run_id, each) or b""
        self._superlink.confirm_message_received(run_id, instruction.message_id)
        return contents

    def reply(self, instruction: Instruction, reply: Reply, contents: Mapping[str, bytes]) -> None:
        """Push the reply to a message, and those of its objects that are asked for."""
        answer, run_id = (
            self._superlink.push_messages(reply, instruction.layout),
            reply.metadata.run_id,
        )
        for each, content in contents.items():
            if each in answer.wanted:
                self._superlink.push_object(run_id, answer.session_id, each, content)

    def call(self, method: str, request: bytes) -> bytes:
        """Make one call; see `proxy.transport.superlink.Transport`."""
        if method in ("CreateNode", "RegisterNode") and method != self.schema.joining:
            raise Unimplemented(f"A SuperNode of this release never calls {method}.")
        if method in ("Ping", "SendNodeHeartbeat") and method != self.schema.heartbeat:
            raise Unimplemented(f"A SuperNode of this release never calls {method}.")
        self.calls.append((method, request))
        return self._handle(method, request, self.now) or b""

    def use_key(self, key: NodeKey) -> None:
        """Do nothing: nobody asks who calls; see `proxy.transport.superlink.Transport`."""

    def close(self) -> None:
        """Do nothing: there is no connection."""


class MemoryCarrier:
    """Implements `proxy.carriers.Carrier`: each station is a ClientProxy and a FakeSuperNode.

    Parameters
    ----------
    clientapp : Callable[[Objects], Objects | Error]
        What the SuperNodes run.
    stations : Sequence[str]
        The names of the stations.
    schema : Schema
        What the SuperNodes speak.

    Attributes
    ----------
    supernodes : dict[str, FakeSuperNode]
        By station.
    """

    def __init__(
        self,
        clientapp: ClientApp,
        stations: Sequence[str] = ("station-1",),
        schema: Schema = SCHEMAS[-1],
    ) -> None:
        self.stations = stations
        self._schema = schema
        self.supernodes: dict[str, FakeSuperNode] = {}
        self._clientapp = clientapp
        self._proxies: dict[str, ClientProxy] = {}
        self._caches: dict[str, tuple[str, dict[str, bytes]]] = {}
        for station in stations:
            self.lose_cache(station)

    def lose_cache(self, station: str) -> None:
        """Have a station hold no app any more, as if it were another machine now."""
        self._caches[station] = (uuid.uuid4().hex, {})

    def prepare(self, station: str, node_id: int) -> None:
        """Start a station's SuperNode."""
        self._proxies[station] = ClientProxy(node_id)
        handle = self._proxies[station].handle
        supernode = FakeSuperNode(handle, self._clientapp, self._schema)
        supernode.start()
        self.supernodes[station] = supernode

    def online(self, station: str) -> bool:
        """Whether a station can be reached: in memory all can."""
        return True

    def exchange(self, station: str, exchange: Exchange) -> None:
        """Have a station's SuperNode answer a bundle; see `Carrier.exchange`."""
        proxy, supernode = self._proxies[station], self.supernodes[station]
        generation, kept = self._caches[station]
        with Bundle(exchange.instruction) as bundle:
            fab_id = bundle.header.instruction.fab_object_id
            if fab_id in bundle.object_ids:
                kept[fab_id] = bundle.read(fab_id)
            if fab_id not in kept:
                header = bundle_pb2.Header(
                    message_id=exchange.message_id, cache_generation=generation
                )
                header.missing_objects.object_ids.append(fab_id)
                BundleWriter(exchange.reply, header).close()
                return
            delivery = client.Delivery(
                *(bundle, kept[fab_id], exchange.reply, generation, lambda: None)
            )
            proxy.offer(delivery, supernode.now)
            supernode.work()
            proxy.withdraw()
        if delivery.stage != client.Stage.ANSWERED:
            raise CarrierError(f"Station {station} did not answer.")

    def close(self) -> None:
        """Do nothing: a SuperNode in memory works only when it is called."""


class FakeClock:
    """Implements `proxy.clock.Clock`: time passes only while somebody waits, and then at once.

    Attributes
    ----------
    passed : float
        Seconds that have passed; a test may move it.
    """

    def __init__(self) -> None:
        self.passed = 0.0
        self._start = time.time()

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return self._start + self.passed

    def monotonic(self) -> float:
        """Return the seconds that have passed."""
        return self.passed

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Let time pass, unless an event is set; returns whether it is."""
        if not event.is_set():
            self.passed += seconds
        return event.is_set()


class ProxyPair(Observer):
    """A FakeSuperLink with real deliveries to a carrier's first station.

    Parameters
    ----------
    carrier : Carrier
        Reaches the station.
    folder : Path
        An empty folder, for bundles on their way.
    deadline : float
        Seconds that the station may take for a message.
    schema : Schema
        What the SuperLink speaks.

    Attributes
    ----------
    clock : FakeClock
        Time, as the bridge and the SuperLink see it.
    stop : threading.Event
        Set it to stop the bridge.
    events : list[Event]
        What happened to the messages so far.
    records : list[MessageRecord]
        What became of them.
    """

    def __init__(
        self,
        carrier: Carrier,
        folder: Path,
        deadline: float = 60.0,
        schema: Schema = SCHEMAS[-1],
    ) -> None:
        self.carrier = carrier
        self.clock = FakeClock()
        self.stop = threading.Event()
        self.superlink = FakeSuperLink(schema=schema, clock=self.clock.time)
        self.events: list[Event] = []
        self.records: list[MessageRecord] = []
        self.node = SuperLink(self.superlink)
        self.node.register()
        name = carrier.stations[0]
        carrier.prepare(name, self.node.node_id)
        self._station = Station(name, self.node, carrier, folder)
        self._terms = Terms(deadline, self.stop, self.clock)
        self._listeners = [self.events.append, Reporter(self).trace, log_trouble]
        self._trace = told_to(self._listeners)

    def listen(self, needed: Trace) -> None:
        """Have one more listener, on which a promise hangs."""
        self._trace = told_to(self._listeners, [needed])

    def taken(self, record: MessageRecord) -> None:
        """Keep the record."""
        self.records.append(record)

    def send(self, content: Objects, ttl: float = 3600.0, run_id: int = 0) -> Content:
        """Have a message answered; returns what the reply at the SuperLink says.

        Raises
        ------
        Exception
            What `Delivery.run` raises; `KeyError` if the SuperLink has no complete reply then.
        """
        message_id = self.superlink.push_instruction(content, self.node.node_id, ttl, run_id)
        if (delivery := self.delivery()) is not None:
            delivery.run()
        return self.superlink.reply_to(message_id)

    def delivery(self) -> Delivery | None:
        """Return the delivery of the next message; None if there is none."""
        instruction = self.node.pull_messages()
        if instruction is None:
            return None
        return Delivery(self._station, self._terms, instruction, self._trace)
