"""A SuperLink in memory, and the objects that Flower's messages consist of. For tests.

Source: flwr 1.41, `superlink/servicer/fleet/fleet_handlers.py`, `supercore/inflatable/`.
"""

import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message as ProtobufMessage

from protos import fleet_pb2 as fleet
from proxy.errors import FleetError, RunNotRunning, UnknownNode, Unreachable
from proxy.fleet.messages import (
    SUPERLINK_NODE_ID,
    TTL_TOLERANCE,
    Reply,
    object_id,
    parse,
    tree_ids,
)

# What Flower sends and our protos leave out: a `Reconnect`, `Metadata.src_task_id`, and an empty
# `Message.content`, which says that the content travels as objects.
_RECONNECT, _SRC_TASK_ID, _CONTENT = b"\x0a\x02\x08\x05", b"\x50\x07", b"\x12\x00"


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


def make_reply(instruction: fleet.Metadata, content: Content) -> tuple[Reply, Objects]:
    """Make a SuperNode's reply to a message: its PushMessages request, and its objects."""
    metadata, now = fleet.Metadata.FromString(instruction.SerializeToString()), time.time()
    metadata.src_node_id, metadata.dst_node_id = instruction.dst_node_id, instruction.src_node_id
    metadata.reply_to_message_id, metadata.message_id = instruction.message_id, ""
    metadata.created_at, metadata.ttl = now, instruction.created_at + instruction.ttl - now
    message, objects = make_message(metadata, content)
    request = fleet.PushMessagesRequest(
        node=fleet.Node(node_id=metadata.src_node_id),
        messages_list=[message],
        message_object_trees=[objects.tree],
        clientapp_runtime_list=[0.25],
    )
    return Reply.decode(request.SerializeToString()), objects


class FakeSuperLink:
    """Answers Fleet calls as a SuperLink does; implements `proxy.fleet.superlink.Transport`.

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
    """

    def __init__(self, fab: bytes = b"a Flower app") -> None:
        self.online: set[int] = set()
        self.withheld: set[str] = set()
        self.replies: dict[str, Reply] = {}
        self.refused: list[Reply] = []
        self.calls: list[tuple[str, bytes]] = []
        self._lock = threading.RLock()
        self._fabs: dict[int, bytes] = {}  # by run
        self._node_ids: dict[bytes, int] = {}  # by public key; 0 if the node has left
        self._waiting: list[fleet.PullMessagesResponse] = []
        self._instructions: dict[str, fleet.Metadata] = {}
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
        metadata.group_id, metadata.created_at, metadata.ttl = "1", time.time(), ttl
        message, objects = make_message(metadata, content)
        answer = fleet.PullMessagesResponse(
            messages_list=[message], message_object_trees=[objects.tree]
        )
        with self._lock:
            self._instructions[objects.tree.object_id] = message.metadata
            self._needed[objects.tree.object_id] = list(objects.contents)
            self._objects.update(objects.contents)
            self._waiting.append(answer)
        return objects.tree.object_id

    def reply_to(self, message_id: str) -> Content:
        """Return what the reply to a message says; `KeyError` if it is not there in full."""
        request = fleet.PushMessagesRequest.FromString(self.replies[message_id].encoded)
        message, tree = request.messages_list[0], request.message_object_trees[0]
        objects = Objects(tree, {each: self._objects[each] for each in tree_ids(tree)})
        return message.error if message.HasField("error") else objects.below

    def call(self, method: str, request: bytes) -> bytes:
        """Answer a call; see `proxy.fleet.superlink.Transport`."""
        with self._lock:
            self.calls.append((method, request))
            left, which, answers = self._outage
            lost = left > 0 and which in ("", method)
            self._outage = (left - lost, which, answers)
            answer = b"" if lost and not answers else self._answer(method, request)
        if lost:
            raise Unreachable(f"The SuperLink did not answer {method}.")
        return answer

    def renew_key(self) -> bytes:
        """Return a key that was never used; see `proxy.fleet.superlink.Transport`."""
        return uuid.uuid4().bytes

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _answer(self, method: str, request: bytes) -> bytes:
        said: Any = parse(getattr(fleet, f"{method}Request"), request)
        if method in ("RegisterNode", "ActivateNode"):
            return self._become_node(method, said.public_key)
        node_id: int = said.node.node_id if hasattr(said, "node") else said.node_id
        if node_id not in self._node_ids.values():
            raise UnknownNode(f"There is no node {node_id}.")
        match method:
            case "SendNodeHeartbeat":
                self.online.add(node_id)
                return fleet.SendNodeHeartbeatResponse(success=True).SerializeToString()
            case "DeactivateNode":
                self.online.discard(node_id)
            case "UnregisterNode":
                self._node_ids = {k: n if n != node_id else 0 for k, n in self._node_ids.items()}
            case "PullMessages":
                return self._pull_messages(node_id)
            case "PushMessages":
                return _RECONNECT + self._push_messages(Reply.decode(request))
            case _:
                return self._of_run(method, said)
        return b""

    def _become_node(self, method: str, key: bytes) -> bytes:
        if method == "RegisterNode":
            if key in self._node_ids:
                raise FleetError("The public key is in use already.")
            self._node_ids[key] = (1 << 62) + len(self.calls)
        elif self._node_ids.get(key, 0) in {0, *self.online}:
            raise FleetError("The node cannot be activated: it is unknown, or online.")
        else:
            self.online.add(self._node_ids[key])
        return fleet.ActivateNodeResponse(node_id=self._node_ids[key]).SerializeToString()

    def _pull_messages(self, node_id: int) -> bytes:
        for each in self._waiting:
            said = each.messages_list[0].metadata
            expired = said.created_at + said.ttl <= time.time()
            if said.dst_node_id == node_id and said.run_id in self._fabs and not expired:
                self._waiting.remove(each)
                return each.SerializeToString()
        return b""

    def _push_messages(self, reply: Reply) -> bytes:
        said, now = reply.metadata, time.time()
        self._check_run(said.run_id)
        asked = self._instructions.get(said.reply_to_message_id, fleet.Metadata())
        first = self.replies.get(said.reply_to_message_id, reply)
        expires_at = asked.created_at + asked.ttl
        session_id = f"session-{len(self.calls)}"
        wanted: list[str] = []
        if (
            (said.run_id, said.src_node_id) == (asked.run_id, asked.dst_node_id)
            and said.message_id == first.metadata.message_id
            and now < expires_at
            and now < said.created_at + said.ttl <= expires_at + TTL_TOLERANCE
        ):
            self.replies[asked.message_id] = first
            self._needed[said.message_id] = reply.object_ids
            wanted = [each for each in reply.object_ids if each not in self._objects]
            self._sessions[said.message_id] = (session_id, set(wanted))
        else:
            self.refused.append(reply)
        answer = fleet.PushMessagesResponse(objects_to_push=wanted, session_id=session_id)
        return answer.SerializeToString()

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
                lacking = dict(self._sessions.values()).get(said.session_id, set())
                actual = object_id(said.object_content)
                answer = fleet.PushObjectResponse(stored=actual == said.object_id in lacking)
                if answer.stored:
                    lacking.remove(actual)
                    self._objects[actual] = said.object_content
            case _:
                self._needed.pop(said.message_object_id, None)
                needed = {each for ids in self._needed.values() for each in ids}
                self._objects = {k: data for k, data in self._objects.items() if k in needed}
                answer = fleet.ConfirmMessageReceivedResponse()
        return answer.SerializeToString()

    def _check_run(self, run_id: int) -> None:
        if run_id not in self._fabs:
            raise RunNotRunning(f"Run {run_id} is not running.")
