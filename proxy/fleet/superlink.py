"""A SuperLink as one of its SuperNodes sees it: the Fleet API, method by method.

Bodies that the bridge only carries are returned as they came.
"""

from typing import Protocol

from google.protobuf.message import Message

from protos import fleet_pb2 as fleet
from proxy.errors import FleetError, Unimplemented, UnknownNode
from proxy.fleet.messages import Reply, parse

# Flower's own default; the SuperLink takes a node for offline after twice this time without one.
HEARTBEAT_INTERVAL_SECONDS = 30.0


class Transport(Protocol):
    """Carries calls to the SuperLink, signed with the node's key."""

    def renew_key(self) -> bytes:
        """Make a new key for the calls to come; returns its public half, as PEM."""
        ...

    def call(self, method: str, request: bytes) -> bytes:
        """Return the SuperLink's answer, or raise a `FleetError`."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class SuperLink:
    """The Fleet API of one SuperLink, called as one SuperNode.

    Parameters
    ----------
    transport : Transport
        Reaches the SuperLink.

    Every method raises `Unreachable` if the SuperLink does not answer, `UnknownNode` if it does
    not know this node, `RunNotRunning` if the run that is meant has ended, and `FleetError`
    if it refuses for another reason.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._created = False
        self.node_id = 0

    def register(self) -> None:
        """Become a new SuperNode of this SuperLink, one that is online; sets `node_id`.

        Each attempt has a key of its own: the SuperLink would refuse the one of an attempt whose
        answer was lost.
        """
        public_key = self._transport.renew_key()
        try:
            self._call("RegisterNode", fleet.RegisterNodeRequest(public_key=public_key))
        except (Unimplemented, UnknownNode) as refused:
            # So say releases before 1.23, which create nodes; others mean it.
            creation = fleet.CreateNodeRequest(heartbeat_interval=HEARTBEAT_INTERVAL_SECONDS)
            try:
                answer = self._call("CreateNode", creation)
            except (Unimplemented, UnknownNode):
                raise refused from None
            self.node_id = parse(fleet.CreateNodeResponse, answer).node.node_id
            self._created = True
        else:
            activation = fleet.ActivateNodeRequest(
                public_key=public_key, heartbeat_interval=HEARTBEAT_INTERVAL_SECONDS
            )
            answer = self._call("ActivateNode", activation)
            self.node_id = parse(fleet.ActivateNodeResponse, answer).node_id
            self._created = False

    def unregister(self) -> None:
        """Stop being a SuperNode of this SuperLink."""
        if self._created:
            self._call("DeleteNode", fleet.DeleteNodeRequest(node=self._node))
        else:
            self._call("DeactivateNode", fleet.DeactivateNodeRequest(node_id=self.node_id))
            self._call("UnregisterNode", fleet.UnregisterNodeRequest(node_id=self.node_id))

    def heartbeat(self) -> None:
        """Stay online."""
        request = fleet.SendNodeHeartbeatRequest(
            node=self._node, heartbeat_interval=HEARTBEAT_INTERVAL_SECONDS
        )
        self._call("SendNodeHeartbeat", request)

    def pull_messages(self) -> bytes:
        """Return the answer to PullMessages, with a message or without."""
        return self._call("PullMessages", fleet.PullMessagesRequest(node=self._node))

    def get_run(self, run_id: int) -> bytes:
        """Return the answer to GetRun."""
        return self._call("GetRun", fleet.GetRunRequest(node=self._node, run_id=run_id))

    def get_fab(self, run_id: int, fab_hash: str) -> bytes:
        """Return the answer to GetFab."""
        request = fleet.GetFabRequest(node=self._node, hash_str=fab_hash, run_id=run_id)
        return self._call("GetFab", request)

    def pull_object(self, run_id: int, object_id: str) -> bytes | None:
        """Return an object's content; None if the ServerApp has yet to upload it.

        Raises
        ------
        FleetError
            If the SuperLink does not know the object.
        """
        request = fleet.PullObjectRequest(node=self._node, run_id=run_id, object_id=object_id)
        answer = parse(fleet.PullObjectResponse, self._call("PullObject", request))
        if not answer.object_found:
            raise FleetError(f"The SuperLink does not have object {object_id} of its own message.")
        return answer.object_content if answer.object_available else None

    def confirm_message_received(self, run_id: int, message_id: str) -> None:
        """Let the SuperLink forget a message's objects."""
        request = fleet.ConfirmMessageReceivedRequest(
            node=self._node, run_id=run_id, message_object_id=message_id
        )
        self._call("ConfirmMessageReceived", request)

    def push_messages(self, reply: Reply) -> tuple[frozenset[str], str]:
        """Announce a reply; returns the ids of the objects to push, and the session for that."""
        answer = parse(
            fleet.PushMessagesResponse, self._transport.call("PushMessages", reply.encoded)
        )
        return frozenset(answer.objects_to_push), answer.session_id

    def push_object(self, run_id: int, session_id: str, object_id: str, content: bytes) -> None:
        """Store an object of an announced reply.

        Raises
        ------
        FleetError
            If the SuperLink does not store it.
        """
        request = fleet.PushObjectRequest(
            node=self._node,
            run_id=run_id,
            object_id=object_id,
            object_content=content,
            session_id=session_id,
        )
        if not parse(fleet.PushObjectResponse, self._call("PushObject", request)).stored:
            raise FleetError(f"The SuperLink did not store object {object_id} of a reply.")

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    @property
    def _node(self) -> fleet.Node:
        return fleet.Node(node_id=self.node_id)

    def _call(self, method: str, request: Message) -> bytes:
        return self._transport.call(method, request.SerializeToString())
