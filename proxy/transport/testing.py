"""A SuperLink in memory, and the objects that Flower's messages consist of. For tests.

Source: flwr 1.41, `superlink/servicer/fleet/fleet_handlers.py`, `supercore/inflatable/`; of older
ones flwr 1.18 and 1.19, `server/superlink/fleet/message_handler/` and `grpc_rere/`.
"""

import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message as ProtobufMessage
from google.protobuf.unknown_fields import UnknownFieldSet

from protos import fleet_pb2 as fleet
from proxy.errors import FleetError, RunNotRunning, UnknownNode, Unreachable
from proxy.fleet import wire
from proxy.fleet.messages import (
    SUPERLINK_NODE_ID,
    TTL_TOLERANCE,
    Instruction,
    Reply,
    answer_to_push,
    object_id,
    parse,
    tree_ids,
)
from proxy.fleet.releases import SCHEMAS, Layout, Schema
from proxy.transport.node_key import NodeKey

# What Flower sends and our protos leave out: a `Reconnect`, `Metadata.src_task_id`, and an empty
# `Message.content`, which says that the content travels as objects.
_RECONNECT, _SRC_TASK_ID, _CONTENT = b"\x0a\x02\x08\x05", b"\x50\x07", b"\x12\x00"
_CONTENT_FIELD, _ITEM_FIELD, _CONFIG_RECORD_FIELD = 2, 1, 4
_EARLIEST_CREATION = 1740700800.0  # flwr 1.41, server/utils/validator.py
# What says until 1.32 that a reply was not stored.
_REFUSED = fleet.PushMessagesResponse(results={"None": 0}).SerializeToString()


@dataclass(frozen=True)
class Objects:
    """An object and all below it, as Flower stores them: their ids, and their contents by id."""

    tree: fleet.ObjectTree
    contents: Mapping[str, bytes]

    @property
    def below(self) -> "Objects":
        """The first child and all below it; for a message, that is what it says."""
        tree = self.tree.children[0]
        return Objects(tree, {each: self.contents[each] for each in tree_ids(tree)})


# What a message says: a RecordDict, or an error.
Content = Objects | fleet.Error


def make_object(kind: str, body: bytes, *children: Objects) -> Objects:
    """Make an object of one of Flower's types, for example "ArrayChunk"."""
    ids = dict.fromkeys(child.tree.object_id for child in children)
    content = f"{kind} {','.join(ids)} {len(body)}\0".encode() + body
    own_id = object_id(content)
    tree = fleet.ObjectTree(object_id=own_id, children=[child.tree for child in children])
    below = {each: data for child in children for each, data in child.contents.items()}
    return Objects(tree, {**below, own_id: content})


def read_objects(own_id: str, contents: Mapping[str, bytes]) -> Objects:
    """Return an object and all below it, as the contents themselves say what that is."""
    _, children, _ = contents[own_id].partition(b"\0")[0].decode().split(" ")
    below = [read_objects(each, contents) for each in children.split(",") if each]
    tree = fleet.ObjectTree(object_id=own_id, children=[child.tree for child in below])
    return Objects(tree, {each: contents[each] for each in tree_ids(tree)})


def record_dict(**arrays: bytes) -> Objects:
    """Make what a message says: a RecordDict with one ArrayRecord, of uint8 arrays."""
    made = {}
    for name, data in arrays.items():
        about = {"dtype": "uint8", "shape": [len(data)], "stype": "bytes", "arraychunk_ids": [0]}
        chunk = make_object("ArrayChunk", data)
        made[name] = make_object("Array", json.dumps(about).encode(), chunk)
    ids = {name: array.tree.object_id for name, array in made.items()}
    record = make_object("ArrayRecord", json.dumps(ids).encode(), *made.values())
    ids = {"arrays": record.tree.object_id}
    return make_object("RecordDict", json.dumps(ids).encode(), record)


def make_message(metadata: fleet.Metadata, content: Content) -> tuple[fleet.Message, Objects]:
    """Make a message: as it stands in a Fleet call, and as an object with all below it."""
    message, children = fleet.Message(metadata=metadata), []
    if isinstance(content, Objects):
        children.append(content)
    else:
        message.error.CopyFrom(content)
    objects = make_object("Message", message.SerializeToString(deterministic=True), *children)
    message.MergeFromString(_CONTENT if children else b"")
    message.metadata.message_id = objects.tree.object_id
    return message, objects


