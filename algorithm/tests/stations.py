"""A data station without processes, for tests."""

from collections.abc import Callable
from pathlib import Path

from algorithm.station.answer import answer
from algorithm.station.job import Job, Message
from algorithm.station.policy import Policy
from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle
from proxy.client import ClientProxy, Delivery, Stage
from proxy.testing import FakeSuperNode, Objects, record_dict
from proxy.tests.helpers import Drained, pushed_in

TRAINED = record_dict(weights=b"trained")


class SuperNodeInMemory:
    """Serves as a SuperNode does, without being a process.

    Attributes
    ----------
    trained : list[str]
        The ids of the messages that reached the ClientApp.
    deadlines : list[float]
        Those that it was given.
    trouble : Exception | None
        What happens instead of a reply, after the ClientApp has the message.
    late_trouble : Exception | None
        What happens after the reply is complete.
    """

    running = True

    def __init__(self) -> None:
        self.node_id = 0
        self.trained: list[str] = []
        self.deadlines: list[float] = []
        self.trouble: Exception | None = None
        self.late_trouble: Exception | None = None
        self.look: Callable[[], None] = lambda: None

    def at(self, node_id: int) -> "SuperNodeInMemory":
        self.node_id = node_id
        return self

    def stop(self) -> None:
        """Do nothing: there is no process."""

    def serve(self, delivery: Delivery, deadline: float) -> None:
        self.deadlines.append(deadline)
        proxy = ClientProxy(self.node_id)
        proxy.offer(delivery, 0.0)

        def clientapp(_: Objects) -> Objects:
            self.trained.append(delivery.instruction.message_id)
            self.look()
            if self.trouble is not None:
                raise self.trouble
            return TRAINED

        supernode = FakeSuperNode(proxy.handle, clientapp)
        supernode.start()
        supernode.work()
        assert delivery.stage == Stage.ANSWERED
        if self.late_trouble is not None:
            raise self.late_trouble


class Station:
    """A job's folder with a SuperNode, and what may run there."""

    def __init__(self, folder: Path, policy: Policy | None = None) -> None:
        self.job = Job(folder)
        self.supernode = SuperNodeInMemory()
        self._policy = policy or Policy()

    def receive(self, sent: Drained, with_fab: bool = True) -> Message:
        """Put an instruction where a courier would."""
        message = self.job.message(sent.metadata.message_id)
        sent.write(message.instruction, with_fab)
        return message

    def answer(self, message: Message) -> bool:
        return answer(self.job, message, self.supernode.at, self._policy)


def reply_of(message: Message) -> fleet.PushMessagesRequest:
    with Bundle(message.reply) as bundle:
        assert bundle.header.message_id == message.message_id
        return fleet.PushMessagesRequest.FromString(pushed_in(bundle))


def failure_of(message: Message) -> tuple[int, str]:
    with Bundle(message.reply) as bundle:
        assert bundle.header.WhichOneof("content") == "failure"
        return bundle.header.failure.code, bundle.header.failure.reason
