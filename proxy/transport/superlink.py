"""A SuperLink as one of its SuperNodes sees it: the Fleet API, method by method.

Bodies that the bridge only carries are returned as they came.
"""

from typing import Protocol

from google.protobuf.message import Message

from protos import fleet_pb2 as fleet
from proxy.errors import (
    FleetError,
    NotStored,
    RunNotRunning,
    Unimplemented,
    UnknownNode,
    Unreachable,
)
from proxy.fleet.messages import Instruction, PushAnswer, Reply, parse, read_push_answer
from proxy.fleet.releases import SCHEMAS, Layout, Schema, check_pair
from proxy.transport.identity import Identity
from proxy.transport.link import HEARTBEAT_INTERVAL_SECONDS
from proxy.transport.node_key import NodeKey


class Transport(Protocol):
    """Carries calls to the SuperLink, signed with the node's key."""

    def use_key(self, key: NodeKey) -> None:
        """Sign the calls to come with a key."""
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
    stations : str
        The release of Flower that the station's SuperNode is of; empty if that is not known here.
    identity : Identity | None
        The SuperNode that the SuperLink was told of beforehand, if it lets in only those.

    Attributes
    ----------
    node_id : int
        The node id that the SuperLink gave; 0 until then.
    spoken : tuple[Schema, ...]
        What the SuperLink may speak, as far as it has shown.
    long_polls : bool
        False: `pull_messages` does not wait for a message.

    Every method raises `Unreachable` if the SuperLink does not answer, `UnknownNode` if it does
    not know this node, `RunNotRunning` if the run that is meant has ended, and `FleetError`
    if it refuses for another reason.
    """

    long_polls = False

    def __init__(
        self, transport: Transport, stations: str = "", identity: Identity | None = None
    ) -> None:
        self._transport = transport
        self._stations = stations
        self._identity = identity
        self.node_id = 0
        self.spoken: tuple[Schema, ...] = SCHEMAS

    def register(self) -> None:
        """Become a SuperNode of this SuperLink, one that is online; sets `node_id`.

        Without an identity, each attempt has a key of its own: the SuperLink would refuse the one
        of an attempt whose answer was lost.

        Raises
        ------
        Incompatible
            If the SuperLink and the station's SuperNode do not understand each other.
        """
        if self._identity is not None:
            self._transport.use_key(self._identity.key)
            self._come_back(self._identity)
        else:
            key = NodeKey.new()
            self._transport.use_key(key)
            self._join(key.public_bytes)
        self.heartbeat()
        if self._stations:
            check_pair(self.spoken, self._stations)

    def _join(self, public_key: bytes) -> None:
        """Become a new SuperNode."""
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
            self._spoken_by("CreateNode")
        else:
            self._activate(public_key)

    def _come_back(self, identity: Identity) -> None:
        """Be the SuperNode that the identity was before; one that may join becomes one."""
        if self._is_still(identity):
            return
        try:
            self._activate_known(identity)
        except (Unreachable, RunNotRunning):
            raise
        except FleetError:
            if not identity.joins:
                raise
            self._join_as(identity)
        identity.remember(self.node_id, self.spoken[-1].joining)

    def _is_still(self, identity: Identity) -> bool:
        """Whether the SuperLink knows it, online or not; then it is online.

        It does not go offline for that: a ServerApp that asks in that moment is told that the node
        is not there, and takes no reply of it any more.
        """
        if not identity.joining:
            return False
        self.node_id = identity.node_id
        self._spoken_by(identity.joining)
        try:
            if self._is_known():
                return True
        except (Unreachable, RunNotRunning):
            raise
        except FleetError:
            pass
        self.node_id, self.spoken = 0, SCHEMAS
        return False

    def _join_as(self, identity: Identity) -> None:
        """Become a new SuperNode with an identity's key, or a new one if that was used."""
        try:
            self._join(identity.key.public_bytes)
        except (Unreachable, RunNotRunning):
            raise
        except FleetError:
            # We were killed before we could note the node id that this key has now. The old key is
            # kept until the new one is let in: the SuperLink may only be the wrong one.
            key = NodeKey.new()
            self._transport.use_key(key)
            self._join(key.public_bytes)
            identity.take(key)

    def _activate_known(self, identity: Identity) -> None:
        """Come back as a SuperNode that the SuperLink knows."""
        try:
            self._activate(identity.key.public_bytes)
        except (Unreachable, RunNotRunning):
            raise
        except FleetError as refused:
            # One that could not say goodbye is still taken for online.
            try:
                self._deactivate(identity.node_id)
                self._activate(identity.key.public_bytes)
            except Unreachable:
                raise
            except FleetError:
                raise FleetError(
                    f"The SuperLink refuses the SuperNode with the key {identity.path}:"
                    f" {refused.message}",
                    "Check that the key is registered there; `flower-v6 keys` prints the command.",
                ) from refused

    def _activate(self, public_key: bytes) -> None:
        activation = fleet.ActivateNodeRequest(
            public_key=public_key, heartbeat_interval=HEARTBEAT_INTERVAL_SECONDS
        )
        answer = self._call("ActivateNode", activation)
        self.node_id = parse(fleet.ActivateNodeResponse, answer).node_id
        self._spoken_by("RegisterNode")

    def _spoken_by(self, joining: str) -> None:
        """Narrow down what the SuperLink speaks by how it let us in."""
        self.spoken = tuple(schema for schema in SCHEMAS if schema.joining == joining)

    def unregister(self) -> None:
        """Stop being a SuperNode of this SuperLink; one that it was told of it still knows."""
        if self.spoken[-1].joining == "CreateNode":
            self._call("DeleteNode", fleet.DeleteNodeRequest(node=self._node))
            if self._identity is not None:
                self._identity.remember(0)
            return
        self._deactivate(self.node_id)
        if self._identity is None:
            self._call("UnregisterNode", fleet.UnregisterNodeRequest(node_id=self.node_id))

    def _deactivate(self, node_id: int) -> None:
        self._call("DeactivateNode", fleet.DeactivateNodeRequest(node_id=node_id))

    def heartbeat(self) -> None:
        """Stay online; the first heartbeat shows which of its methods the SuperLink speaks."""
        self._is_known()

    def _is_known(self) -> bool:
        """Send a heartbeat; returns whether the SuperLink knows this node."""
        method = self.spoken[-1].heartbeat
        # A Ping has the same form.
        request = fleet.SendNodeHeartbeatRequest(
            node=self._node, heartbeat_interval=HEARTBEAT_INTERVAL_SECONDS
        )
        try:
            answer = self._call(method, request)
        except (Unreachable, UnknownNode):
            raise
        except FleetError:
            others = tuple(schema for schema in self.spoken if schema.heartbeat != method)
            if not others:
                raise
            self.spoken = others
            return self._is_known()
        self.spoken = tuple(schema for schema in self.spoken if schema.heartbeat == method)
        return parse(fleet.SendNodeHeartbeatResponse, answer).success

    def pull_messages(self) -> Instruction | None:
        """Return the next message; None if there is none."""
        request = fleet.PullMessagesRequest(node=self._node)
        return Instruction.decode(self._call("PullMessages", request))

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

    def push_messages(self, reply: Reply, layout: Layout) -> PushAnswer:
        """Announce a reply.

        Parameters
        ----------
        reply : Reply
            The reply.
        layout : Layout
            That of the message that the reply is for.
        """
        answer = self._transport.call("PushMessages", reply.encoded)
        return read_push_answer(answer, reply, layout)

    def push_object(self, run_id: int, session_id: str, object_id: str, content: bytes) -> None:
        """Store an object of an announced reply.

        Raises
        ------
        NotStored
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
            raise NotStored(f"The SuperLink did not store object {object_id} of a reply.")

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    @property
    def _node(self) -> fleet.Node:
        return fleet.Node(node_id=self.node_id)

    def _call(self, method: str, request: Message) -> bytes:
        return self._transport.call(method, request.SerializeToString())