def make_whole_message(metadata: fleet.Metadata, content: Content) -> fleet.Message:
    """Make a message that holds what it says, in a form that only `inline_content` understands."""
    message = fleet.Message(metadata=metadata)
    if isinstance(content, Objects):
        parts = [content.tree.SerializeToString(), *content.contents.values()]
        body = json.dumps([part.hex() for part in parts]).encode()
        # A RecordDict with one ConfigRecord.
        item = wire.field(_ITEM_FIELD, wire.field(_CONFIG_RECORD_FIELD, body))
        message.MergeFromString(wire.field(_CONTENT_FIELD, item))
    else:
        message.error.CopyFrom(content)
    return message


def inline_content(message: fleet.Message) -> Objects:
    """Return what is in a message that came whole.

    Raises
    ------
    ValueError
        If there is nothing in it.
    """
    unknown = UnknownFieldSet(message)
    for field in (unknown[index] for index in range(len(unknown))):
        if field.field_number == _CONTENT_FIELD:
            body = _first(_first(field.data, _ITEM_FIELD), _CONFIG_RECORD_FIELD)
            tree, *contents = map(bytes.fromhex, json.loads(body))
            below = {object_id(each): each for each in contents}
            return Objects(fleet.ObjectTree.FromString(tree), below)
    raise ValueError("the message says nothing")


def _first(encoded: bytes, number: int) -> bytes:
    """Return the first value of a field of messages or bytes; there is one."""
    return bytes(next(wire.views(encoded, number)))


def make_reply(instruction: Instruction, content: Content) -> tuple[Reply, Mapping[str, bytes]]:
    """Make a SuperNode's reply to a message: its PushMessages request, and its objects by id."""
    metadata = fleet.Metadata.FromString(instruction.metadata.SerializeToString())
    asked, now = instruction.metadata, time.time()
    metadata.src_node_id, metadata.dst_node_id = asked.dst_node_id, asked.src_node_id
    metadata.src_task_id, metadata.dst_task_id = asked.dst_task_id, asked.src_task_id
    metadata.reply_to_message_id, metadata.message_id = asked.message_id, ""
    metadata.created_at, metadata.ttl = now, asked.created_at + asked.ttl - now
    request = fleet.PushMessagesRequest(
        node=fleet.Node(node_id=metadata.src_node_id), clientapp_runtime_list=[0.25]
    )
    if instruction.layout == Layout.INLINE:
        request.messages_list.append(make_whole_message(metadata, content))
        return Reply.decode(request.SerializeToString()), {}
    message, objects = make_message(metadata, content)
    request.messages_list.append(message)
    request.message_object_trees.append(objects.tree)
    return Reply.decode(request.SerializeToString()), objects.contents


