"""What answers messages at a station: a SuperNode without being a process of its own.

It makes the calls of a real one to a real `ClientProxy`. Its ClientApp's answer follows from the
message and the station alone; how long it takes, and whether it answers, is the seed's choice.
"""

import hashlib
import threading
import uuid

from algorithm.station.runtime import NoReply
from algorithm.tests.simulation.world import World
from proxy.client import ClientProxy, Delivery, Stage
from proxy.errors import BridgeError
from proxy.fleet.messages import ErrorCode
from proxy.testing import FakeSuperNode, Objects, record_dict

_TRAINS_SECONDS = (0.1, 5.0)
_HANGS_SECONDS = 1e6


def answer_of(station: str, content: Objects) -> Objects:
    """Return what a station's ClientApp answers."""
    said = hashlib.sha256(content.tree.object_id.encode() + station.encode()).digest()
    return record_dict(weights=said)


class SimulatedRuntime:
    """Implements `algorithm.station.runtime.Runtime`."""

    def __init__(self, world: World, station: str, node_id: int, warm: bool) -> None:
        self.node_id = node_id
        self._world, self._station = world, station
        self._proxy = ClientProxy(node_id, uuid.uuid4().hex if warm else "")
        self._ended = threading.Event()
        self._changed = threading.Event()
        self._message = self._content = ""

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._ended.is_set()

    def serve(self, delivery: Delivery, deadline: float) -> None:
        """Have the ClientApp answer a message."""
        clock = self._world.scheduler
        until = clock.now + deadline
        self._changed.clear()
        self._proxy.offer(delivery, clock.now)
        threading.Thread(target=self._work, name="SuperNode").start()
        try:
            while delivery.stage != Stage.ANSWERED and delivery.failure is None:
                if self._ended.is_set():
                    raise NoReply(ErrorCode.NODE_UNAVAILABLE, "The SuperNode ended.")
                if not self._changed.wait(until - clock.now) and clock.now >= until:
                    raise NoReply(ErrorCode.REPLY_MESSAGE_UNAVAILABLE, "The ClientApp is late.")
                self._changed.clear()
            if isinstance(delivery.failure, OSError):
                raise delivery.failure
            if delivery.failure is not None:
                raise NoReply(ErrorCode.REPLY_MESSAGE_UNAVAILABLE, delivery.failure.message)
            world = self._world
            world.truth.answered.add((world.run_number, self._station, self._content))
        finally:
            self._proxy.withdraw()

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        self._changed.set()
        self.stopped()

    def stopped(self) -> None:
        """Its owner has ended, and it with it."""
        self._world.truth.training.discard(self._message)

    def _work(self) -> None:
        supernode = FakeSuperNode(self._handle, self._clientapp)
        try:
            supernode.start()
            supernode.work()
        except (BridgeError, OSError):
            pass  # a SuperNode logs it; what it means for the message the station finds out
        finally:
            self._changed.set()

    def _handle(self, method: str, request: bytes, _: float) -> bytes | None:
        self._world.scheduler.seam()
        if self._ended.is_set():
            raise NoReply(ErrorCode.NODE_UNAVAILABLE, "It was ended.")
        if method == "ConfirmMessageReceived" and self._proxy.delivery is not None:
            self._message = self._proxy.delivery.instruction.message_id
        return self._proxy.handle(method, request, self._world.now)

    def _clientapp(self, content: Objects) -> Objects:
        world, chance = self._world, self._world.scheduler.chance
        self._content = content.tree.object_id
        world.truth.begins(self._message, self._station, self._content)
        seconds = chance.uniform(*_TRAINS_SECONDS)
        if world.troubled and chance.random() < world.faults.hangs:
            world.cost(f"the ClientApp of {self._station} never answers")
            seconds = _HANGS_SECONDS
        if world.troubled and chance.random() < world.faults.dies:
            world.cost(f"the ClientApp of {self._station} ends")
            self.stop()
        if self._ended.wait(seconds):
            raise NoReply(ErrorCode.NODE_UNAVAILABLE, "It was ended.")
        world.truth.training.discard(self._message)
        return answer_of(self._station, content)
