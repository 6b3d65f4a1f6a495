"""ClientProxy: impersonates the SuperLink to one real SuperNode at a data station.

Sans-I/O: it answers the SuperNode's Fleet calls from one instruction bundle at a time and
collects what the SuperNode pushes into a reply bundle. It has no socket, clock, thread or process;
`proxy.transport.server` puts it on a port, a test calls it directly.

A message goes through these stages, forwards only:

    OFFERED    it may be handed out, again and again
    PULLED     it was handed out, and may be handed out again: nothing is trained yet
    CONFIRMED  the SuperNode has all of it: from here on a loss is an error, never a second training
    PUSHING    the reply is announced, its objects are coming
    ANSWERED   every object of the reply's tree is in the bundle

A message without objects came whole, so there is nothing to confirm: fetching its app is the last
call before the ClientApp, and stands for the confirmation. Its reply is complete with the
announcement.

Source of the calls' order and meaning: flwr 1.41, `flwr/supernode/start_client_internal.py`; flwr
1.15 to 1.18, `start_client_internal` in `flwr/client/app.py`.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

from protos import bundle_pb2
from protos import fleet_pb2 as fleet
from proxy.blocks import Data, in_memory, sha256_of
from proxy.bundle import STAGES, Bundle, BundleWriter
from proxy.errors import BundleError, RunNotRunning, Unimplemented
from proxy.fleet import messages
from proxy.fleet.messages import parse
from proxy.instruction import app_of, instruction_of

log = logging.getLogger(__name__)


class Stage(IntEnum):
    """How far the message at hand has come."""

    OFFERED = 1
    PULLED = 2
    CONFIRMED = 3
    PUSHING = 4
    ANSWERED = 5


class Delivery:
    """One message at a station, from its instruction bundle to its reply bundle.

    Parameters
    ----------
    bundle : Bundle
        The instruction.
    fab : bytes
        The SuperLink's answer to GetFab for the message's run.
    reply : Path
        Where the reply bundle is written.
    generation : str
        The name of the station's cache, echoed in the reply.
    on_confirmed : Callable[[], None]
        Called when the message is the ClientApp's: from then on it must not be trained again.

    Raises
    ------
    BundleError
        If the bundle is not a complete instruction that agrees with itself, or if two parsers may
        read it differently.

    Attributes
    ----------
    run : Run
        What the SuperLink says of the message's run. Whatever is handed over says the same.
    app : Fab
        The app in `fab`, of the hash that the run names.
    """

    def __init__(
        self,
        bundle: Bundle,
        fab: bytes,
        reply: Path,
        generation: str,
        on_confirmed: Callable[[], None],
    ) -> None:
        self.bundle = bundle
        self.instruction, self.run = instruction_of(bundle)
        self.fab = fab
        self.app = app_of(bundle, self.run, fab)
        self.reply_path = reply
        self.generation = generation
        self.on_confirmed = on_confirmed
        self.stage = Stage.OFFERED
        self.times: dict[Stage, float] = {}
        self.reply: messages.Reply | None = None
        self.missing: set[str] = set()
        self.writer: BundleWriter | None = None
        self.failure: BundleError | OSError | None = None

    def seconds(self) -> dict[str, float]:
        """Return the seconds that each stage took, of those that have passed.

        They are `handover` until the SuperNode has all of the message, `clientapp` until its
        reply, and `collect` until the reply's last object.
        """
        stages = (Stage.OFFERED, Stage.CONFIRMED, Stage.PUSHING, Stage.ANSWERED)
        passed = [self.times[stage] for stage in stages if stage in self.times]
        return {
            name: end - start for name, start, end in zip(STAGES, passed, passed[1:], strict=False)
        }


class ClientProxy:
    """Answers a SuperNode's Fleet calls.

    Parameters
    ----------
    node_id : int
        The node id that the real SuperLink gave to the station's virtual SuperNode. The SuperNode
        gets the same one, so that no message needs rewriting.
    supernode_life : str
        Names the life of a warm SuperNode, in its replies; empty if it is not warm. May be changed
        between two messages, or before a reply is announced.
    """

    def __init__(self, node_id: int, supernode_life: str = "") -> None:
        self.node_id = node_id
        self.supernode_life = supernode_life
        self.delivery: Delivery | None = None

    def offer(self, delivery: Delivery, now: float) -> None:
        """Let the SuperNode have a message; it replaces the one before.

        Parameters
        ----------
        delivery : Delivery
            The message.
        now : float
            Seconds on any steady clock, here as everywhere in this class.
        """
        self.withdraw()
        self.delivery = delivery
        delivery.times[Stage.OFFERED] = now

    def withdraw(self) -> None:
        """Forget the message at hand; whatever the SuperNode still says of it is dropped."""
        if self.delivery is not None and self.delivery.writer is not None:
            self.delivery.writer.discard()
        self.delivery = None

    def handle(self, method: str, request: bytes, now: float) -> bytes | None:
        """Answer a Fleet call.

        Returns
        -------
        bytes | None
            The answer; None when there is no message yet (PullMessages): ask again later.

        Raises
        ------
        RunNotRunning
            If the call is about a run or an object that is not being worked on; a SuperNode then
            drops the message.
        FleetError
            If the call is senseless.
        BundleError
            If the reply cannot be written.
        """
        match method:
            case "RegisterNode" | "ActivateNode":  # the answers have the same form
                answer = fleet.ActivateNodeResponse(node_id=self.node_id).SerializeToString()
            case "CreateNode":
                node = fleet.Node(node_id=self.node_id)
                answer = fleet.CreateNodeResponse(node=node).SerializeToString()
            case "SendNodeHeartbeat" | "Ping":  # the answers have the same form
                answer = fleet.SendNodeHeartbeatResponse(success=True).SerializeToString()
            case "DeactivateNode" | "UnregisterNode" | "DeleteNode":
                answer = b""
            case "PullMessages":
                pulled = self.pull_messages(now)
                return None if pulled is None else in_memory(pulled)
            case "GetRun":
                run_id = parse(fleet.GetRunRequest, request).run_id
                answer = self._of_run(run_id).bundle.header.instruction.get_run_response
            case "GetFab":
                answer = self._get_fab(parse(fleet.GetFabRequest, request), now)
            case "PullObject":
                answer = self._pull_object(parse(fleet.PullObjectRequest, request))
            case "ConfirmMessageReceived":
                self._confirm(parse(fleet.ConfirmMessageReceivedRequest, request), now)
                answer = b""
            case "PushMessages":
                answer = self.push_messages(request, now)
            case "PushObject":
                answer = self._push_object(parse(fleet.PushObjectRequest, request), now)
            case _:
                raise Unimplemented(f"The bridge does not know the Fleet method {method}.")
        return answer

    def pull_messages(self, now: float) -> Data | None:
        """Answer PullMessages, with what may be too large for memory; see `handle`."""
        delivery = self.delivery
        if delivery is None or delivery.stage > Stage.PULLED:
            return None
        self._advance(delivery, Stage.PULLED, now)
        return delivery.instruction.data

    def _get_fab(self, request: fleet.GetFabRequest, now: float) -> bytes:
        delivery = self._of_run(request.run_id)
        if not delivery.instruction.object_ids:
            self._hand_over(delivery, now)
        return delivery.fab

    def _pull_object(self, request: fleet.PullObjectRequest) -> bytes:
        bundle = self._of_run(request.run_id).bundle
        if request.object_id not in bundle.object_ids:
            return fleet.PullObjectResponse(object_found=False).SerializeToString()
        return fleet.PullObjectResponse(
            object_found=True,
            object_available=True,
            object_content=bundle.read(request.object_id),
        ).SerializeToString()

    def _confirm(self, request: fleet.ConfirmMessageReceivedRequest, now: float) -> None:
        delivery = self._of_run(request.run_id)
        if request.message_object_id != delivery.instruction.message_id:
            raise RunNotRunning(f"Message {request.message_object_id} is not in progress.")
        self._hand_over(delivery, now)

    def _hand_over(self, delivery: Delivery, now: float) -> None:
        """Note that the message is the ClientApp's from here on."""
        if delivery.stage < Stage.CONFIRMED:
            with _failing(delivery):
                delivery.on_confirmed()
            self._advance(delivery, Stage.CONFIRMED, now)

    def push_messages(self, request: Data, now: float) -> bytes:
        """Answer PushMessages, whose request may be too large for memory; see `handle`."""
        reply = messages.Reply.decode(request)
        delivery = self.delivery
        if (
            delivery is None
            or reply.metadata.reply_to_message_id != delivery.instruction.message_id
            or delivery.stage == Stage.ANSWERED
        ):
            log.warning(
                "dropped a late reply to message %s: it was answered before",
                reply.metadata.reply_to_message_id,
            )
            return b""
        if delivery.reply is None:
            announcement = sha256_of(request)
            header = bundle_pb2.Header(
                message_id=delivery.instruction.message_id,
                cache_generation=delivery.generation,
                reply=bundle_pb2.Reply(
                    push_messages_object_id=announcement, supernode_life=self.supernode_life
                ),
            )
            delivery.reply = reply
            delivery.missing = set(reply.object_ids)
            with _failing(delivery):
                delivery.writer = BundleWriter(delivery.reply_path, header)
                delivery.writer.add(announcement, request)
                delivery.times.setdefault(Stage.CONFIRMED, now)
                self._advance(delivery, Stage.PUSHING, now)
                self._complete(delivery, delivery.writer, now)
        return messages.answer_to_push(
            delivery.reply,
            [object_id for object_id in delivery.reply.object_ids if object_id in delivery.missing],
            delivery.instruction.message_id,
            delivery.instruction.layout,
        )

    def _push_object(self, request: fleet.PushObjectRequest, now: float) -> bytes:
        delivery = self.delivery
        if delivery is not None and delivery.writer is not None:
            with _failing(delivery):
                if request.object_id in delivery.missing:
                    delivery.writer.add(request.object_id, request.object_content)
                    delivery.missing.discard(request.object_id)
                self._complete(delivery, delivery.writer, now)
        # An object that nobody waits for is taken and dropped: the SuperNode shall go on.
        return fleet.PushObjectResponse(stored=True).SerializeToString()

    def _complete(self, delivery: Delivery, writer: BundleWriter, now: float) -> None:
        """Complete the reply bundle if all of the reply is in it."""
        if not delivery.missing and delivery.stage == Stage.PUSHING:
            self._advance(delivery, Stage.ANSWERED, now)
            writer.close(delivery.seconds())

    def _of_run(self, run_id: int) -> Delivery:
        """Return the message at hand if it belongs to the run."""
        if self.delivery is None or self.delivery.instruction.metadata.run_id != run_id:
            raise RunNotRunning(f"No message of run {run_id} is in progress.")
        return self.delivery

    @staticmethod
    def _advance(delivery: Delivery, stage: Stage, now: float) -> None:
        delivery.stage = stage
        delivery.times[stage] = now


@contextmanager
def _failing(delivery: Delivery) -> Iterator[None]:
    """Remember why a message could not be handed over, or its reply not be collected."""
    try:
        yield
    except (BundleError, OSError) as error:
        delivery.failure = error
        raise