class FakeSuperLink:
    """Answers Fleet calls as a SuperLink does; implements `proxy.transport.superlink.Transport`.

    Parameters
    ----------
    fab : bytes
        The app of its run.
    schema : Schema
        What it speaks.
    clock : Callable[[], float]
        Tells the time, in seconds since the epoch.

    Attributes
    ----------
    run_id : int
        The run that it has from the start.
    online : set[int]
        The ids of the nodes that are online.
    withheld : set[str]
        Objects that the ServerApp has yet to upload: they are known, but not available.
    replies : dict[str, Reply]
        The replies as they were pushed, by the id of the message that they answer.
    refused : list[Reply]
        Those that were not taken; a SuperLink does not say so to the SuperNode.
    calls : list[tuple[str, bytes]]
        Every call: the method and the request.
    told_beforehand : bool
        Whether it lets in only SuperNodes that it was told of by `know`.
    repeats : bool
        Whether it hands out a message until it is confirmed, and takes a second reply: as flwr 1.43
        does (nightly of 26 October 2026, `supercore/corestate/in_memory_corestate.py`).
    """

    def __init__(
        self,
        fab: bytes = b"a Flower app",
        schema: Schema = SCHEMAS[-1],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.schema = schema
        self._clock = clock
        self.online: set[int] = set()
        self.withheld: set[str] = set()
        self.replies: dict[str, Reply] = {}
        self.refused: list[Reply] = []
        self.calls: list[tuple[str, bytes]] = []
        self.told_beforehand = self.repeats = False
        self._lock = threading.RLock()
        self._fabs: dict[int, bytes] = {}  # by run
        self._node_ids: dict[bytes, int] = {}  # by public key; 0 if the node has left
        self._waiting: list[tuple[fleet.Metadata, bytes]] = []
        self._instructions: dict[str, fleet.Metadata] = {}
        # By message: how it is handed out, and its objects.
        self._pushed: dict[str, tuple[tuple[fleet.Metadata, bytes], Mapping[str, bytes]]] = {}
        self._objects: dict[str, bytes] = {}
        self._needed: dict[str, Sequence[str]] = {}  # by message: its objects
        self._sessions: dict[str, tuple[str, set[str]]] = {}  # by reply: its id, what is to come
        self._outage = (0, "", False)
        self.run_id = self.start_run(fab)

    def start_run(self, fab: bytes) -> int:
        """Have one more run, of the app `fab`; returns its id."""
        run_id = (1 << 63) + len(self._fabs)
        self._fabs[run_id] = fab
        return run_id

    def end_run(self, run_id: int) -> None:
        """End a run: calls of it raise `RunNotRunning`, its messages are not handed out."""
        del self._fabs[run_id]

    def know(self, key: NodeKey) -> int:
        """Be told of a SuperNode, as by `flwr supernode register`; returns its node id."""
        self._node_ids[key.public_bytes] = (1 << 61) + len(self._node_ids)
        return self._node_ids[key.public_bytes]

    def forget_nodes(self) -> None:
        """Know no node any more, as after a restart."""
        self._node_ids.clear()
        self.online.clear()

    def be_unreachable(self, calls: int = 1, method: str = "", answers: bool = False) -> None:
        """Be out of reach for some calls, of one method or any; or only lose their answers."""
        self._outage = (calls, method, answers)

    def push_instruction(
        self, content: Objects, node_id: int, ttl: float = 3600.0, run_id: int = 0
    ) -> str:
        """Queue a message for a node, as a ServerApp does; returns the message's id."""
        metadata = fleet.Metadata.FromString(_SRC_TASK_ID)
        metadata.run_id, metadata.message_type = run_id or self.run_id, "train"
        metadata.src_node_id, metadata.dst_node_id = SUPERLINK_NODE_ID, node_id
        metadata.group_id, metadata.ttl = "1", ttl
        # No two messages are the same, even if no time passes between them.
        metadata.created_at = self._clock() + len(self._instructions) / 1e6
        message_id, answer = self._instruct(metadata, content)
        with self._lock:
            self._instructions[message_id] = metadata
            objects = {each: self._objects[each] for each in self._needed.get(message_id, ())}
            self._pushed[message_id] = (metadata, answer.SerializeToString()), objects
            self._waiting.append(self._pushed[message_id][0])
        return message_id

    def push_again(self, message_id: str) -> None:
        """Queue a message once more, as a ServerApp may when it has the reply."""
        with self._lock:
            instruction, objects = self._pushed[message_id]
            self._objects.update(objects)
            del self.replies[message_id]
            self._waiting.append(instruction)

    def _instruct(self, metadata: fleet.Metadata, content: Objects) -> tuple[str, ProtobufMessage]:
        """Return the id of a new message, and how it is handed out."""
        if self.schema.layout == Layout.INLINE:
            metadata.message_id = str(uuid.uuid4())
            message = make_whole_message(metadata, content)
            return metadata.message_id, fleet.PullMessagesResponse(messages_list=[message])
        message, objects = make_message(metadata, content)
        metadata.message_id = message.metadata.message_id
        with self._lock:
            self._needed[metadata.message_id] = list(objects.contents)
            self._objects.update(objects.contents)
        if self.schema.layout == Layout.TREE:
            return metadata.message_id, fleet.PullMessagesResponse(
                messages_list=[message], message_object_trees=[objects.tree]
            )
        ids = {metadata.message_id: fleet.ObjectIds(object_ids=objects.contents)}
        return metadata.message_id, fleet.MapPullMessagesResponse(
            messages_list=[message], objects_to_pull=ids
        )

    def reply_to(self, message_id: str) -> Content:
        """Return what the reply to a message says; `KeyError` if it is not there in full."""
        request = fleet.PushMessagesRequest.FromString(self.replies[message_id].encoded)
        message = request.messages_list[0]
        if self.schema.layout == Layout.INLINE:
            return message.error if message.HasField("error") else inline_content(message)
        tree = request.message_object_trees[0]
        objects = Objects(tree, {each: self._objects[each] for each in tree_ids(tree)})
        return message.error if message.HasField("error") else objects.below

    def hand_out_reply(self, message_id: str) -> None:
        """Have the ServerApp pull a reply that was announced: no other announcement is taken."""
        del self._instructions[message_id]

    def call(self, method: str, request: bytes) -> bytes:
        """Answer a call; see `proxy.transport.superlink.Transport`."""
        with self._lock:
            self.calls.append((method, request))
            left, which, answers = self._outage
            lost = left > 0 and which in ("", method)
            self._outage = (left - lost, which, answers)
            answer = b"" if lost and not answers else self._answer(method, request)
        if lost:
            raise Unreachable(f"The SuperLink did not answer {method}.")
        return answer

    def use_key(self, key: NodeKey) -> None:
        """Do nothing: nobody checks signatures; see `proxy.transport.superlink.Transport`."""

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _answer(self, method: str, request: bytes) -> bytes:
        if method in ("CreateNode", "RegisterNode", "ActivateNode"):
            return self._become_node(method, request)
        heartbeats = ("Ping", "SendNodeHeartbeat")
        kind = "SendNodeHeartbeat" if method in heartbeats else method
        said: Any = parse(getattr(fleet, f"{kind}Request"), request)
        node_id: int = said.node.node_id if hasattr(said, "node") else said.node_id
        if node_id not in self._node_ids.values():
            raise UnknownNode(f"There is no node {node_id}.")
        if method in heartbeats and method != self.schema.heartbeat:
            # What a SuperLink before 1.23 makes of a method that it does not have.
            raise FleetError(f"Error in service handler: there is no {method}.")
        match method:
            case "SendNodeHeartbeat" | "Ping":
                self.online.add(node_id)
                return fleet.SendNodeHeartbeatResponse(success=True).SerializeToString()
            case "DeactivateNode":
                self._deactivate(node_id)
            case "UnregisterNode" | "DeleteNode":
                if self.told_beforehand:
                    raise FleetError("SuperNode unregistration is disabled.")
                self.online.discard(node_id)
                self._node_ids = {k: n if n != node_id else 0 for k, n in self._node_ids.items()}
            case "PullMessages":
                return self._pull_messages(node_id)
            case "PushMessages":
                return _RECONNECT + self._push_messages(Reply.decode(request))
            case _:
                return self._of_run(method, said)
        return b""

    def _become_node(self, method: str, request: bytes) -> bytes:
        if (method == "CreateNode") != (self.schema.joining == "CreateNode"):
            # Before 1.23 whoever has no node yet may only create one.
            raise UnknownNode("Invalid node ID")
        if method == "CreateNode":
            key = uuid.uuid4().bytes  # the one that signed the call
            self._node_ids[key] = (1 << 62) + len(self.calls)
            self.online.add(self._node_ids[key])
            node = fleet.Node(node_id=self._node_ids[key])
            return fleet.CreateNodeResponse(node=node).SerializeToString()
        key = parse(fleet.RegisterNodeRequest, request).public_key
        if method == "RegisterNode":
            if self.told_beforehand:
                raise FleetError("SuperNode registration is disabled.")
            if key in self._node_ids:
                raise FleetError("The public key is in use already.")
            self._node_ids[key] = (1 << 62) + len(self.calls)
        elif self._node_ids.get(key, 0) in {0, *self.online}:
            raise FleetError("The node cannot be activated: it is unknown, or online.")
        else:
            self.online.add(self._node_ids[key])
        return fleet.ActivateNodeResponse(node_id=self._node_ids[key]).SerializeToString()

    def _deactivate(self, node_id: int) -> None:
        if node_id not in self.online:
            raise FleetError(f"Node {node_id} cannot be deactivated: it is not online.")
        self.online.remove(node_id)

    def _pull_messages(self, node_id: int) -> bytes:
        for each in self._waiting:
            said, answer = each
            expired = said.created_at + said.ttl <= self._clock()
            if said.dst_node_id == node_id and said.run_id in self._fabs and not expired:
                if not self.repeats:
                    self._waiting.remove(each)
                return answer
        return b""

    def _push_messages(self, reply: Reply) -> bytes:
        said, now = reply.metadata, self._clock()
        self._check_run(said.run_id)
        asked = self._instructions.get(said.reply_to_message_id, fleet.Metadata())
        first = self.replies.get(said.reply_to_message_id, reply)
        expires_at = asked.created_at + asked.ttl
        session_id = f"session-{len(self.calls)}" if self.schema.layout == Layout.TREE else ""
        wanted: list[str] = []
        if (
            (said.run_id, said.src_node_id) == (asked.run_id, asked.dst_node_id)
            and said.dst_node_id == SUPERLINK_NODE_ID
            and said.message_type
            and said.created_at >= _EARLIEST_CREATION
            and said.ttl > 0
            and bool(said.message_id) == (self.schema.layout != Layout.INLINE)
            and (self.repeats or said.message_id == first.metadata.message_id)
            and now < expires_at
            and now < said.created_at + said.ttl <= expires_at + TTL_TOLERANCE
        ):
            # A reply without an id of its own takes the place of the one before.
            once = said.message_id and not self.repeats
            self.replies[asked.message_id] = first if once else reply
            self._needed[said.message_id] = reply.object_ids
            wanted = [each for each in reply.object_ids if each not in self._objects]
            self._sessions[said.message_id] = (session_id, set(wanted))
        else:
            self.refused.append(reply)
            if session_id == "":
                return _REFUSED + answer_to_push(
                    reply, reply.object_ids, session_id, self.schema.layout
                )
        return answer_to_push(reply, wanted, session_id, self.schema.layout)

    def _of_run(self, method: str, said: Any) -> bytes:
        self._check_run(said.run_id)
        fab = self._fabs[said.run_id]
        answer: ProtobufMessage
        match method:
            case "GetRun":
                run = fleet.Run(run_id=said.run_id, fab_hash=object_id(fab))
                answer = fleet.GetRunResponse(run=run)
            case "GetFab":
                answer = fleet.GetFabResponse(fab=fleet.Fab(hash_str=said.hash_str, content=fab))
            case "PullObject":
                content = self._objects.get(said.object_id)
                answer = fleet.PullObjectResponse(object_found=content is not None)
                if content is not None and said.object_id not in self.withheld:
                    answer.object_available, answer.object_content = True, content
            case "PushObject":
                actual = object_id(said.object_content)
                lacking = self._lacking(said.session_id, actual)
                answer = fleet.PushObjectResponse(stored=actual == said.object_id in lacking)
                if answer.stored:
                    lacking.remove(actual)
                    self._objects[actual] = said.object_content
            case _:
                self._waiting = [
                    each for each in self._waiting if each[0].message_id != said.message_object_id
                ]
                self._needed.pop(said.message_object_id, None)
                needed = {each for ids in self._needed.values() for each in ids}
                self._objects = {k: data for k, data in self._objects.items() if k in needed}
                answer = fleet.ConfirmMessageReceivedResponse()
        return answer.SerializeToString()

    def _lacking(self, session_id: str, wanted: str) -> set[str]:
        """Return what a session waits for; without its id, of one that waits for an object."""
        if session_id or self.schema.layout != Layout.TREE:
            return dict(self._sessions.values()).get(session_id, set())
        return next((each for _, each in self._sessions.values() if wanted in each), set())

    def _check_run(self, run_id: int) -> None:
        if run_id not in self._fabs:
            raise RunNotRunning(f"Run {run_id} is not running.")
